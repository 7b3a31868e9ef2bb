"""Sweep over step sizes: a run each, seeds side by side, one picture of all, and the best.

python examples/sweep.py
"""

import tempfile
from pathlib import Path

import jaxq
from experiments.discrete import dqn
from jaxq.runs.plots import load_curve, merge, plot_curves

STEP_SIZES = (1e-5, 1e-3, 1e-2)


def main() -> None:
    """DQN on a small exact MDP, two seeds of every step size."""
    with tempfile.TemporaryDirectory() as directory:
        returns = {}
        for step_size in STEP_SIZES:
            run_dir = Path(directory) / f"{step_size:g}"
            flags = ["--env", "tabular/Chain", "--num-seeds", "2", "--total-steps", "6000", "--epsilon-steps", "0.5"]
            flags += ["--learning-rate", f"{step_size:g}", "--num-evaluations", "3", "--run-dir", str(run_dir)]
            summary = jaxq.run(dqn.build, jaxq.parse(dqn.Config, dqn.PRESETS, flags))
            returns[step_size] = summary["return_mean"]
        curves = merge([load_curve(Path(directory) / f"{step_size:g}") for step_size in STEP_SIZES])
        plot_curves(curves, Path(directory) / "curves.png")
        print("curves:", "; ".join(curve.label for curve in curves))
    best = max(returns, key=returns.__getitem__)
    print(f"the best step size is {best:g}, with a return of {returns[best]:.2f}")


if __name__ == "__main__":
    main()
