"""Learning curves: the IQM over seeds, with 95% stratified-bootstrap intervals."""

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.configs import SESSION_FIELDS
from jaxq.errors import require, warn
from jaxq.runs.aggregate import interquartile_mean, stratified_bootstrap_interval
from jaxq.runs.directory import load_config
from jaxq.runs.results import Result, read

LONGEST_WITHIN = 24  # letters of a curve's name in a legend within its panel
PICTURES = (".png", ".pdf", ".svg")  # how the files of pictures end
# Of every picture: Okabe and Ito's, told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# What may differ between runs that are seeds of one setting: whose seeds they are, and how a run is driven.
OF_A_SESSION = {*SESSION_FIELDS, "seed", "num_seeds", "population"}


@dataclasses.dataclass(frozen=True)
class Curve:
    """Returns of the seeds of one or more runs of an experiment on an environment.

    Attributes:
      label: what it is called in the legend.
      env: the environment.
      steps: [T] environment steps.
      returns: [T, seeds].
      setting: the fields of the configuration, but for those of the session, the seeds and the environment.
      seeds: of the columns of `returns`.
      seconds: [T] that had passed, the mean over runs.
      runs: that it is of.
    """

    label: str
    env: str
    steps: np.ndarray
    returns: np.ndarray
    setting: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    seconds: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    runs: tuple[Result, ...] = ()


def load_curves(path: Path) -> list[Curve]:
    """The evaluation curves of a run directory or a kept run, by the settings of its members; none before the first.

    Members without a last return, such as those that diverged, have none. A directory of several programs has the
    curves of all.

    Raises:
      InputError: if it holds no run.
    """
    if not path.is_file():
        load_config(path)
    return [curve for run in read(path) for curve in curves_of(run)]


def curves_of(run: Result, metric: str = "eval_return") -> list[Curve]:
    """As of `load_curves`, of evaluations, or with `episode_return` of the episodes that ended while exploring."""
    config, evaluated, returns = run.config, run.curve["eval_return"], run.curve[metric]
    evaluations = [row for row in evaluated if set(row or [None]) != {None}]
    if not evaluations:
        return []
    # None as what is absent: a run of an earlier version lacks the fields that have come since.
    said = {k: v for k, v in config.items() if v is not None}
    shared = {k: v for k, v in said.items() if k not in OF_A_SESSION and k not in ("env", "experiment")}
    members = config.get("population") or [{"seed": config["seed"] + i} for i in range(config["num_seeds"])]
    controlled = config.get("controller", "none") != "none"
    if controlled:  # members change their numbers: all are one setting, whoever begins with which seed
        members = [{"seed": member["seed"]} for member in members]
    groups: dict[str, list[int]] = {}
    for i, member in enumerate(members):
        groups.setdefault(json.dumps({**member, "seed": None}, sort_keys=True), []).append(i)
    curves = []
    for group in groups.values():
        kept = [i for i in group if evaluations[-1][i] is not None]
        if len(kept) < len(group) and metric == "eval_return":
            warn(f"{run.name}: {len(group) - len(kept)} of {len(group)} members of one setting have no last return")
        known = [t for t, row in enumerate(returns) if row and all(row[i] is not None for i in kept)]
        if kept and known:
            setting = {k: v for k, v in members[kept[0]].items() if k != "seed"}
            curve = Curve(
                label=config.get("experiment", run.name),
                env=config["env"],
                steps=np.array([run.curve["step"][t] for t in known]),
                returns=np.array([[returns[t][i] for i in kept] for t in known]),
                setting={**shared, **setting},
                seeds=() if controlled else tuple(members[i]["seed"] for i in kept),
                seconds=np.array([run.curve["wall_seconds"][t] for t in known], np.float64),
                runs=(run,),
            )
            curves.append(curve)
    return curves


def merge(curves: Sequence[Curve], by: str | None = None, lacking: bool = False) -> list[Curve]:
    """Runs whose configurations differ in seed alone, each group as one curve with all their seeds, at shared steps.

    Groups of one experiment are labelled by the fields in which those of some environment differ, the same on all.

    Args:
      curves: of single runs.
      by: a field by which alone runs are told apart; what else differs among the joined is warned of.
      lacking: whether runs may have no steps in common, or there be none; such curves have no steps.

    Raises:
      InputError: if `by` is a field of none of the runs, or runs that belong together share no step.
    """
    known = sorted({name for curve in curves for name in curve.setting})
    require(by is None or by in known or lacking, "by", by, f"a field of the runs ({', '.join(known)})")

    def identity(curve: Curve) -> str:
        told = {by: curve.setting.get(by)} if by else curve.setting
        return json.dumps(told, sort_keys=True, default=str)

    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.label, curve.env, identity(curve)), []).append(curve)
    merged = []
    for (label, _, _), members in groups.items():
        rivals: dict[str, list[Curve]] = {}
        for (other, place, _), group in groups.items():
            if other == label:
                rivals.setdefault(place, []).extend(group)
        several = sum(other == label for other, _, _ in groups) > len(rivals)  # on some environment
        differing = {name for curves in rivals.values() for name in _differing(curves)} if several else set()
        names = [by] if by and several else sorted(differing)
        shown = ", ".join(f"{name} {members[0].setting.get(name)}" for name in names)
        merged.append(_joined(members, f"{label}, {shown}" if shown else label, lacking))
    return merged


def _differing(curves: Sequence[Curve]) -> list[str]:
    """The fields in which some settings differ."""
    names = {name for curve in curves for name in curve.setting}
    values = {name: {json.dumps(curve.setting.get(name), default=str) for curve in curves} for name in names}
    return sorted(name for name in names if len(values[name]) > 1)


def _joined(members: Sequence[Curve], label: str, lacking: bool) -> Curve:
    unlike = _differing(members)
    if unlike:
        warn(f"{label}: runs that differ in {', '.join(unlike)} are joined")
    counted = collections.Counter(seed for curve in members for seed in curve.seeds)
    twice = sorted(seed for seed, count in counted.items() if count > 1)
    if twice:
        warn(f"{label}: seeds {', '.join(map(str, twice))} are counted more than once")
    shared = sorted(set.intersection(*(set(curve.steps.tolist()) for curve in members)))
    require(bool(shared) or lacking, "run_dirs", label, "runs of one setting with evaluations at the same steps")
    rows = [np.isin(curve.steps, shared) for curve in members]
    columns = [curve.returns[kept] for curve, kept in zip(members, rows, strict=True)]
    timed = [curve.seconds[kept] for curve, kept in zip(members, rows, strict=True) if len(curve.seconds)]
    return dataclasses.replace(
        members[0],
        label=label,
        steps=np.array(shared, int),
        returns=np.concatenate(columns, axis=1),
        seeds=tuple(seed for curve in members for seed in curve.seeds),
        seconds=np.mean(timed, axis=0) if len(timed) == len(members) else np.zeros(0),
        runs=tuple(run for curve in members for run in curve.runs),
    )


def plot_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw learning curves into a picture, one panel an environment, and write it to `path` (png, pdf or svg)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter

    environments = list(dict.fromkeys(curve.env for curve in curves))
    labels = list(dict.fromkeys(curve.label for curve in curves))
    longest = max(map(len, labels))
    many = len(labels) > 6
    below = len(labels) > 3 or longest > LONGEST_WITHIN  # where a legend within a panel would cover the curves
    columns = min(len(environments), 3)
    rows = -(-len(environments) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.6 * rows), squeeze=False)
    for axis, env in zip(axes.flat, environments, strict=False):
        for curve in curves:
            if curve.env != env:
                continue
            again, place = divmod(labels.index(curve.label), len(COLOURS))
            colour, line = COLOURS[place], ("-", "--", ":")[again % 3]
            seeds = curve.returns.shape[1]
            middle = [interquartile_mean(row) for row in curve.returns]
            told = f"{curve.label} ({seeds} seed{'s' * (seeds > 1)})"
            axis.plot(curve.steps, middle, line, color=colour, label=told)
            if seeds > 1:
                low, high = zip(*(stratified_bootstrap_interval(row[None]) for row in curve.returns), strict=True)
                axis.fill_between(curve.steps, low, high, color=colour, alpha=0.1 if many else 0.2, linewidth=0)
        axis.xaxis.set_major_formatter(EngFormatter())
        axis.set_title(env)
        axis.set_xlabel("environment steps of each seed")
        axis.set_ylabel("evaluation return (IQM, 95% interval)")
        axis.grid(alpha=0.3)
        if not below:
            axis.legend(frameon=False)
    for axis in axes.flat[len(environments) :]:
        axis.set_visible(False)
    figure.tight_layout()
    if below:
        drawn: dict[str, Any] = {}
        for axis in axes.flat:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                drawn.setdefault(label, handle)
        fitting = int(5.2 * columns / (0.08 * max(map(len, drawn)) + 0.6))  # a letter has about 0.08 inches
        figure.legend(
            list(drawn.values()),
            list(drawn),
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=min(max(fitting, 1), 5),
            frameon=False,
        )
    figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(figure)
