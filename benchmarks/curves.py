"""Learning curves of the suites' kept runs, a panel a task, into docs/images/.

python -m benchmarks.curves

Greedy evaluations over the run, with the seeds' interquartile means; docs/results.md shows what was drawn.
"""

from pathlib import Path

from benchmarks.pictures import IMAGES, in_few_colours
from benchmarks.runs import RUNS
from benchmarks.suites import suites
from jaxq.runs.plots import load_curves, merge, plot_curves

SUITES = ("minatar", "control", "robots")


def picture(suite: str) -> Path:
    """Where the curves of a suite are drawn."""
    return IMAGES / f"curves-{suite}.png"


def shown(suite: str) -> list[str]:
    """The picture, as a page of docs/ shows it; nothing where it was not drawn."""
    path = picture(suite)
    return [f"![Greedy evaluations of the suite {suite}, over the steps](images/{path.name})"] if path.exists() else []


def main() -> None:
    """Draw those of which there are runs."""
    for suite in SUITES:
        kept = [path for path in (RUNS / f"{name}.json" for name in sorted(suites([])[suite])) if path.exists()]
        curves = merge([curve for path in kept for curve in load_curves(path)])
        if curves:
            plot_curves(sorted(curves, key=lambda curve: (curve.env, curve.label)), picture(suite))
            in_few_colours(picture(suite))
            print(picture(suite))


if __name__ == "__main__":
    main()
