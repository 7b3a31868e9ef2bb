"""The throughput sections of docs/results.md: every baseline on the same work, the limits, and growth."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.baselines.registry import BASELINES
from benchmarks.interleaved import ratios
from benchmarks.work import SETTINGS

METHOD = (
    "Contenders of a setting run in turn, round after round; steps per second are medians, ratios are medians of the "
    "rounds' own ratios, compilation excluded. *floor* is the hand-written scan of `benchmarks/floor.py`, *sbx* is "
    "Stable-Baselines-Jax, *environment alone* steps with random actions, *products alone* does the matrix products of "
    "acting and learning, strictly one after the other and in one layout, and nothing else: a limit that may be "
    "beaten, since XLA is free to do two of them side by side."
)
LIMITS = ("environment alone", "products alone")


def throughput_section(results: dict[str, Any], machine: Callable[[dict[str, Any]], str]) -> str:
    """Steps per second of whole loops, beside baselines and limits."""
    parts = [
        "## Throughput",
        f"Measured by `python -m benchmarks.throughput` on: {machine(results)}. {METHOD}",
        throughput_table(results),
        *limits(results),
        *faster(results),
        *history(results),
        *equal_work(results),
    ]
    return "\n\n".join(parts)


def throughput_table(results: dict[str, Any]) -> str:
    """A table a setting, of a row a contender: medians, jaxq's speed over it, and what else was measured; or its error.

    A title in each row's first cell would make a page of narrow columns, most of all on a telephone.
    """
    detailed = any("contenders" in measured for measured in results.values())
    titles = ["contender", "steps/s", "jaxq's speed over it"]
    titles += ["quartiles", "updates/s", "start, s", "peak memory, MB"] if detailed else []
    parts = []
    for setting, work in SETTINGS.items():
        if setting not in results:
            continue
        measured = results[setting]
        rates, found = measured["steps_per_second"], measured.get("contenders", {})
        rows = []
        for name, values in rates.items():
            low, middle, high = ratios(next(iter(rates.values())), values)
            cells = [name, f"{np.median(values):,.0f}", f"{middle:.2f}"]
            if detailed:
                more = found.get(name, {})
                learns = name not in LIMITS
                cells += [
                    f"{low:.2f} to {high:.2f}",
                    f"{np.median(values) * work.updates_per_step:,.0f}" if learns else "",
                    f"{more['startup_seconds']:,.0f}" if more else "",
                    f"{more['peak_mb']:,.0f}" if more.get("peak_mb") else "",
                ]
            rows.append(cells)
        for name, error in measured.get("errors", {}).items():
            rows.append([name, "-", error.replace("|", "\\|"), *[""] * (len(titles) - 3)])
        lines = [f"| {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(titles) - 1)]
        parts += [f"**{work.title}**", "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])]
    if detailed:
        parts.append(
            "Quartiles are of the rounds' ratios. Updates are the steps times the updates of a step. *start* is from "
            "starting the program to the end of its first segment, less what a segment takes: imports, warming up and "
            "compiling. *peak memory* is the most that the process had resident."
        )
    return "\n\n".join(parts)


def limits(results: dict[str, Any]) -> list[str]:
    """What jaxq reaches of what its parts alone would allow, with the arithmetic."""
    lines = [
        "| setting | a step takes | environment alone | products alone | both | jaxq is at |",
        "| --- |" + " ---: |" * 5,
    ]
    for setting, work in SETTINGS.items():
        rates = results.get(setting, {}).get("steps_per_second", {})
        if not all(name in rates for name in LIMITS) or not rates:
            continue
        whole, *parts = (1e6 / float(np.median(rates[name])) for name in (next(iter(rates)), *LIMITS))
        lines.append(
            f"| {work.title.split(',')[0]}, {work.environment} | {whole:,.2f} µs | {parts[0]:,.2f} µs "
            f"| {parts[1]:,.2f} µs | {sum(parts):,.2f} µs | {sum(parts) / whole:.0%} |"
        )
    if len(lines) == 2:
        return []
    intro = (
        "How near that is to the limit: a step takes 1 second over jaxq's steps per second; its environment alone and "
        "its products alone take as long as their own rates say; a loop that did nothing else, one after the other, "
        "would take their sum, and jaxq is at that share of its speed. That is a yardstick and no bound: a program may "
        "have products that do not wait for each other computed at the same time, and keep kernels as suits them "
        "([Products](#products)), and so be above 100%."
    )
    return [intro, "\n".join(lines)]


def faster(results: dict[str, Any]) -> list[str]:
    """The baselines that jaxq is slower than, with what is known of the reason."""
    names = {baseline.name for baseline in BASELINES}
    lines = []
    for setting, work in SETTINGS.items():
        rates = results.get(setting, {}).get("steps_per_second", {})
        for name in names & set(rates):
            _, ratio, _ = ratios(next(iter(rates.values())), rates[name])
            if ratio < 1:
                lines.append(f"- {work.title}: {name} is {1 / ratio:.2f} times as fast. {work.remark}".rstrip())
    return ["Where a baseline is faster than jaxq:", "\n".join(sorted(lines))] if lines else []


def history(results: dict[str, Any]) -> list[str]:
    """Every measurement beside baselines that is kept, each on the machine that it was made on."""
    baselines = ["floor", *(baseline.name for baseline in BASELINES)]
    lines = [
        "| work | date | revision | processor | jaxq, steps/s | jaxq's speed over it |",
        "| --- | --- | --- | --- | ---: | --- |",
    ]
    for setting, work in SETTINGS.items():
        measured = results.get(setting, {})
        if not measured.get("earlier"):
            continue
        for one in (measured, *measured["earlier"]):
            rates, made = one["steps_per_second"], one["provenance"]
            first = next(iter(rates.values()))
            over = [f"{name} {ratios(first, rates[name])[1]:.2f}" for name in baselines if name in rates]
            if over:
                cells = [made["date"][:10], made["git_revision"][:7], made.get("processor") or "not noted"]
                cells += [f"{np.median(first):,.0f}", ", ".join(over)]
                lines.append(f"| {work.title.split(',')[0]}, {work.environment} | {' | '.join(cells)} |")
    if len(lines) == 2:
        return []
    intro = (
        "What was measured earlier, each beside the newest and on the machine of its day. Rates of two rows are not to "
        "be compared. How far ratios are apart says how much they owe to a machine; jaxq has changed between them too."
    )
    return [intro, "\n".join(lines)]


def equal_work(results: dict[str, Any]) -> list[str]:
    """What all contenders of a setting do alike, and what a baseline cannot."""
    if not any("contenders" in measured for measured in results.values()):
        return []
    lines = ["| setting | environments | hidden | batch | updates a step | replay |", "| --- |" + " --- |" * 5]
    for setting, work in SETTINGS.items():
        if setting in results:
            replay = "rollouts" if work.replay is None else f"{work.replay:,}"
            lines.append(
                f"| {setting} | {work.environment} | {work.network} | {work.batch} "
                f"| {work.updates_per_step:.4g} | {replay} |"
            )
    differs = [f"- **{baseline.name}**: {baseline.differs}" for baseline in BASELINES if baseline.differs]
    return ["What is equal:", "\n".join(lines), "What is not:", "\n".join(differs)]


def growth_section(results: dict[str, Any]) -> str:
    """Steps per second against environments and seeds."""
    parts = [
        "### Growth",
        "Measured by `python -m benchmarks.growth`: environment steps per second of all, medians of rounds in turn.",
    ]
    for kind in results.values():
        sizes = sorted({size for by_size in kind["rates"].values() for size in by_size}, key=int)
        lines = [
            f"| {kind['axis']} | {' | '.join(f'{int(size):,}' for size in sizes)} |",
            "| --- |" + " ---: |" * len(sizes),
        ]
        for name, by_size in kind["rates"].items():
            cells = [f"{np.median(by_size[size]):,.0f}" if size in by_size else "" for size in sizes]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        parts += [kind["title"] + ":", "\n".join(lines)]
    return "\n\n".join(parts)


def costs_section(results: dict[str, Any]) -> str:
    """What logging and saving cost."""
    rates = results["steps_per_second"]
    lines = ["| run | steps/s | plain run's speed over it |", "| --- | ---: | ---: |"]
    for name, values in rates.items():
        low, middle, high = ratios(next(iter(rates.values())), values)
        lines.append(f"| {name} | {np.median(values):,.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    intro = "Measured by `python -m benchmarks.costs`: whole runs of DQN on CartPole in turn, compilation excluded."
    return "\n\n".join(["### What logging and saving cost", intro, "\n".join(lines)])
