"""Steps per second of this checkout and of another revision's, in turn on one machine.

    git worktree add ../before REVISION
    python -m benchmarks.revisions ../before [--only dqn-cartpole-1] [--rounds 7]

Each contender is prepared and compiled in a process of its own, with its own checkout on the path, then they are timed
one after the other, round after round. Writes benchmarks/results/revisions.json, beside what has been measured of the
same two revisions.
"""

import argparse
import functools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleaved import ROOT, Contender, measure, revision
from benchmarks.timing import RESULTS
from jaxq.runs.directory import provenance, write_json

OUT = RESULTS / "revisions.json"
SETTINGS = ("dqn-cartpole-1", "pqn-minatar", "sac-halfcheetah")


def rates(setting: str, before: Path, rounds: int) -> dict[str, list[float]]:
    """Steps per second by round of `setting/jaxq`, here and there; of one alone if the other cannot be run."""

    def start(checkout: Path) -> Contender:
        return Contender.of_checkout(f"{setting}/jaxq", checkout, {**os.environ, "PYTHONPATH": str(checkout)})

    both = {"after": ROOT, "before": before}
    found = measure({name: functools.partial(start, checkout) for name, checkout in both.items()}, rounds)
    return found["steps_per_second"]


def kept(before: str | None) -> dict[str, Any]:
    """What has been measured of this revision and of that one, by setting."""
    found = json.loads(OUT.read_text()) if OUT.exists() else {}
    same = None not in (before, revision()) and found.get("before") == before
    return found["steps_per_second"] if same and found["provenance"]["git_revision"] == revision() else {}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other revision")
    parser.add_argument("--only", choices=SETTINGS, action="append", help="measure this setting; may be given again")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    before = args.before.resolve()
    then = revision(before)
    by_setting = kept(then)
    for setting in args.only or SETTINGS:
        found = rates(setting, before, args.rounds)
        if {"after", "before"} - found.keys():
            continue
        by_setting[setting] = found
        ratio = float(np.median(np.array(found["after"]) / np.array(found["before"])))
        print(f"{setting:18} {np.median(found['after']):>10,.0f} steps/s, {ratio:.3f} times {str(then)[:7]}")
    write_json(OUT, {"before": then, "provenance": provenance(), "steps_per_second": by_setting})


if __name__ == "__main__":
    main()
