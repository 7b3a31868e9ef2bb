"""What logging and saving cost: whole runs of DQN on CartPole in turn, with and without.

    python -m benchmarks.costs [--rounds 5] [--steps 400000]

Each run is the driver's, with its directory; its speed is the one that it reports itself, which leaves out compiling.
A plain run logs ten lines and saves once, at its end. Writes benchmarks/results/costs.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.interleaved import ROOT, ratios
from benchmarks.timing import RESULTS
from jaxq.runs.directory import provenance, write_json

RUNS = {
    "plain": "--num-logs 10 --checkpoint-minutes inf",
    "1,000 lines of metrics": "--num-logs 1000 --checkpoint-minutes inf",
    "saved after every tenth of the run": "--num-logs 10 --checkpoint-minutes 0",
    "100 evaluations": "--num-logs 100 --num-evaluations 100 --checkpoint-minutes inf",
}


def steps_per_second(flags: str, steps: int) -> float:
    """Of one run, from its start to its end, compilation excluded."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = f"experiments/discrete/dqn.py --env gymnax/CartPole-v1 --num-evaluations 1 --total-steps {steps}"
        words = [sys.executable, *command.split(), *flags.split(), "--run-dir", str(run_dir)]
        subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        summary = json.loads((run_dir / "summary.json").read_text())
        return float(summary["total_steps"] / (summary["wall_seconds"] - summary["compile_seconds"]))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--out", type=Path, default=RESULTS / "costs.json")
    args = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in RUNS}
    for _ in range(args.rounds):
        for name, flags in RUNS.items():
            rates[name].append(steps_per_second(flags, args.steps))
    write_json(args.out, {"steps_per_second": rates, "steps": args.steps, "provenance": provenance()})
    for name, values in rates.items():
        low, middle, high = ratios(rates["plain"], values)
        print(f"{name:36} {np.median(values):>10,.0f} steps/s, plain is {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
