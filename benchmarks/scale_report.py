"""The sections of docs/results.md about populations, devices, sweeps and several hosts, from the raw results."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import RESULTS
from jaxq.runs.aggregate import interquartile_mean, probability_of_improvement, stratified_bootstrap_interval

CASES = {
    "run-2": "a run, 2 processes",
    "run-4": "a run, 4 processes",
    "sweep-2": "a sweep, 2 workers",
    "sweep-4": "a sweep, 4 workers",
}
TITLES = {
    "default": "the script's default",
    "pbt": "the best member's of `--controller pbt`",
    "tpe": "the best trial's",
}


def members_section(results: dict[str, Any]) -> str:
    """Members beside the runs alone, and beside a population with a poisoned one."""
    rows = ["| member | learning rate | return alone | in the population | values compared | other bits | largest |"]
    rows += ["| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in results["alone"]:
        parts = row["parts"].values()
        alone, among = row["returns"]
        rows.append(
            f"| {row['member']} | {row['learning_rate']:.3g} | {alone:.4g} | {among:.4g} "
            f"| {sum(part['values'] for part in parts):,} | {sum(part['other_bits'] for part in parts):,} "
            f"| {max(part['largest_difference'] for part in parts):.2g} |"
        )
    poisoned, count = results["poisoned"], len(results["learning_rates"])
    values = sum(part["values"] for part in poisoned["parts"].values())
    said = "\n".join(f"    {line}" for line in poisoned["said"])
    ended = f"diverged: {poisoned['row']['diverged']:,}" if poisoned["row"]["diverged"] else "not diverged"
    return "\n\n".join(
        [
            "### Members and runs alone",
            f"Measured by `python -m benchmarks.members`: {count} members of DQN on {results['env']} with {count} "
            f"learning rates from {results['learning_rates'][0]:.0e} to {results['learning_rates'][-1]:.0e}, "
            f"{results['steps']:,} steps each, as one program on the CPU. Compared with the same runs alone, bit by "
            "bit: parameters, optimizer, replay, environments and all else in the last checkpoint, and all metrics.",
            "\n".join(rows),
            f"Once more with a learning rate of {poisoned['learning_rate']:.0e} for member {poisoned['member']}: of "
            f"the other {count - 1}, {poisoned['members_with_other_bits']} had another bit anywhere ({values:,} "
            f"values). Its row in `summary.json` says `{ended}`, and the run ended with",
            said,
        ]
    )


def population_rows(measured: dict[str, Any]) -> list[str]:
    """Of each size: steps per second, times those of the smallest, those of the products alone, share of them."""
    rows, one = [], None
    for size in [int(name.partition("/")[2]) for name in measured["seconds"] if name.startswith("population/")]:
        steps = size * measured["steps_of_a_member"]  # of an iteration, as the seconds are
        rate, limit = (
            steps / float(np.median(measured["seconds"][f"{kind}/{size}"])) for kind in ("population", "products")
        )
        one = one or rate
        rows.append(f"| {size} | {rate:,.0f} | {rate / one:.2f} | {limit:,.0f} | {rate / limit:.0%} |")
    return rows


def populations_section(results: dict[str, Any]) -> str:
    """Steps per second against size."""
    rows = ["| device | members | steps/s of all | times one member | products alone, steps/s | share of them |"]
    rows += ["| --- |" + " ---: |" * 5]
    rows += [f"| {device} {row}" for device, measured in results.items() for row in population_rows(measured)]
    return "\n\n".join(
        [
            "### Steps per second against the size of a population",
            "Measured by `python -m benchmarks.populations`: DQN on CartPole, a learning rate for each member, one "
            "program; beside it the matrix products of the updates alone. Medians of rounds in turn.",
            "\n".join(rows),
        ]
    )


def devices_section(results: dict[str, Any]) -> str:
    """What dividing a training over devices costs, and a checkpoint of eight on fewer."""
    titles = {"population": "eight members, spread", "data": "one agent, its environments, replay and batches divided"}
    rows = ["| what | devices | steps/s | of one device's speed | parameters with other bits | largest difference |"]
    rows += ["| --- |" + " ---: |" * 5]
    for name, title in titles.items():
        if name not in results:
            continue
        measured = results[name]
        seconds = {count: np.array(values) for count, values in measured["seconds"].items()}
        for count, values in seconds.items():
            learned = measured["apart"][count]["parameters"]
            rate = measured["steps_of_an_iteration"] / np.median(values)
            rows.append(
                f"| {title} | {count} | {rate:,.0f} | {np.median(seconds['1'] / values):.2f} "
                f"| {learned['other_bits']:,} of {learned['values']:,} | {learned['largest_difference']:.1e} |"
            )
    told = []
    if "checkpoint" in results:
        found = results["checkpoint"]
        for count, row in found["on"].items():
            others, values = (sum(part[k] for part in row["read"].values()) for k in ("other_bits", "values"))
            learned, returns = (row["ended"][part]["largest_difference"] for part in ("parameters", "metrics: returns"))
            told.append(
                f"- on {count}: {others:,} of {values:,} values read with other bits; in the "
                f"end parameters at most {learned:.1e} and returns at most {returns:.1e} from those "
                "of a run on one device that was never stopped"
            )
        told = [f"A run on eight devices, stopped at step {found['step']:,} of {found['steps']:,}, goes on", *told]
    return "\n\n".join(
        [
            "### Devices",
            "Measured by `python -m benchmarks.devices`: the same work on 1, 2, 4 and 8 devices that are made of one "
            "CPU and share its cores, in turn. There is nothing to win beyond what one device leaves of them: this is "
            "what dividing costs, not what devices bring.",
            "\n".join(rows),
            *told[:1],
            *(["\n".join(told[1:])] if told else []),
        ]
    )


def _interval(returns: list[float]) -> tuple[float, float, float]:
    scores = np.array(returns)
    return interquartile_mean(scores), *stratified_bootstrap_interval(scores[None])


def sweeps_section(results: dict[str, Any]) -> str:
    """What a sweep and a population-based training find, killed in the middle, beside the default."""
    one = next(iter(results.values()))
    rows = ["| setting | seeds | return | 95% interval | how likely above the default | 95% interval |"]
    rows += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, part in results.items():
        score, low, high = _interval(part["fresh"]["returns"])
        cells = "- | -"
        if name != "default" and "default" in results:
            theirs = np.array(results["default"]["fresh"]["returns"])
            likely, least, most = probability_of_improvement([np.array(part["fresh"]["returns"])], [theirs])
            cells = f"{likely:.2f} | {least:.2f} to {most:.2f}"
        seeds = len(part["fresh"]["returns"])
        rows.append(f"| {TITLES[name]} | {seeds} | {score:.2f} | {low:.2f} to {high:.2f} | {cells} |")
    told = [
        *map(_killed_sweep, filter(None, [results.get("tpe")])),
        *map(_killed_pbt, filter(None, [results.get("pbt")])),
    ]
    return "\n\n".join(
        [
            "### What a sweep and population-based training find",
            f"Measured by `python -m benchmarks.sweeps`: DQN on {one['env']}, {one['steps']:,} steps of each trial, "
            f"member and seed. Each was killed (SIGKILL) at a random moment, and the same command went on. What it "
            "found, with seeds that nothing was chosen by: interquartile means of the last evaluation (16 greedy "
            "episodes a seed). The default copies the target network every 500 updates; both found fewer on this game.",
            "\n".join(rows),
            *told,
            "\n".join(f"    {part['fresh']['command']}" for part in results.values()),
        ]
    )


def _killed_sweep(part: dict[str, Any]) -> str:
    states = ", ".join(f"{count} {state.lower()}" for state, count in part["states"].items())
    killed = part["killed"]
    return (
        f"The sweep was killed with {killed['finished']} trials finished and {len(killed['running'])} under way at "
        f"step {killed['step']:,}. In the end: {states}; {part['starts']} trials were begun in all, "
        f"{part['finished_trials_that_changed']} of the finished ones changed, and "
        f"{part['settings_trained_twice']} settings were trained twice.\n\n    {part['command']}"
    )


def _killed_pbt(part: dict[str, Any]) -> str:
    score, low, high = _interval([row["return"] for row in part["members"] if row["return"] is not None])
    return (
        f"Population-based training was killed at step {part['killed']['step']:,}. Its {len(part['members'])} members, "
        f"of which {part['copies']} times one was replaced by a copy of another, came to {score:.2f} "
        f"({low:.2f} to {high:.2f}, as if they were independent). What it looks through is a third choice: step size "
        f"with discount, and with target period, found nothing that lasted. A quarter of the members was replaced at a "
        f"turn, which was the default then and is `--turn-fraction 0.25` now.\n\n    {part['command']}"
    )


def hosts_section(results: dict[str, Any]) -> str:
    """What becomes of several processes of which one is killed."""
    rows = ["| what | rounds | killed after | the others end after | with code | resumed, and the same bits |"]
    rows += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for case, title in CASES.items():
        made = [row for row in results["rounds"] if row["case"] == case]
        if not made:
            continue
        same = sum(row.get("outcome", {}).get("same_bits", False) for row in made)
        killed = [row["killed_after_seconds"] for row in made]
        others = [other for row in made for other in row.get("others", [])]
        waited = [other["seconds"] for other in others]
        codes = sorted({str(other["code"]) for other in others})
        ends = f"{min(waited):.0f} to {max(waited):.0f} s | {', '.join(codes)}" if others else "they go on | -"
        rows.append(
            f"| {title} | {len(made)} | {min(killed):.0f} to {max(killed):.0f} s | {ends} | {same} of {len(made)} |"
        )
    sweeps = [row["outcome"] for row in results["rounds"] if "settings" in row.get("outcome", {})]
    counted = (
        f"In the {len(sweeps)} sweeps {sum(o['finished_before_that_changed'] for o in sweeps)} finished trials "
        f"changed, {sum(o['settings_trained_twice'] for o in sweeps)} settings were trained twice, and "
        f"{sum(o['lost_and_tried_again'] for o in sweeps)} trials were lost with their worker and trained again."
    )
    whole = sum(row.get("again") == [] for row in results["rounds"])
    if whole:
        counted += f" In {whole} of the rounds the run had come to its end when a process of it was killed."
    return "\n\n".join(
        [
            "### Lost processes",
            "Measured by `python -m benchmarks.hosts`: on one machine, by loopback, a process drawn at random is "
            "killed (SIGKILL) at a random moment, and the same commands are given again. A run is one DQN on CartPole "
            "whose environments, replay and batches are spread over all processes (Gloo); in the end all its metrics "
            "must be those of a run that was left alone. A sweep is as many workers on one grid, of which every point "
            "must be finished once and with the value that it has in a sweep that was left alone.",
            "\n".join(rows),
            *([counted] if sweeps else []),
            "\n".join(f"    {command}" for command in results["commands"].values()),
        ]
    )


def sections() -> list[str]:
    """All that there are raw results of."""
    written: dict[str, Callable[[dict[str, Any]], str]] = {
        "members.json": members_section,
        "populations.json": populations_section,
        "devices.json": devices_section,
        "sweeps.json": sweeps_section,
        "hosts.json": hosts_section,
    }
    found = [
        write(json.loads((RESULTS / file).read_text())) for file, write in written.items() if (RESULTS / file).exists()
    ]
    return ["## Populations, devices, sweeps and hosts", *found] if found else []
