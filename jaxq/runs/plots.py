"""Learning curves: the IQM over seeds, with 95% stratified-bootstrap intervals."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxq.errors import require
from jaxq.runs.aggregate import interquartile_mean, stratified_bootstrap_interval
from jaxq.runs.directory import load_config, read_metrics

# Sizes, grid and colours (Okabe and Ito's, told apart by the colour-blind) of every picture.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclasses.dataclass(frozen=True)
class Curve:
    """Evaluation returns of the seeds of one or more runs of an experiment on an environment.

    Attributes:
      label: what it is called in the legend.
      env: the environment.
      steps: [T] environment steps.
      returns: [T, seeds].
    """

    label: str
    env: str
    steps: np.ndarray
    returns: np.ndarray


def load_curve(run_dir: Path) -> Curve:
    """The evaluation curve of a run directory.

    Raises:
      InputError: if it holds no run, or one without an evaluation yet.
    """
    config = load_config(run_dir)
    experiment = config.get("experiment", run_dir.name)
    lines = [line for line in read_metrics(run_dir) if line.get("eval_return") and None not in line["eval_return"]]
    require(bool(lines), "run_dir", str(run_dir), "a run with at least one evaluation in metrics.jsonl")
    return Curve(
        label=experiment,
        env=config["env"],
        steps=np.array([line["step"] for line in lines]),
        returns=np.array([line["eval_return"] for line in lines]),
    )


def merge(curves: Sequence[Curve]) -> list[Curve]:
    """Curves of the same experiment and environment joined into one with all their seeds, at the steps they share."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.label, curve.env), []).append(curve)
    merged = []
    for (label, env), members in groups.items():
        shared = sorted(set.intersection(*(set(c.steps.tolist()) for c in members)))
        if not shared:
            merged.extend(members)
            continue
        columns = [c.returns[np.isin(c.steps, shared)] for c in members]
        merged.append(Curve(label, env, np.array(shared), np.concatenate(columns, axis=1)))
    return merged


def plot_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw learning curves into a picture, one panel an environment, and write it to `path` (png, pdf or svg)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter

    environments = list(dict.fromkeys(curve.env for curve in curves))
    labels = list(dict.fromkeys(curve.label for curve in curves))
    columns = min(len(environments), 3)
    rows = -(-len(environments) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.6 * rows), squeeze=False)
    for axis, env in zip(axes.flat, environments, strict=False):
        for curve in curves:
            if curve.env != env:
                continue
            colour = COLOURS[labels.index(curve.label) % len(COLOURS)]
            seeds = curve.returns.shape[1]
            middle = [interquartile_mean(row) for row in curve.returns]
            axis.plot(curve.steps, middle, color=colour, label=f"{curve.label} ({seeds} seed{'s' * (seeds > 1)})")
            if seeds > 1:
                low, high = zip(*(stratified_bootstrap_interval(row[None]) for row in curve.returns), strict=True)
                axis.fill_between(curve.steps, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.xaxis.set_major_formatter(EngFormatter())
        axis.set_title(env)
        axis.set_xlabel("environment steps of each seed")
        axis.set_ylabel("evaluation return (IQM, 95% interval)")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    for axis in axes.flat[len(environments) :]:
        axis.set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
