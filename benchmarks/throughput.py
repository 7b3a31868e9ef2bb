"""Steps per second of jaxq and its baselines, in turn on one machine: medians over rounds, and ratios round by round.

    python -m benchmarks.throughput [--only dqn-cartpole-1] [--rounds 7] [--sbx-python sbx/bin/python]
        [--purejaxql CHECKOUT --purejaxql-python purejaxql/bin/python]

Every contender of a setting is prepared and compiled in a process of its own, then they are timed one after the other,
round after round, while the others wait: a machine whose speed drifts drifts for all of them. Compilation is excluded.
Writes benchmarks/results/throughput.json, from which `python -m benchmarks.report` makes the tables.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from jaxq.runs.directory import provenance, write_json

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SBX = ("dqn-cartpole-1/sbx", "sac-halfcheetah/sbx")


class Contender:
    """One process, ready to run segments."""

    def __init__(
        self, name: str, command: list[str], checkout: Path = ROOT, environment: Mapping[str, str] | None = None
    ):
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env=environment,
        )
        self._read_until("ready")
        self.rates: list[float] = []

    @classmethod
    def of_checkout(cls, name: str, checkout: Path = ROOT, environment: Mapping[str, str] | None = None) -> "Contender":
        """One of `CONTENDERS`, in this checkout or another."""
        return cls(name, [sys.executable, "-m", "benchmarks.contenders", name], checkout, environment)

    def _read_until(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        _, error = self.process.communicate()
        raise SystemExit(f"{self.name} stopped: {error[-2000:]}")

    def run(self) -> None:
        """Time one segment."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        measured = json.loads(self._read_until("{"))
        self.rates.append(measured["steps"] / measured["seconds"])

    def close(self) -> None:
        """End the process."""
        self.process.communicate("")


def measure(setting: str, rounds: int, others: dict[str, list[str]]) -> dict[str, list[float]]:
    """Steps per second of each contender of a setting, by round; `others` are commands of contenders by name."""
    contenders = [Contender.of_checkout(name) for name in CONTENDERS if name.startswith(setting + "/")]
    contenders += [Contender(name, command) for name, command in others.items() if name.startswith(setting + "/")]
    for _ in range(rounds):
        for contender in contenders:
            contender.run()
    for contender in contenders:
        contender.close()
    return {contender.name.partition("/")[2]: contender.rates for contender in contenders}


def main() -> None:
    """Measure and write the results."""
    settings = list(dict.fromkeys(name.partition("/")[0] for name in CONTENDERS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=settings, action="append", help="measure this setting; may be given again")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sbx-python", help="the Python of a virtual environment with sbx-rl and envpool")
    parser.add_argument("--purejaxql", help="a checkout of github.com/mttga/purejaxql")
    parser.add_argument("--purejaxql-python", help="the Python of a virtual environment that can run it")
    args = parser.parse_args()
    others: dict[str, list[str]] = {}
    if args.sbx_python:
        script = str(ROOT / "benchmarks" / "sbx_contender.py")
        others |= {name: [args.sbx_python, script, name] for name in SBX}
    if args.purejaxql and args.purejaxql_python:
        script = str(ROOT / "benchmarks" / "purejaxql_contender.py")
        others["pqn-minatar/purejaxql"] = [args.purejaxql_python, script, args.purejaxql]
    path = RESULTS / "throughput.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for setting in args.only or settings:
        rates = measure(setting, args.rounds, others)
        results[setting] = {"steps_per_second": rates, "provenance": provenance()}
        write_json(path, results)
        ours = np.array(next(iter(rates.values())))
        for name, values in rates.items():
            ratio = np.median(ours / np.array(values))
            print(f"{setting:20} {name:22} {np.median(values):>12,.0f} steps/s   jaxq is {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
