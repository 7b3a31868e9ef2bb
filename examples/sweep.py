"""Sweep over step sizes: members with each, and two seeds of each, as one program; one picture of all, and the best.

python examples/sweep.py
"""

import collections
import tempfile
from pathlib import Path

import jaxq
from jaxq.runs.plots import load_curves, merge, plot_curves

FLAGS = "--env tabular/Chain --num-seeds 2 --total-steps 6000 --epsilon-steps 0.5 --num-evaluations 3"
STEP_SIZES = ("1e-5", "1e-3", "1e-2")


def main() -> None:
    """DQN on a small exact MDP."""
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory) / "sweep"
        flags = [*FLAGS.split(), "--learning-rate", *STEP_SIZES, "--run-dir", str(run_dir)]
        summary = jaxq.train("dqn", flags)
        curves = merge(load_curves(run_dir))
        plot_curves(curves, Path(directory) / "curves.png")  # as `jaxq plot` does
    print("curves:", "; ".join(curve.label for curve in curves))
    returns = collections.defaultdict(list)
    for member in summary["members"]:
        returns[member["setting"]["learning_rate"]].append(member["return"])
    best = max(returns, key=lambda step_size: sum(returns[step_size]))
    print(f"the best step size is {best:g}, with returns of {returns[best]}")


if __name__ == "__main__":
    main()
