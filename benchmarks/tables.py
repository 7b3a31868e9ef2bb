"""Tables of docs/results.md that several sections have."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import cells


def ratio_table(rates: dict[str, list[float]], unit: str) -> str:
    """Median rate of each contender, and the median over rounds of the first one's ratio to it."""
    ours = np.array(next(iter(rates.values())))
    lines = [f"| contender | {unit} | jaxq's speed over it |", "| --- | ---: | ---: |"]
    for name, values in rates.items():
        ratio = float(np.median(ours / np.array(values)))
        lines.append(f"| {name} | {np.median(values):,.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def timing_table(results: dict[str, Any], columns: str, described: Callable[[str, dict[str, Any]], str]) -> str:
    """Median microseconds of each contender, and how many times longer than the first.

    Args:
      results: what `benchmarks.timing.measure` wrote.
      columns: titles of the first columns, with bars between them.
      described: the same columns of a row, from the setting's name and results.
    """
    names = list(dict.fromkeys(name for measured in results.values() for name in measured["seconds"]))
    count = columns.count("|") + len(names)
    lines = [f"| {columns} | {' | '.join(f'{name}, µs' for name in names)} |", "| --- |" + " ---: |" * count]
    for setting, measured in results.items():
        found = cells(measured["seconds"])
        lines.append(f"| {described(setting, measured)} | {' | '.join(found.get(name, '') for name in names)} |")
    return "\n".join(lines)


def backups_table(results: dict[str, Any]) -> str:
    """`timing_table` of what `benchmarks.backups` wrote."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        del measured
        kind, batch, size = setting.split("-")
        return f"{kind} | {int(batch):,} | {size}"

    return timing_table(results, "backup | batch | size", described)


def machine(results: dict[str, Any]) -> str:
    """Where the throughput was measured."""
    seen = []
    for setting in results.values():
        p = setting["provenance"]
        processor = f" ({p['processor']})" if p.get("processor") else ""
        line = f"{p['device']}{processor}, {p['cpu_count']} cores, Python {p['python']}, JAX {p['packages']['jax']}"
        if line not in seen:
            seen.append(line)
    return "; ".join(seen)
