"""Whether PQN's speed costs return: jaxq's and purejaxql's on MinAtar Breakout, of equal settings and samples.

    python -m benchmarks.pqn_returns --purejaxql CHECKOUT [--steps 1000000] [--seeds 2]

Writes benchmarks/results/pqn_returns.json: by seed, the mean return of the last tenth's episodes while exploring, and
that of the greedy policy at the end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.baselines.registry import named
from benchmarks.timing import RESULTS
from jaxq.runs.directory import provenance, write_json

ROOT = Path(__file__).parent.parent


def ours(steps: int, seeds: int) -> dict[str, list[float]]:
    """Of the script, with its defaults; exploration falls over the first tenth of the run, as purejaxql's does."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        flags = f"--env gymnax/Breakout-MinAtar --total-steps {steps} --num-seeds {seeds} --epsilon-steps {steps // 10}"
        command = [
            sys.executable,
            "experiments/discrete/pqn.py",
            *flags.split(),
            "--num-evaluations",
            "1",
            "--run-dir",
            str(run),
        ]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        last = lines[-max(len(lines) // 10, 1) :]
        returns, episodes = (np.array([line[name] for line in last], float) for name in ("episode_return", "episodes"))
        greedy = json.loads((run / "summary.json").read_text())["returns"]
    exploring = np.nansum(returns * episodes, axis=0) / episodes.sum(axis=0)
    return {"exploring": exploring.tolist(), "greedy": greedy}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--purejaxql", type=Path, required=True, help="a checkout of github.com/mttga/purejaxql")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    command = named("purejaxql").command("pqn-minatar", {"purejaxql": args.purejaxql.resolve()})
    command += ["--train", str(args.steps), str(args.seeds)]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    returns = {"jaxq": ours(args.steps, args.seeds), "purejaxql": json.loads(printed.splitlines()[-1])}
    write_json(RESULTS / "pqn_returns.json", {"steps": args.steps, "returns": returns, "provenance": provenance()})
    print(json.dumps(returns, indent=2))


if __name__ == "__main__":
    main()
