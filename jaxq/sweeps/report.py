"""What has come of a study: a table, pictures, and the command that trains the best setting."""

import dataclasses
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from jaxq.configs import Run, in_words
from jaxq.errors import require
from jaxq.runs.command_line import parse
from jaxq.runs.directory import from_json
from jaxq.runs.plots import COLOURS
from jaxq.runs.scripts import command_of, load_script
from jaxq.sweeps.space import setting_of
from jaxq.sweeps.studies import superseded

CURVES = 10  # of the best trials


@dataclasses.dataclass(frozen=True)
class Row:
    """A trial in a table.

    Attributes:
      number: of it.
      state: in a word.
      value: mean return of the last evaluation, over its seeds.
      setting: by field.
    """

    number: int
    state: str
    value: float | None
    setting: Mapping[str, Any]


def status_of(study: Study) -> list[Row]:
    """The trials of a study, the best first, without those that were lost and begun again."""
    trials = study.get_trials(deepcopy=False)
    gone = superseded(trials)
    rows = [
        Row(trial.number, _state(trial), trial.value if trial.state == TrialState.COMPLETE else None, trial.params)
        for trial in trials
        if trial.number not in gone
    ]
    return sorted(rows, key=lambda row: (row.value is None, -(row.value or 0.0), row.number))


def _state(trial: FrozenTrial) -> str:
    if "diverged" in trial.user_attrs:
        return f"diverged at step {trial.user_attrs['diverged']:,}"
    if "refused" in trial.user_attrs:
        return f"refused: {trial.user_attrs['refused']}"
    if trial.state == TrialState.FAIL:
        return f"lost {trial.user_attrs.get('attempts', 1)} times"
    return trial.state.name.lower()


def _complete(study: Study) -> list[FrozenTrial]:
    """The trials that came to their end, the best first.

    Raises:
      InputError: if there is none.
    """
    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    require(bool(found), "study", study.study_name, "one with a trial that has come to its end")
    return sorted(found, key=lambda trial: -(trial.value or 0.0))


def best_of(study: Study, script: Path) -> tuple[FrozenTrial, str]:
    """The best trial, and the command that trains its setting.

    Args:
      study: with a trial that has come to its end.
      script: the experiment's file.

    Raises:
      InputError: if there is no such trial.
    """
    best = _complete(study)[0]
    module: Any = load_script(script, f"jaxq_sweep_{script.stem}")
    config = from_json(module.Config, study.user_attrs["config"])
    setting = setting_of(best, module.build, config)
    trained = vars(config.with_setting(setting))
    default = parse(module.Config, module.PRESETS, ["--env", study.user_attrs["env"]])
    fields = {name: trained[name] for name in study.user_attrs["config"]}
    return best, training_command(script, default, fields, setting)


def training_command(script: Path, default: Run, fields: Mapping[str, Any], chosen: Collection[str] = ()) -> str:
    """The command that trains by these fields; the environment's defaults are left out, but for those `chosen`."""
    words = [*shlex.split(command_of(script)), "--env", fields.get("env", default.env)]
    for field in dataclasses.fields(default):
        name = field.name
        if name in ("env", "population") or name not in fields:
            continue
        if fields[name] == getattr(default, name) and name not in chosen:
            continue
        flag, value = name.replace("_", "-"), fields[name]
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def importance_of(study: Study) -> dict[str, float]:
    """How much of the difference between good settings and all others each field makes, by PED-ANOVA; sums to one.

    Watanabe et al., PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces, 2023.
    Empty where there are too few trials to tell.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(trials) < 4 or len({trial.value for trial in trials}) < 2:
        return {}
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def plot_study(study: Study, path: Path) -> None:
    """Draw a study: how important each field is, all settings as parallel coordinates, and the curves of the best.

    Raises:
      InputError: if no trial has come to its end.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    trials = _complete(study)
    figure, axes = plt.subplots(1, 3, figsize=(16, 4.6), gridspec_kw={"width_ratios": [1, 2, 1.4]})
    _draw_importance(axes[0], importance_of(study), list(trials[0].params))
    _draw_parallel(axes[1], trials)
    _draw_curves(axes[2], trials[:CURVES])
    figure.suptitle(f"{study.study_name}: {study.user_attrs['experiment']} on {study.user_attrs['env']}")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_importance(axis: Any, importance: Mapping[str, float], names: Sequence[str]) -> None:
    shown = importance or dict.fromkeys(names, 0.0)
    axis.barh(list(shown)[::-1], list(shown.values())[::-1], color=COLOURS[0])
    axis.set_xlim(0, 1)
    axis.set_title("importance (PED-ANOVA)" if importance else "importance: too few trials to tell")


def _draw_parallel(axis: Any, trials: Sequence[FrozenTrial]) -> None:
    """A vertical line for each field, a polyline for each setting, coloured by its return."""
    import matplotlib

    names = list(trials[0].params)
    values = np.array([trial.value for trial in trials])
    colour = matplotlib.colormaps["viridis"]
    scale = matplotlib.colors.Normalize(values.min(), values.max() if np.ptp(values) else values.min() + 1.0)
    heights, ticks = zip(*(_heights(trials, name) for name in names), strict=True)
    axes = [*range(len(names)), len(names)]
    for i in range(len(trials) - 1, -1, -1):  # the best on top
        line = [*(column[i] for column in heights), float(scale(values[i]))]
        axis.plot(axes, line, color=colour(scale(values[i])), alpha=0.8, linewidth=1.2)
    for x, (low, high) in enumerate([*ticks, (f"{values.min():.4g}", f"{values.max():.4g}")]):
        axis.axvline(x, color="black", linewidth=0.8)
        axis.annotate(low, (x, -0.02), ha="center", va="top", fontsize=8)
        axis.annotate(high, (x, 1.02), ha="center", va="bottom", fontsize=8)
    axis.set_xticks(axes, [*names, "return"], rotation=20)
    axis.set_yticks([])
    axis.set_ylim(-0.12, 1.12)


def _heights(trials: Sequence[FrozenTrial], name: str) -> tuple[list[float], tuple[str, str]]:
    """Where each trial crosses the line of a field, from 0 to 1, and what its ends stand for."""
    own: Any = trials[0].distributions[name]
    told = [trial.params[name] for trial in trials]
    if isinstance(own, optuna.distributions.CategoricalDistribution):
        last = max(len(own.choices) - 1, 1)
        return [own.choices.index(value) / last for value in told], (str(own.choices[0]), str(own.choices[-1]))
    change = np.log if own.log else np.asarray
    low, high = (float(change(float(end))) for end in (own.low, own.high))
    span = max(high - low, 1e-12)
    return [(float(change(float(value))) - low) / span for value in told], (f"{own.low:g}", f"{own.high:g}")


def _draw_curves(axis: Any, trials: Sequence[FrozenTrial]) -> None:
    from matplotlib.ticker import EngFormatter

    for i, trial in enumerate(trials):
        steps = sorted(trial.intermediate_values)
        line = [trial.intermediate_values[step] for step in steps]
        label = f"trial {trial.number}: {in_words(trial.params)}"
        axis.plot(steps, line, color=COLOURS[i % len(COLOURS)], label=label, linewidth=1.0)
    axis.xaxis.set_major_formatter(EngFormatter())
    axis.set_xlabel("environment steps of each seed")
    axis.set_ylabel("evaluation return (mean)")
    axis.set_title(f"the best {len(trials)}")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=7)
