"""Brax's own PPO on a robot of MuJoCo Playground, in Playground's own settings for it, tested now and then.

python -m benchmarks.baselines.brax_playground --env Go1JoystickFlatTerrain --target 20

Writes benchmarks/results/brax_playground.json: seconds since the start (imports not counted), steps and mean return of
each test. It ends when one reaches the target, or after so many minutes.
"""

import argparse
import contextlib
import functools
import time
from pathlib import Path
from typing import Any

import jax
from brax.training.agents.ppo import networks
from brax.training.agents.ppo import train as ppo
from mujoco_playground import wrapper
from mujoco_playground.config import dm_control_suite_params, locomotion_params, manipulation_params

from benchmarks.baselines import brax_on_jax
from jaxq.envs.brax_backend import make_playground
from jaxq.runs.directory import provenance, write_json

RESULTS = Path(__file__).parents[1] / "results"
# What takes the place of its settings where only the code is to be tried.
SMALL = {
    "num_timesteps": 64, "num_envs": 8, "batch_size": 4, "num_minibatches": 2, "unroll_length": 4, "num_evals": 2,
    "num_updates_per_batch": 1, "episode_length": 8, "num_eval_envs": 2,
}  # fmt: skip


class Over(Exception):
    """The target is reached, or the time is over."""


def settings(env: str) -> dict[str, Any]:
    """Playground's own for Brax's PPO."""
    for module in (locomotion_params, dm_control_suite_params, manipulation_params):
        try:
            return dict(module.brax_ppo_config(env))
        except (KeyError, ValueError):
            continue
    raise ValueError(f"Playground has no settings of PPO for {env}")


def main() -> None:
    """Train, and write the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--target", type=float, required=True, help="return of a test that ends it")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--tests", type=int, help="how often it is tested; as often as in the settings unless given")
    parser.add_argument("--tiny", action="store_true", help="sizes with which only the code is tried")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    brax_on_jax.adapt()
    config = settings(args.env)
    sizes = config.pop("network_factory", None)
    factory = functools.partial(networks.make_ppo_networks, **(dict(sizes) if sizes and not args.tiny else {}))
    given = {**config, **({"num_evals": args.tests} if args.tests else {}), **(SMALL if args.tiny else {})}
    settled = {name: value for name, value in given.items() if isinstance(value, int | float | str | bool)}
    about = {"env": args.env, "target": args.target, "settings": settled, "provenance": provenance()}
    begun = time.monotonic()
    tests: list[list[float]] = []

    def tested(step: int, metrics: Any) -> None:
        tests.append([time.monotonic() - begun, int(step), float(metrics["eval/episode_reward"])])
        seconds, _, reward = tests[-1]
        reached = seconds if reward >= args.target else None
        # Whoever ends this from outside has what there is.
        write_json(RESULTS / "brax_playground.json", {**about, "reached_seconds": reached, "tests": tests})
        if reached is not None or seconds > 60.0 * args.minutes:
            raise Over

    # As Playground asks of whoever trains on a GPU, whose own TF32 makes it less stable; ours has physics so too.
    with contextlib.suppress(Over), jax.default_matmul_precision("highest"):
        ppo.train(
            # The same physics as ours, which a ratio is of.
            environment=make_playground(args.env).environment,
            network_factory=factory,
            wrap_env_fn=wrapper.wrap_for_brax_training,
            progress_fn=tested,
            seed=args.seed,
            # As ours are tested; Brax's own tests sample actions.
            deterministic_eval=True,
            **given,
        )


if __name__ == "__main__":
    main()
