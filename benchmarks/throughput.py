"""Steps per second of jaxq and its baselines, in turn on one machine: medians over rounds, and ratios round by round.

    python -m benchmarks.throughput [--quick] [--only dqn-cartpole-1] [--rounds 7] [--again]
        [--checkout purejaxql=CHECKOUT]

Every contender of a setting is prepared and compiled in a process of its own, the baselines in environments that are
made for them under `.bench/venvs`; then they are timed one after the other, round after round, while the others wait.
Compilation is measured apart. What was measured at this revision by the same request is not measured again; a
benchmark that is stopped goes on with the setting where it was. Writes benchmarks/results/throughput.json, from which
`python -m benchmarks.report` makes the tables, and keeps there what it replaces; the quick one, which has fewer
contenders and rounds, writes .bench/quick.json and prints its table.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines.registry import BASELINES, Baseline, of_setting
from benchmarks.contenders import CONTENDERS
from benchmarks.interleaved import Contender, going_on_later, measure, measured_before, ratios, revision
from benchmarks.launching import ROOT, UNDER_WAY
from benchmarks.throughput_report import throughput_table
from benchmarks.work import QUICK, SETTINGS
from jaxq.errors import clean_errors, require
from jaxq.runs.directory import provenance, read_json, write_json

RESULTS = Path(__file__).parent / "results"
EARLIER = 6


def starts(
    setting: str, baselines: list[Baseline], checkouts: Mapping[str, Path]
) -> dict[str, Callable[[], Contender]]:
    """What starts each contender of a setting: ours first, then the limits, then the baselines."""

    def ours(name: str) -> Callable[[], Contender]:
        return lambda: Contender.of_checkout(name)

    def theirs(baseline: Baseline) -> Callable[[], Contender]:
        return lambda: Contender(f"{setting}/{baseline.name}", baseline.command(setting, checkouts))

    found = {name.partition("/")[2]: ours(name) for name in CONTENDERS if name.startswith(setting + "/")}
    return found | {baseline.name: theirs(baseline) for baseline in baselines}


def checkouts_of(arguments: list[str]) -> dict[str, Path]:
    """`NAME=PATH` for each baseline that comes from a checkout."""
    known = [baseline.name for baseline in BASELINES if baseline.checkout]
    found = {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        require(name in known and bool(path), "checkout", argument, f"NAME=PATH with a NAME of {', '.join(known)}")
        require(Path(path).is_dir(), "checkout", argument, "the path of a checkout")
        found[name] = Path(path).resolve()
    return found


def earlier(found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What stood there and what stood there before it, newest first: on another machine ratios are others.

    What changes that are not committed had a part in is not kept.
    """
    if not found:
        return []
    last = {name: found[name] for name in ("steps_per_second", "provenance")}
    kept = [] if last["provenance"].get("git_dirty") else [last]
    return [*kept, *found.get("earlier", [])][:EARLIER]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(SETTINGS), action="append", help="this setting; may be given again")
    parser.add_argument("--quick", action="store_true", help="few settings, and baselines that install in a minute")
    parser.add_argument("--rounds", type=int, help="7, and 5 of the quick benchmark, unless given")
    parser.add_argument("--again", action="store_true", help="also what was measured at this revision")
    parser.add_argument("--checkout", action="append", default=[], help="NAME=PATH of a baseline on no registry")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    out = args.out or (ROOT / UNDER_WAY / "quick.json" if args.quick else RESULTS / "throughput.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    checkouts = checkouts_of(args.checkout)
    rounds = args.rounds or (5 if args.quick else 7)
    results: dict[str, Any] = read_json(out)
    for setting in args.only or (QUICK if args.quick else SETTINGS):
        baselines = of_setting(setting, quick=args.quick)
        begin = starts(setting, baselines, checkouts)
        request = {"rounds": rounds, "contenders": list(begin), "checkouts": sorted(checkouts)}
        if not args.again and measured_before(results.get(setting), request, revision()):
            print(f"{setting:20} measured before at this revision (--again measures it anew)", flush=True)
            continue
        measured = measure(begin, rounds)
        before = earlier(results.get(setting))
        results[setting] = {**measured, "request": request, "provenance": provenance(), "earlier": before}
        write_json(out, results)
        rates = measured["steps_per_second"]
        for name, values in rates.items():
            low, middle, high = ratios(next(iter(rates.values())), values)
            said = f"{np.median(values):>12,.0f} steps/s   jaxq is {middle:.2f} times as fast ({low:.2f} to {high:.2f})"
            print(f"{setting:20} {name:22} {said}", flush=True)
    if args.quick:
        print(f"\n{throughput_table(results)}\n\n{out}")


if __name__ == "__main__":
    with clean_errors(), going_on_later():
        main()
