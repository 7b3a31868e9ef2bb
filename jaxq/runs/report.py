"""One page of several runs: curves, aggregates, speeds, configurations and films, all in one HTML file: `jaxq report`.

This module says what is on the page, as plain numbers; `report.js`, `.css` and `.html` draw it. Aggregates
over environments are those of rliable (Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical
Precipice, 2021), by `aggregate.py`.
"""

import base64
import datetime
import html
import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.errors import require, require_writable, warn
from jaxq.runs.aggregate import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap_interval,
)
from jaxq.runs.directory import finite_or_null
from jaxq.runs.plots import Curve, curves_of, merge
from jaxq.runs.results import Result, read

HERE = Path(__file__).parent
THRESHOLDS = 101
LARGEST_FILM = 6_000_000  # bytes, before they are written as text
TYPES = {".mp4": "video/mp4", ".gif": "image/gif"}


def write_report(paths: Sequence[Path], out: Path, *, title: str = "Runs", by: str | None = None) -> Path:
    """Write the page of the runs in these places.

    Args:
      paths: run directories, kept runs (files), or folders of both.
      out: the page, .html.
      title: at its head.
      by: tell runs of an experiment apart by this field alone, whatever else differs.

    Returns:
      `out`.

    Raises:
      InputError: if something is none of them, or no run has an evaluation yet.
    """
    require(bool(paths), "runs", [], "run directories, kept runs or folders of them")
    require_writable(out, ".html")
    runs = [run for path in paths for run in read(path)]
    out.write_text(page(contents(runs, by), title))
    return out


def page(values: Mapping[str, Any], title: str) -> str:
    """The HTML of the page's values, with its style, its script and no address of anything outside."""
    parts = {
        "title": html.escape(title),
        "style": (HERE / "report.css").read_text(),
        # Within <script> nothing but its end needs to be written otherwise.
        "values": json.dumps(finite_or_null({**values, "title": title}), separators=(",", ":")).replace("</", "<\\/"),
        "script": (HERE / "report.js").read_text(),
    }
    text = (HERE / "report.html").read_text()
    head, *rest = text.split("{{")
    pieces = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        pieces += [parts[name], after]
    return "".join(pieces)


def contents(runs: Sequence[Result], by: str | None = None) -> dict[str, Any]:
    """What the page shows, as values for JSON.

    Args:
      runs: of any experiments and environments; those that differ in seed alone are joined.
      by: as of `write_report`.

    Raises:
      InputError: if none has an evaluation yet.
    """
    evaluated = merge(_curves(runs, "eval_return"), by)
    require(bool(evaluated), "runs", [run.name for run in runs], "runs of which one has an evaluation")
    # Of short runs there may be no step at which each has ended an episode: then there is no such curve.
    told = _curves(runs, "episode_return")
    exploring = {(curve.label, curve.env): curve for curve in merge(told, by, lacking=True) if len(curve.steps)}
    labels = list(dict.fromkeys(curve.label for curve in evaluated))
    belongs = [(curve.label, run) for curve in evaluated for run in curve.runs]
    return {
        "agents": labels,
        "environments": list(dict.fromkeys(curve.env for curve in evaluated)),
        "curves": [_drawn(curve, exploring.get((curve.label, curve.env))) for curve in evaluated],
        "scores": [_score(curve) for curve in evaluated],
        "comparisons": [_comparison(group) for group in comparable(evaluated)],
        "speeds": [_speed(label, run) for label, run in belongs if run.summary.get("env_steps_per_second")],
        "configurations": _configurations(evaluated),
        "films": _films(belongs),
        "provenance": [_provenance(label, run) for label, run in belongs],
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "version": _version(),
    }


def _version() -> str:
    try:
        return importlib.metadata.version("jaxq")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is on the path, and not installed
        return ""


def _curves(runs: Sequence[Result], metric: str) -> list[Curve]:
    curves = []
    for run in runs:
        found = curves_of(run, metric)
        if not found and metric == "eval_return":
            warn(f"{run.name} has no evaluation yet, and is left out")
        curves += found
    return curves


def comparable(curves: Sequence[Curve]) -> list[list[Curve]]:
    """Agents that were run on the same environments, and those are two agents or more; larger comparisons first."""
    places: dict[str, set[str]] = {}
    for curve in curves:
        places.setdefault(curve.label, set()).add(curve.env)
    groups: dict[frozenset[str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault(frozenset(places[curve.label]), []).append(curve)
    several = [group for group in groups.values() if len({curve.label for curve in group}) > 1]
    return sorted(several, key=len, reverse=True)


def _numbers(values: Any, digits: int = 5) -> list[Any]:
    """Floats of so many digits, for they are drawn and not computed with; None where there is none."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in np.asarray(values, np.float64).tolist()]


def _intervals(returns: np.ndarray) -> dict[str, list[Any]]:
    """IQM and interval by row [T, seeds], and what single seeds do."""
    middle = [interquartile_mean(row) for row in returns]
    ends = [stratified_bootstrap_interval(row[None]) for row in returns] if returns.shape[1] > 1 else []
    return {
        "middle": _numbers(middle),
        "low": _numbers([low for low, _ in ends]),
        "high": _numbers([high for _, high in ends]),
        "seeds": [_numbers(column) for column in returns.T] if returns.shape[1] > 1 else [],
    }


def _drawn(curve: Curve, exploring: Curve | None) -> dict[str, Any]:
    kinds = {"evaluation": curve} | ({"exploring": exploring} if exploring is not None else {})
    return {
        "agent": curve.label,
        "env": curve.env,
        "kinds": {
            kind: {
                "steps": found.steps.tolist(),
                "seconds": _numbers(found.seconds),
                **_intervals(found.returns),
            }
            for kind, found in kinds.items()
        },
    }


def _score(curve: Curve) -> dict[str, Any]:
    """The last evaluation."""
    final = curve.returns[-1]
    low, high = stratified_bootstrap_interval(final[None]) if len(final) > 1 else (None, None)
    return {
        "agent": curve.label,
        "env": curve.env,
        "iqm": interquartile_mean(final),
        "low": low,
        "high": high,
        "mean": float(final.mean()),
        "lowest": float(final.min()),
        "highest": float(final.max()),
        "seeds": len(final),
        "steps": int(curve.steps[-1]),
    }


def _comparison(curves: Sequence[Curve]) -> dict[str, Any]:
    """Aggregates over the environments that all of these agents were run on.

    With several environments, scores are scaled so that the lowest and the highest last evaluation of any run here are
    0 and 1 in each.
    """
    environments = list(dict.fromkeys(curve.env for curve in curves))
    agents = list(dict.fromkeys(curve.label for curve in curves))
    final = {(curve.label, curve.env): curve.returns[-1] for curve in curves}
    ranges = {
        env: (
            min(float(final[agent, env].min()) for agent in agents),
            max(float(final[agent, env].max()) for agent in agents),
        )
        for env in environments
    }
    scaled = len(environments) > 1

    def scores(agent: str) -> list[np.ndarray]:
        found = []
        for env in environments:
            low, high = ranges[env]
            returns = final[agent, env]
            found.append((returns - low) / (high - low or 1.0) if scaled else returns)
        return found

    by_agent = {agent: scores(agent) for agent in agents}
    everything = np.concatenate([task for tasks in by_agent.values() for task in tasks])
    low, high = float(everything.min()), float(everything.max())
    thresholds = np.linspace(low, high if high > low else low + 1.0, THRESHOLDS)
    points, profiles = [], []
    for agent, tasks in by_agent.items():
        alone = all(len(task) == 1 for task in tasks)  # one seed each: there is nothing to draw again
        interval = (None, None) if alone else stratified_bootstrap_interval(tasks)
        iqm = interquartile_mean(np.concatenate(tasks))
        points.append({"agent": agent, "iqm": iqm, "low": interval[0], "high": interval[1]})
        middle, lower, upper = performance_profile(tasks, thresholds)
        profiles.append({"agent": agent, "middle": _numbers(middle), "low": _numbers(lower), "high": _numbers(upper)})
    return {
        "environments": environments,
        "scaled": scaled,
        "steps": [extreme(int(curve.steps[-1]) for curve in curves) for extreme in (min, max)],
        "ranges": {env: _numbers(ends) for env, ends in ranges.items()},
        "points": points,
        "thresholds": _numbers(thresholds),
        "profiles": profiles,
        "improvement": [
            {"agent": x, "over": y, **dict(zip(("probability", "low", "high"), found, strict=True))}
            for i, x in enumerate(agents)
            for y in agents[i + 1 :]
            for found in [_numbers(probability_of_improvement(by_agent[x], by_agent[y]), 4)]
        ],
    }


def _speed(label: str, run: Result) -> dict[str, Any]:
    names = ("env_steps_per_second", "updates_per_second", "compile_seconds", "wall_seconds", "device", "num_seeds")
    cores = run.provenance.get("cpu_count")
    return {"agent": label, "env": run.config["env"], "cores": cores, **{n: run.summary.get(n) for n in names}}


def _configurations(curves: Sequence[Curve]) -> dict[str, Any]:
    """Each agent's fields on each environment, and which of them differ anywhere."""
    names = list(dict.fromkeys(name for curve in curves for name in curve.setting))
    settings = [
        {"agent": curve.label, "env": curve.env, "values": {n: _shown(v) for n, v in curve.setting.items()}}
        for curve in curves
    ]
    return {"fields": names, "settings": settings}


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return "∞" if value == math.inf else f"{value:g}"
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return "–" if value is None else str(value)


def _films(belongs: Sequence[tuple[str, Result]]) -> list[dict[str, Any]]:
    """The first film of each agent on each environment, as data; of members of several settings the first one's."""
    films: dict[tuple[str, str], dict[str, Any]] = {}
    filmed: list[Result] = []
    for label, run in belongs:
        place = (label, run.config["env"])
        if run.film is None or place in films or any(run is other for other in filmed):
            continue
        filmed.append(run)
        size = run.film.stat().st_size
        if size > LARGEST_FILM:
            warn(f"{run.film} is left out: {size / 1e6:.0f} MB, of {LARGEST_FILM / 1e6:.0f} MB that a page may hold")
            continue
        kind = TYPES[run.film.suffix]
        data = base64.b64encode(run.film.read_bytes()).decode()
        films[place] = {"agent": label, "env": place[1], "type": kind, "data": f"data:{kind};base64,{data}"}
    return list(films.values())


def _provenance(label: str, run: Result) -> dict[str, Any]:
    found = run.provenance
    packages = found.get("packages", {})
    return {
        "agent": label,
        "env": run.config["env"],
        "name": run.name,
        "command": found.get("command"),
        "date": (found.get("date") or "")[:10],
        "revision": (found.get("git_revision") or "")[:7] + ("+" if found.get("git_dirty") else ""),
        "machine": f"{found.get('device')}, {found.get('cpu_count')} cores",
        "versions": f"Python {found.get('python')}, JAX {packages.get('jax')}",
    }
