"""How well robots that were trained here follow their commands, beside one that stands still.

    make reproduce SUITE=robots LEAVE=1
    python -m benchmarks.walking .bench/left/go1-*

Plays the trained policies of run directories on the environment that they were trained on, straight through EnvPool's
own interface, with the rewards that it gives. Writes benchmarks/results/walking.json, where what was tried before
stays.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.errors import clean_errors, require
from jaxq.runs.directory import provenance, read_json, write_json

RESULT = Path(__file__).parent / "results" / "walking.json"
ROBOTS, SEED = 32, 10_000
TRACKED = {"reward_tracking_lin_vel": "tracking_lin_vel_scale", "reward_tracking_ang_vel": "tracking_ang_vel_scale"}
Choose = Callable[[Any], np.ndarray]


def played(env: str, choose: Choose) -> dict[str, Any]:
    """One episode of each robot.

    Args:
      env: `envpool/Task`, with actions between -1 and 1.
      choose: observations [B, ...] -> actions [B, size].

    Returns:
      returns: of each episode, in the rewards of the environment.
      lengths: of each, in steps.
      followed: by term, how much of what following commands is worth at most was paid in a step, on average.

    Raises:
      InputError: unless it is a task of EnvPool's that tells how commands are followed.
    """
    import envpool

    backend, _, task = env.partition("/")
    require(backend == "envpool", "env", env, "one of EnvPool's")
    pool = envpool.make(task, env_type="gymnasium", num_envs=ROBOTS, seed=SEED)
    most = pool.spec.config
    tells = all(hasattr(most, scale) for scale in TRACKED.values())
    require(tells, "env", env, "one that tells how its commands for speed and turning are followed")
    observation, _ = pool.reset()
    alive = np.ones(ROBOTS, bool)
    returns, lengths = np.zeros(ROBOTS), np.zeros(ROBOTS, int)
    paid = dict.fromkeys(TRACKED, 0.0)
    for _ in range(most.max_episode_steps):
        action = choose(observation).astype(pool.action_space.dtype)
        observation, reward, terminated, truncated, info = pool.step(action)
        returns += np.where(alive, reward, 0.0)
        lengths += alive
        for term in TRACKED:
            paid[term] += float(info[term][alive].sum())
        alive &= ~(terminated | truncated)
    shares = {term: paid[term] / lengths.sum() / getattr(most, scale) for term, scale in TRACKED.items()}
    return {"returns": returns.tolist(), "lengths": lengths.tolist(), "followed": shares}


def walked(run: Path) -> dict[str, Any]:
    """`played` by the trained policy of a run, and the environment.

    Raises:
      InputError: of `played`, or if the run cannot be restored.
    """
    import jaxq

    env = json.loads((run / "config.json").read_text())["env"]
    return {"env": env, **played(env, jaxq.load(run))}


def still_standing(env: str) -> dict[str, Any]:
    """`played` by robots that do nothing."""
    import envpool

    nothing = np.zeros((ROBOTS, *envpool.make_spec(env.partition("/")[2]).action_space.shape))
    return played(env, lambda observation: nothing)


def main() -> None:
    """Measure, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    args = parser.parse_args()
    before, made = read_json(RESULT) if RESULT.exists() else {}, provenance()
    if before.get("robots") != ROBOTS:
        before = {}
    walks = {run.name: {**walked(run), "provenance": made} for run in args.runs}
    still = {env: still_standing(env) for env in dict.fromkeys(walk["env"] for walk in walks.values())}
    kept = {part: {**before.get(part, {}), **new} for part, new in (("walks", walks), ("still", still))}
    write_json(RESULT, {**kept, "robots": ROBOTS, "provenance": made})
    for name, walk in {**walks, **still}.items():
        print(f"{name:40} return {np.mean(walk['returns']):6.2f}, {np.mean(walk['lengths']):5.0f} steps, ", end="")
        print(", ".join(f"{term} {share:.2f}" for term, share in walk["followed"].items()))


if __name__ == "__main__":
    with clean_errors():
        main()
