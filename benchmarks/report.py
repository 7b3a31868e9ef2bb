"""Writes docs/results.md from the raw results: every number in the documentation comes from here.

python -m benchmarks.report
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gpu_report, learning_report, scale_report
from benchmarks.runs import RUNS
from benchmarks.suites import suites
from benchmarks.tables import backups_table, machine, ratio_table, timing_table
from benchmarks.throughput_report import costs_section, growth_section, throughput_section
from benchmarks.time_to_return import by_contender
from benchmarks.timing import RESULTS

ROOT = Path(__file__).parent.parent


def time_to_return_section(results: dict[str, Any]) -> str:
    """Seconds from starting each program to a return."""
    lines = [
        "| task and return | program | seconds, by seed | median | times the first row's |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for setting in results.values():
        seconds = by_contender(setting)
        ours = None
        for i, (name, values) in enumerate(seconds.items()):
            shown = ", ".join("not reached" if v is None else f"{v:,.0f}" for v in values)
            median = float(np.median([np.inf if v is None else v for v in values]))
            ours = ours or median
            measured = f"{median:,.0f} | {median / ours:.1f}" if np.isfinite(median) else "- | -"
            lines.append(f"| {setting['title'] if i == 0 else ''} | {name} | {shown} | {measured} |")
    commands = dict.fromkeys(run["command"] for setting in results.values() for run in setting["runs"])
    earlier = [
        f"seed {run['seed']} of {setting['title']} at {run['git_revision'][:7]}"
        for setting in results.values()
        for run in setting["runs"]
        if run.get("git_revision", setting["provenance"]["git_revision"]) != setting["provenance"]["git_revision"]
    ]
    when = f" Run before the others of their task: {', '.join(dict.fromkeys(earlier))}." if earlier else ""
    return "\n\n".join(
        [
            "### Time to a return",
            f"Measured by `python -m benchmarks.time_to_return` on: {machine(results)}. Wall-clock from starting a "
            "program to the first test of five episodes with that mean return; imports, compilation (of which nothing "
            "is cached from before) and tests count. Each seed's programs ran one after the other."
            f"{when}",
            "\n".join(lines),
            "Only the task and the return are equal here: each program has its own algorithm and settings, so that a "
            "row says what a user waits for, and not which library is faster at the same work (for that, see "
            "[Throughput](#throughput)). FastSAC was tuned on HalfCheetah with this very seed, the first PQN on "
            "Breakout with another. Stable-Baselines has the settings of RL Baselines3 Zoo on CartPole and begins with "
            "10,000 random steps on HalfCheetah (our SAC with 5,000); rejax's DQN is a dueling double DQN, with its "
            "authors' settings of CartPole on both games. How often an agent is tested differs, and a test that comes "
            "late reaches late. Two settings of the command are not measured yet: cheetahrun and brax-halfcheetah.",
            "\n".join(f"    {command}" for command in commands),
        ]
    )


def mutations_section(results: dict[str, Any]) -> str:
    """How many planted defects the tests catch, and those that they do not."""
    planted = results["planted"]
    caught = sum(row["caught_by"] is not None for row in planted)
    survivors = [row for row in planted if row["caught_by"] is None]
    same = sum(str(row.get("reason", "")).startswith("the same") for row in survivors)
    gaps = sum(str(row.get("reason", "")).startswith("a gap") for row in survivors)
    lines = ["| survivor | planted | why it survives |", "| --- | --- | --- |"]
    for row in survivors:
        change = f"`{row['before']}` → `{row['after']}`".replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{row['file']}:{row['line']}` | {change} | {row.get('reason', 'not read yet')} |")
    return "\n\n".join(
        [
            "## Defects planted",
            f"`python -m benchmarks.mutations` planted {len(planted)} defects, drawn at random from the "
            f"{results['places']:,} places in `bellman/`, `replay/`, `agents/`, `training/` and `envs/base.py` where "
            f"one can be: the tests of the room caught {caught}. Of the others {same} change nothing; of those that "
            f"do, {caught / max(len(planted) - same, 1):.0%} were caught, and {gaps} more since, by tests made for "
            "them. Lines are those of the revision it ran on.",
            "\n".join(lines),
        ]
    )


def backups_section(results: dict[str, Any]) -> str:
    """Backup and gradient."""
    return (
        "## Backups\n\n"
        "Measured by `python -m benchmarks.backups`: from the outputs of a head (4 actions) to the gradient by them, "
        "on the CPU; medians of rounds in turn, and in brackets how many times longer than jaxq's. *memory alone* "
        "reads both predictions and writes one array like them, and computes nothing.\n\n"
    ) + backups_table(results)


def convolutions_section(results: dict[str, Any]) -> str:
    """Ways of convolving."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        side, channels, features, kernel, stride, _ = measured["layer"]
        return f"{setting} | {side} | {channels} → {features} | {kernel}×{kernel} | {stride}"

    return (
        "## Convolutions\n\n"
        "Measured by `python -m benchmarks.convolutions`: forward and backward in a scan, 32 images, on the CPU; "
        "medians of rounds in turn, and in brackets how many times longer than the library's patches.\n\n"
    ) + timing_table(results, "layer | side | channels | kernel | stride", described)


def products_section(results: dict[str, Any]) -> str:
    """Ways of keeping a kernel."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        rows, inputs, units = measured["layer"]
        return f"{setting} | {rows:,} | {inputs:,} | {units:,}"

    return (
        "## Products\n\n"
        "Measured by `python -m benchmarks.products`: forward and backward in a scan, on the CPU; medians of rounds in "
        "turn, and in brackets how many times longer than the library's.\n\n"
    ) + timing_table(results, "layer | rows | inputs | units", described)


def resets_section(results: dict[str, Any]) -> str:
    """What resets cost."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        name = setting.removesuffix(f"-{measured['environments']}")
        return f"{name} | {measured['environments']:,} | {100 * measured['share_ended']:.2g}%"

    return (
        "## Resets\n\n"
        "Measured by `python -m benchmarks.resets`: a step of all environments under random actions on the CPU, with a "
        "pool of first states, with resets of the whole batch whenever an episode ends, and with every episode of an "
        "environment beginning in the one state it first had; medians of rounds in turn, and in brackets how many "
        "times longer than with a pool.\n\n"
    ) + timing_table(results, "environment | environments | ended in a step", described)


def reset_returns_section(results: dict[str, Any]) -> str:
    """What cached first states cost in returns."""
    rows = []
    for name, measured in results.items():
        config = measured["config"]
        cells = []
        for kind in ("pool", "full", "cached"):
            found = measured[kind]["returns"]
            cells.append(f"{np.mean(found):,.0f} ({min(found):,.0f} to {max(found):,.0f})")
        sizes = f"{config['num_envs']} | {config['total_steps']:,} | {config['updates']}"
        rows.append(f"| {name} | {sizes} | {len(found)} | {' | '.join(cells)} |")
    return (
        "### Returns of SAC by resets\n\n"
        "Measured by `python -m benchmarks.resets --returns`: the mean over seeds, and from the worst to the best, of "
        "evaluations with full resets after training with each.\n\n"
        "| environment | environments | steps | updates | seeds | pool | full | cached |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    ) + "\n".join(rows)


def replay_section(results: dict[str, Any]) -> str:
    """Prioritized replay against flashbax's."""
    return (
        "## Prioritized replay\n\n"
        "Measured by `python -m benchmarks.replay`: add 64, sample 32 and update 32 on one million items, inside a "
        "scan on the CPU; medians, and medians of the rounds' ratios.\n\n"
    ) + ratio_table(results["iterations_per_second"], "iterations/s")


def memory_section(values: dict[str, Any]) -> str:
    """What a full replay and a long run take."""
    return (
        "## Memory\n\n"
        f"Measured by `python -m benchmarks.memory`. A replay of {values['frames']:,} Atari frames, written full: "
        f"{values['replay_resident_gb']:.2f} GB resident. Resident memory of a run on CartPole after the first "
        f"tenth and at the end of {values['chunks']:,} chunks: {values['resident_mb_early']:,.0f} and "
        f"{values['resident_mb_late']:,.0f} MB."
    )


def section(file: str, write: Callable[[dict[str, Any]], str]) -> list[str]:
    """A section from a file of raw results; none where there is no such file."""
    path = RESULTS / file
    return [write(json.loads(path.read_text()))] if path.exists() else []


def revisions_section(results: dict[str, Any]) -> str:
    """This revision beside an earlier one."""
    lines = ["| setting | steps/s | before | ratio, median of rounds |", "| --- | ---: | ---: | ---: |"]
    for setting, rates in results["steps_per_second"].items():
        after, before = (np.array(rates[name]) for name in ("after", "before"))
        ratio = np.median(after / before)
        lines.append(f"| {setting} | {np.median(after):,.0f} | {np.median(before):,.0f} | {ratio:.3f} |")
    ours = (results["provenance"].get("git_revision") or "")[:7]
    intro = (
        f"`python -m benchmarks.revisions` of {ours} and {results['before'][:7]}, in turn on one machine, which was "
        "slower than that of the tables above: only the ratios mean anything."
    )
    return "\n\n".join(["### Beside an earlier revision", intro, "\n".join(lines)])


def provenance_section(folder: Path = RESULTS) -> str:
    """When, by what command and at which revision each file of raw results was made."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for path in sorted(folder.glob("*.json")):
        for name, made in _provenances(json.loads(path.read_text())):
            revision = (made["git_revision"] or "")[:7] + (" and changes" if made["git_dirty"] else "")
            key = (path.stem, f"`{made['command']}`", made["date"][:10], revision)
            rows.setdefault(key, []).append(name)
    lines = ["| file | of it | command | date | revision |", "| --- | --- | --- | --- | --- |"]
    for (stem, command, date, revision), names in rows.items():
        shown = ", ".join(filter(None, names)) if len(names) < 4 else f"{len(names)} settings"
        lines.append(f"| {stem} | {shown or 'all'} | {command} | {date} | {revision} |")
    return "\n\n".join(
        [
            "## Where the numbers come from",
            "Of every file in `benchmarks/results/`; those of learning runs (`runs/`) and of a GPU (`gpu/`) have the "
            "same inside. *and changes*: with some that were not committed, which the file tells.",
            "\n".join(lines),
        ]
    )


def _provenances(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of a file's parts, or of the whole of it."""
    if "provenance" in results:
        yield "", results["provenance"]
        return
    for name, part in results.items():
        if isinstance(part, dict) and "provenance" in part:
            yield name, part["provenance"]


def _not_run() -> str:
    """The suites without any result."""
    there = {path.stem for path in RUNS.glob("*.json")}
    return ", ".join(f"`{name}`" for name, commands in suites([]).items() if commands and not there & set(commands))


def page() -> str:
    """All that the raw results say."""
    parts = [
        "# Results",
        "Made by `python -m benchmarks.report` from the files in `benchmarks/results/`; [when, by which command and at "
        "which revision](#where-the-numbers-come-from) each was measured stands at the end. Not run yet: the suites "
        f"{_not_run()}.",
        *section("throughput.json", lambda results: throughput_section(results, machine)),
        *section("growth.json", growth_section),
        *section("costs.json", costs_section),
        *section("revisions.json", revisions_section),
        *learning_report.sections(),
        *section("time_to_return.json", time_to_return_section),
        *section("pqn_returns.json", learning_report.returns_section),
        *section("backups.json", backups_section),
        *section("convolutions.json", convolutions_section),
        *section("products.json", products_section),
        *section("resets.json", resets_section),
        *section("reset_returns.json", reset_returns_section),
        *section("replay.json", replay_section),
        *section("memory.json", memory_section),
        *scale_report.sections(),
        *gpu_report.sections(),
        *section("mutations.json", mutations_section),
        provenance_section(),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    (ROOT / "docs" / "results.md").write_text(page())
    print(ROOT / "docs" / "results.md")


if __name__ == "__main__":
    main()
