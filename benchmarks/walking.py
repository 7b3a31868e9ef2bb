"""How well robots that were trained here follow their commands, beside one that stands still.

    python -m benchmarks.walking RUN ...

Plays the trained policies of run directories (as `make reproduce SUITE=robots` leaves them) on the environment that they were
trained on, straight through EnvPool's own interface, with the rewards that it gives. Writes
benchmarks/results/walking.json.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.errors import clean_errors, require
from jaxq.runs.directory import provenance, write_json

RESULT = Path(__file__).parent / "results" / "walking.json"
ROBOTS, STEPS, SEED = 32, 1000, 10_000
TRACKED = {"reward_tracking_lin_vel": "tracking_lin_vel_scale", "reward_tracking_ang_vel": "tracking_ang_vel_scale"}
Choose = Callable[[Any], np.ndarray]


def played(task: str, choose: Choose) -> dict[str, Any]:
    """One episode of each robot.

    Args:
      task: of EnvPool's.
      choose: observations [B, ...] -> actions [B, size].

    Returns:
      returns: of each episode, in the rewards of the environment.
      lengths: of each, in steps.
      followed: by term, how much of what following commands is worth at most was paid in a step, on average.
    """
    import envpool

    pool = envpool.make(task, env_type="gymnasium", num_envs=ROBOTS, seed=SEED)
    observation, _ = pool.reset()
    alive = np.ones(ROBOTS, bool)
    returns, lengths = np.zeros(ROBOTS), np.zeros(ROBOTS, int)
    paid = dict.fromkeys(TRACKED, 0.0)
    for _ in range(STEPS):
        action = choose(observation).astype(pool.action_space.dtype)
        observation, reward, terminated, truncated, info = pool.step(action)
        returns += alive * reward
        lengths += alive
        for term in TRACKED:
            paid[term] += float((alive * info[term]).sum())
        alive &= ~(terminated | truncated)
    most = pool.spec.config
    shares = {term: paid[term] / lengths.sum() / getattr(most, scale) for term, scale in TRACKED.items()}
    return {"returns": returns.tolist(), "lengths": lengths.tolist(), "followed": shares}


def walked(run: Path) -> dict[str, Any]:
    """Of the trained policy of a run: `played`, and what it took.

    Raises:
      InputError: unless it was trained on a task of EnvPool's that tells how its commands are followed.
    """
    import jaxq

    summary = json.loads((run / "summary.json").read_text())
    backend, _, task = summary["env"].partition("/")
    require(backend == "envpool", "env", summary["env"], "one of EnvPool's")
    policy = jaxq.load(run)
    # As many steps as an episode has, and all episodes begin at once.
    return {
        "env": summary["env"],
        "command": json.loads((run / "provenance.json").read_text())["command"],
        "total_steps": summary["total_steps"],
        **played(task, policy),
    }


def main() -> None:
    """Measure, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    args = parser.parse_args()
    walks = [walked(run) for run in args.runs]
    tasks = dict.fromkeys(walk["env"].partition("/")[2] for walk in walks)
    still = {}
    for task in tasks:
        import envpool

        size = envpool.make_spec(task).action_space.shape
        still[task] = played(task, lambda observation, size=size: np.zeros((ROBOTS, *size)))
    write_json(RESULT, {"walks": walks, "still": still, "robots": ROBOTS, "provenance": provenance()})
    for walk in [*walks, *still.values()]:
        print(f"return {np.mean(walk['returns']):6.2f}, {np.mean(walk['lengths']):5.0f} steps, ", end="")
        print(", ".join(f"{term} {share:.2f}" for term, share in walk["followed"].items()))


if __name__ == "__main__":
    with clean_errors():
        main()
