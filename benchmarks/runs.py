"""The kept runs that the results are made of, one file each."""

from pathlib import Path

from jaxq.runs.results import Result, load

RUNS = Path(__file__).parent / "results" / "runs"


def kept(*prefixes: str, but: tuple[str, ...] = ()) -> list[Result]:
    """All kept runs whose names begin so (or all), but for those that begin otherwise; by name."""
    paths = sorted(RUNS.glob("*.json"))
    return [load(p) for p in paths if p.stem.startswith(prefixes or ("",)) and not (but and p.stem.startswith(but))]
