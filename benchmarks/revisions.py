"""Steps per second of this checkout and of another revision's, in turn on one machine.

    git worktree add ../before REVISION
    python -m benchmarks.revisions ../before [--only dqn-cartpole-1] [--rounds 7]

Each contender is prepared and compiled in a process of its own, with its own checkout on the path, then they are timed
one after the other, round after round. Writes benchmarks/results/revisions.json.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleaved import ROOT, Contender, revision
from benchmarks.timing import RESULTS
from jaxq.runs.directory import provenance, write_json

SETTINGS = ("dqn-cartpole-1", "pqn-minatar", "sac-halfcheetah")


def measure(setting: str, before: Path, rounds: int) -> dict[str, list[float]]:
    """Steps per second by round of `setting/jaxq`, here and there."""
    contenders = {}
    for name, checkout in (("after", ROOT), ("before", before)):
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        contenders[name] = Contender.of_checkout(f"{setting}/jaxq", checkout, environment)
    for _ in range(rounds):
        for contender in contenders.values():
            contender.run()
    for contender in contenders.values():
        contender.close()
    return {name: contender.rates for name, contender in contenders.items()}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other revision")
    parser.add_argument("--only", choices=SETTINGS, action="append", help="measure this setting; may be given again")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    before = args.before.resolve()
    results: dict[str, Any] = {"before": revision(before), "provenance": provenance(), "steps_per_second": {}}
    for setting in args.only or SETTINGS:
        rates = measure(setting, before, args.rounds)
        results["steps_per_second"][setting] = rates
        ratio = float(np.median(np.array(rates["after"]) / np.array(rates["before"])))
        print(f"{setting:18} {np.median(rates['after']):>10,.0f} steps/s, {ratio:.3f} times {results['before'][:7]}")
    write_json(RESULTS / "revisions.json", results)


if __name__ == "__main__":
    main()
