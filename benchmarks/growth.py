"""Steps per second against environments and against seeds: jaxq beside its limit, and rejax where it has the work.

    python -m benchmarks.growth [--kind environments] [--sizes 1 16 1024] [--rounds 5] [--again] [--no-baselines]

Environments: DQN on CartPole, an update of 256 for every step of the batch of them, so a larger batch of environments
shares its updates. Seeds: each is an agent of its own, with one environment and an update of 64 every 4 steps (of
rejax, every step of 4 environments); ours lie over the processors, as in any run. Actor-critics: seeds of SAC with
small networks, likewise. Every size is a process of its own, and all of a size are timed in turn; a size that was
measured at this revision is not measured again. Writes benchmarks/results/growth.json.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines.registry import named
from benchmarks.interleaved import Contender, going_on_later, measure, measured_before, revision
from benchmarks.timing import RESULTS
from jaxq.runs.directory import provenance, read_json, write_json

KINDS = {
    "environments": ("DQN on CartPole, an update of 256 a step of all", (1, 4, 16, 64, 256, 1024)),
    "seeds": ("DQN on CartPole, an update of 64 every 4 steps of each seed", (1, 2, 4, 8, 16, 32, 64)),
    "actor-critics": ("SAC on Pendulum, layers of 64, an update of 64 a step of each seed", (1, 2, 5, 10)),
}
LIMIT = "environment alone"


def starts(kind: str, size: int, baselines: bool) -> dict[str, Callable[[], Contender]]:
    """What starts the contenders of a size."""

    def ours(name: str) -> Callable[[], Contender]:
        return lambda: Contender.of_checkout(f"growth-{kind}/{name}/{size}")

    def theirs() -> Contender:
        return Contender("rejax", named("rejax").command(f"growth-{kind}/{size}", {}))

    beside = {"rejax": theirs} if baselines and kind != "actor-critics" else {}
    return {name: ours(name) for name in ("jaxq", LIMIT)} | beside


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="this kind; may be given again")
    parser.add_argument("--sizes", type=int, nargs="+", help="of each kind, instead of its own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--again", action="store_true", help="also what was measured at this revision")
    parser.add_argument("--no-baselines", action="store_true", help="jaxq and its limit alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "growth.json")
    args = parser.parse_args()
    results: dict[str, Any] = read_json(args.out)
    for kind in args.kind or KINDS:
        title, sizes = KINDS[kind]
        found = results.setdefault(kind, {"title": title, "axis": kind, "rates": {}, "errors": {}, "measured": {}})
        for size in args.sizes or sizes:
            begin = starts(kind, size, not args.no_baselines)
            request = {"rounds": args.rounds, "contenders": list(begin)}
            if not args.again and measured_before(found["measured"].get(str(size)), request, revision()):
                print(f"{kind:13} {size:5} measured before at this revision (--again measures it anew)", flush=True)
                continue
            measured = measure(begin, args.rounds)
            for name, rates in measured["steps_per_second"].items():
                found["rates"].setdefault(name, {})[str(size)] = rates
            found["errors"].pop(str(size), None)
            if measured["errors"]:
                found["errors"][str(size)] = measured["errors"]
            found["provenance"] = made = provenance()
            found["measured"][str(size)] = {
                "request": request,
                "provenance": {"git_revision": made["git_revision"]},  # a kind is not measured as a whole
            }
            write_json(args.out, results)
            said = [f"{name} {np.median(rates):,.0f}" for name, rates in measured["steps_per_second"].items()]
            print(f"{kind:13} {size:5} {', '.join(said)} steps/s", flush=True)


if __name__ == "__main__":
    with going_on_later():
        main()
