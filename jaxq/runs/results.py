"""Results: what is read from runs, be they directories or kept, each as one file without pictures and scripts."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.errors import InputError, require
from jaxq.runs.directory import load_config, read_json, read_metrics

KEPT = ("step", "episode_return", "episode_length", "episodes", "eval_return", "eval_length", "wall_seconds")
DIGITS = 7


FILMS = ("video.mp4", "video.gif")


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run has come to.

    Attributes:
      name: of the directory, or of the file without its ending.
      config, provenance, summary: of the run directory; of a run that is not over the summary is empty.
      curve: by metric, one value a line of metrics.jsonl: a number, or a list with one a seed; None where missing.
      film: of the trained policy, if the directory has one.
    """

    name: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    summary: dict[str, Any]
    curve: dict[str, list[Any]]
    film: Path | None = None

    @property
    def returns(self) -> np.ndarray:
        """[seeds] of the last evaluation."""
        return np.array(self.summary["returns"])

    @property
    def command(self) -> str:
        """What was run."""
        return self.provenance["command"]


def of_directory(run_dir: Path) -> Result:
    """What is in a run directory so far.

    Raises:
      InputError: if it holds no run.
    """
    config = load_config(run_dir)
    lines = read_metrics(run_dir)
    films = (run_dir / film for film in FILMS)
    return Result(
        run_dir.name,
        config,
        read_json(run_dir / "provenance.json"),
        read_json(run_dir / "summary.json"),
        {metric: [line.get(metric) for line in lines] for metric in KEPT},
        next((film for film in films if film.exists()), None),
    )


def keep(run_dir: Path, path: Path) -> None:
    """Write a run directory as one file, a line a metric, so that it stays small and its changes can be read."""
    run = of_directory(run_dir)
    curve = {metric: [_rounded(value) for value in values] for metric, values in run.curve.items()}
    columns = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in curve.items())
    parts = {"config": run.config, "provenance": run.provenance, "summary": run.summary}
    heads = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in parts.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{\n{heads},\n  "curve": {{\n{columns}\n  }}\n}}\n')


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def load(path: Path) -> Result:
    """What `keep` wrote.

    Raises:
      InputError: if it did not write this file.
    """
    try:
        return Result(path.stem, **json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is not a kept run ({reason})") from None


def read(path: Path) -> list[Result]:
    """A run directory, a kept run, or all of both that a folder holds, by name; of several programs each is a run.

    Raises:
      InputError: if it is none of them.
    """
    require(path.exists(), "runs", str(path), "a run directory, a kept run or a folder of them")
    if path.is_file():
        return [load(path)]
    parts = [config.parent for config in sorted(path.glob("*/config.json"))]
    if (path / "config.json").exists() and not parts:
        return [of_directory(path)]
    found = [run for part in parts for run in read(part)]
    found += [load(file) for file in sorted(path.glob("*.json"))] if not (path / "config.json").exists() else []
    require(bool(found), "runs", str(path), "a run directory, a kept run or a folder of them")
    return found
