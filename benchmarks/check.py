"""Whether jaxq is as fast as it was: a few quick ratios, compared with the committed ones.

    python -m benchmarks.check [--only dqn-cartpole-1] [--rounds 5]

Each is of jaxq's speed to a contender of this repository that computes a fixed amount of work, the hand-written scan or
the products alone, measured in turn; ratios travel between machines as steps per second do not. The committed ones are
those of benchmarks/results/throughput.json. A median that has lost more than 15% is a line and an exit code of 1.
"""

import argparse
import functools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleaved import Contender, measure, ratios
from benchmarks.timing import RESULTS
from jaxq.errors import clean_errors, require

TOLERATED = 0.15
# By setting, whom jaxq is compared with.
RATIOS = {
    "dqn-cartpole-1": ("floor", "products alone"),
    "dqn-cartpole-128": ("floor", "products alone"),
    "dqn-minatar": ("products alone",),
    "pqn-minatar": ("products alone",),
}

Rates = Mapping[str, Sequence[float]]  # by contender, steps per second by round


def verdict(setting: str, now: Rates, then: Rates) -> tuple[list[str], list[str]]:
    """A line for each ratio, and one for each that is lost.

    Args:
      setting: one of `RATIOS`.
      now: measured just now.
      then: the committed rates.
    """
    said, lost = [], []
    for other in RATIOS[setting]:
        name = f"{setting}: jaxq over {other}"
        if "jaxq" not in now or other not in now:
            lost.append(f"{name} could not be measured")
            continue
        low, middle, high = ratios(now["jaxq"], now[other])
        if "jaxq" not in then or other not in then:
            said.append(f"{name} is {middle:.2f} ({low:.2f} to {high:.2f}); none is committed")
            continue
        before = float(np.median(np.array(then["jaxq"]) / np.array(then[other])))
        line = f"{name} is {middle:.2f} ({low:.2f} to {high:.2f}), committed {before:.2f}: {middle / before - 1:+.0%}"
        said.append(line)
        if middle < (1.0 - TOLERATED) * before:
            lost.append(line)
    return said, lost


def main() -> int:
    """Measure and compare; 1 where something is lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(RATIOS), action="append", help="this setting; may be given again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--committed", type=Path, default=RESULTS / "throughput.json")
    args = parser.parse_args()
    require(args.committed.exists(), "committed", str(args.committed), "a file that benchmarks.throughput wrote")
    committed: dict[str, Any] = json.loads(args.committed.read_text())
    losses: list[str] = []
    for setting in args.only or RATIOS:
        names = ("jaxq", *RATIOS[setting])
        starts = {name: functools.partial(Contender.of_checkout, f"{setting}/{name}") for name in names}
        now = measure(starts, args.rounds)["steps_per_second"]
        said, lost = verdict(setting, now, committed.get(setting, {}).get("steps_per_second", {}))
        print("\n".join(said), flush=True)
        losses += lost
    for line in losses:
        print(f"lost: {line}", file=sys.stderr)
    return 1 if losses else 0


if __name__ == "__main__":
    with clean_errors():
        sys.exit(main())
