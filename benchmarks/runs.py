"""Kept runs: each one file with its configuration, provenance, summary and curve, and no pictures or scripts."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.runs.directory import read_metrics

RUNS = Path(__file__).parent / "results" / "runs"
KEPT = ("step", "episode_return", "episode_length", "episodes", "eval_return", "eval_length", "wall_seconds")
DIGITS = 7


@dataclasses.dataclass(frozen=True)
class KeptRun:
    """A run as it is kept.

    Attributes:
      name: of the file, without its ending.
      config, provenance, summary: of the run directory.
      curve: by metric, one value a line of metrics.jsonl: a number, or a list with one a seed; None where missing.
    """

    name: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    summary: dict[str, Any]
    curve: dict[str, list[Any]]

    @property
    def returns(self) -> np.ndarray:
        """[seeds] of the last evaluation."""
        return np.array(self.summary["returns"])

    @property
    def command(self) -> str:
        """What was run."""
        return self.provenance["command"]


def keep(run_dir: Path, path: Path) -> None:
    """Write a run directory as one file, a line a metric, so that it stays small and its changes can be read."""
    parts = {name: json.loads((run_dir / f"{name}.json").read_text()) for name in ("config", "provenance", "summary")}
    lines = read_metrics(run_dir)
    curve = {metric: [_rounded(line[metric]) for line in lines] for metric in KEPT}
    columns = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in curve.items())
    heads = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in parts.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{\n{heads},\n  "curve": {{\n{columns}\n  }}\n}}\n')


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def load(path: Path) -> KeptRun:
    """What `keep` wrote."""
    return KeptRun(path.stem, **json.loads(path.read_text()))


def kept(*prefixes: str, but: tuple[str, ...] = ()) -> list[KeptRun]:
    """All kept runs whose names begin so (or all), but for those that begin otherwise; by name."""
    paths = sorted(RUNS.glob("*.json"))
    return [load(p) for p in paths if p.stem.startswith(prefixes or ("",)) and not (but and p.stem.startswith(but))]
