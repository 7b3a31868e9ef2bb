"""The kept runs that the results are made of, one file each."""

from pathlib import Path

from jaxq.runs.results import Result, load

RUNS = Path(__file__).parent / "results" / "runs"


def kept(*prefixes: str, but: tuple[str, ...] = ()) -> list[Result]:
    """All kept runs whose names begin so (or all), but for those that begin otherwise; by name."""
    paths = sorted(RUNS.glob("*.json"))
    return [load(p) for p in paths if p.stem.startswith(prefixes or ("",)) and not (but and p.stem.startswith(but))]


def command_of(run: Result) -> list[str]:
    """The experiment and its flags that a kept run was run by, as suites have them."""
    words = run.command.split(" --run-dir")[0].split()
    script = next((i for i, word in enumerate(words) if word.endswith(".py")), 0)
    return [Path(words[script]).stem, *words[script + 1 :]]


def as_typed(run: Result) -> str:
    """The command that a kept run was run by, as one types it wherever the scripts lie."""
    return " ".join(["jaxq train", *command_of(run)])
