"""The section of docs/results.md about a GPU, from what the slices of `benchmarks.gpu` left."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_slices import SLICES
from benchmarks.scale_report import population_rows
from benchmarks.tables import backups_table, machine, ratio_table
from benchmarks.timing import RESULTS

Parts = Mapping[str, Mapping[str, Any]]


def loops_table(parts: Parts) -> str:
    """Speeds of training loops, and medians over the rounds of what they are of the first's."""
    lines = [
        "| loop | steps/s | times the first | compiling, s | peak of the device's memory, MB | bits of the agent |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    digests: dict[str, str] = {}
    first = np.array(next(iter(parts.values())).get("steps_per_second", []))
    for name, part in parts.items():
        if "error" in part:
            lines.append(f"| {name} | {part['error']} | | | | |")
            continue
        rates = np.array(part["steps_per_second"])
        peak = part.get("device_peak_bytes")
        ratio = f"{np.median(rates / first):.2f}" if len(rates) == len(first) else ""
        lines.append(
            f"| {name} | {np.median(rates):,.0f} | {ratio} | {part['compile_seconds']:.0f} "
            f"| {'' if peak is None else f'{peak / 1e6:,.0f}'} | {_letter(digests, part.get('agent_sha256'))} |"
        )
    commands = dict.fromkeys(f"    jaxq train {part['command']}" for part in parts.values() if "command" in part)
    return "\n\n".join(["\n".join(lines), "\n".join(commands)])


def _letter(known: dict[str, str], digest: str | None) -> str:
    """A letter for each digest, in the order they are seen: what has the same letter has the same bits."""
    return "" if digest is None else known.setdefault(digest, chr(ord("A") + len(known)))


def trainings_table(parts: Parts) -> str:
    """Seconds to a return, and how far those came that did not reach it."""
    lines = [
        "| training | return | reached, s | first line, s | steps/s with tests | best test | after s | steps |",
        "| --- |" + " ---: |" * 7,
    ]
    for name, part in parts.items():
        tests = part["tests"]
        seconds, steps, best = max(tests, key=lambda test: test[2]) if tests else (None, None, None)
        first, rate = part.get("first_line_seconds"), part.get("steps_per_second_with_evaluations")
        reached = part["reached_seconds"]
        lines.append(
            f"| {name} | {part['target']:g} | {_whole(reached) or 'not reached'} | {_whole(first)} | {_whole(rate)} "
            f"| {'' if best is None else f'{best:.1f}'} | {_whole(seconds)} | {_whole(steps)} |"
        )
    return "\n".join(lines)


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def populations_table(measured: dict[str, Any]) -> str:
    """Steps per second against size, beside the products alone."""
    lines = ["| members | steps/s of all | times one member | products alone, steps/s | share of them |"]
    return "\n".join([*lines, "|" + " ---: |" * 5, *population_rows(measured)])


def _told(parts: Parts) -> str:
    """One table for whatever kind of parts these are."""
    if all("tests" in _run_of(part) for part in parts.values()):
        return trainings_table({name: _run_of(part) for name, part in parts.items()})
    (part,) = parts.values() if len(parts) == 1 else ({},)
    if "backups" in part:
        return backups_table(part["backups"])
    if "populations" in part:
        (measured,) = part["populations"].values()
        return populations_table(measured)
    if "replay" in part:
        return ratio_table(part["replay"]["iterations_per_second"], "iterations/s")
    return loops_table(parts)


def _run_of(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a baseline what it wrote, of a training of ours what was said of it."""
    return part.get("brax_playground", part)


def sections(folder: Path = RESULTS / "gpu") -> list[str]:
    """All slices that there are results of."""
    found = {name: json.loads(path.read_text()) for name in SLICES if (path := folder / f"{name}.json").exists()}
    if not found:
        return []
    told = [
        "## On a GPU",
        f"Measured by `make bench-gpu` on: {machine(found)}. Loops are timed in segments, in turn, compilation "
        "excluded; seconds to a return are since the training began, with the compilation of what was not cached. No "
        "robot has reached its return yet: a policy that has learned nothing, and stands, has 14 to 18 already, so "
        "that what stands here tells of speed and not of learning. *unrolled N*: loops in blocks of N steps. *first "
        "line*: from the start to the first metrics.",
    ]
    for name, result in found.items():
        unfinished = "" if result["finished"] else ", which is not finished"
        told += [
            f"### {SLICES[name].title}",
            f"`python -m benchmarks.gpu --only {name}`{unfinished}. {result.get('note', '')}".rstrip(),
            _told(result["parts"]),
        ]
    return told
