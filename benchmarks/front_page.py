"""The two pictures of the README: wall-clock to solve, and throughput against environments and seeds.

python -m benchmarks.front_page

Drawn from benchmarks/results/time_to_return.json and growth.json into docs/images/; what was not measured is not drawn.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.time_to_return import by_contender
from benchmarks.timing import RESULTS

IMAGES = Path(__file__).parent.parent / "docs" / "images"
OURS, THEIRS, LIMIT, GREY = "#1f6feb", "#8b949e", "#bf8700", "#57606a"


def wall_clock(results: dict[str, Any]) -> plt.Figure:
    """A panel a task, a bar a program: the median over seeds, with the seeds as points.

    Args:
      results: what `benchmarks.time_to_return` wrote.
    """
    figure, axes = plt.subplots(1, len(results), figsize=(4.6 * len(results), 2.8), squeeze=False)
    for axis, setting in zip(axes[0], results.values(), strict=True):
        seconds = by_contender(setting)
        longest = max((value for values in seconds.values() for value in values if value), default=1.0)
        for place, (name, values) in enumerate(seconds.items()):
            reached = [value for value in values if value is not None]
            median = float(np.median([np.inf if value is None else value for value in values]))
            colour = OURS if name.startswith("jaxq") else THEIRS
            if np.isfinite(median):
                axis.barh(place, median, color=colour, height=0.62)
                axis.text(max(reached), place, f"  {median:,.0f} s", va="center", fontsize=9)
            else:
                axis.text(0.0, place, f" not in {len(values) - len(reached)} of {len(values)} seeds", va="center",
                          fontsize=9, color=GREY)  # fmt: skip
            axis.plot(reached, [place] * len(reached), ".", color="black", markersize=4)
        axis.set_yticks(range(len(seconds)), list(seconds))
        axis.set_ylim(len(seconds) - 0.5, -0.5)
        axis.set_xlim(0.0, 1.25 * longest)
        axis.set_title(f"{setting['title'].partition(' (')[0]}, a return of {setting['target']:,.0f}", fontsize=9)
        axis.set_xlabel("seconds, compilation included")
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def growth(results: dict[str, Any]) -> plt.Figure:
    """With environments and with seeds, a line a program: the median of its rates, and between which rounds lie.

    Args:
      results: what `benchmarks.growth` wrote: by kind, `title`, `axis`, and `rates` by program and by size.
    """
    kinds = [results[kind] for kind in ("environments", "seeds") if kind in results]
    figure, axes = plt.subplots(1, len(kinds), figsize=(4.6 * len(kinds), 3.2), squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        for name, by_size in kind["rates"].items():
            sizes = sorted(by_size, key=int)
            rates = [np.array(by_size[size]) for size in sizes]
            ours = name.startswith("jaxq")
            colour = OURS if ours else LIMIT if name == "environment alone" else THEIRS
            axis.plot([int(size) for size in sizes], [np.median(r) for r in rates], "o-" if ours else "s--",
                      label=name, markersize=3, color=colour)  # fmt: skip
            axis.fill_between([int(size) for size in sizes], [r.min() for r in rates], [r.max() for r in rates],
                              alpha=0.15, color=colour)  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel=kind["axis"], ylabel="environment steps a second")
        axis.set_title(kind["title"], fontsize=9)
        axis.legend(frameon=False, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def main() -> None:
    """Draw what was measured."""
    IMAGES.mkdir(exist_ok=True)
    for file, draw in (("time_to_return", wall_clock), ("growth", growth)):
        path = RESULTS / f"{file}.json"
        if path.exists():
            figure = draw(json.loads(path.read_text()))
            figure.savefig(IMAGES / f"{file}.png", dpi=150)
            print(IMAGES / f"{file}.png")


if __name__ == "__main__":
    main()
