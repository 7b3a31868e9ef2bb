"""The learning results: runs by name, each written to benchmarks/results/runs/NAME without its checkpoints.

    python -m benchmarks.learning [NAME ...]

`python -m benchmarks.report` makes the table of them.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from jaxq.errors import clean_errors, require

ROOT = Path(__file__).parent.parent
RUNS = Path("benchmarks") / "results" / "runs"

COMMANDS = {
    "cartpole-dqn": "dqn --env gymnax/CartPole-v1 --num-seeds 10",
    # The classic defaults were chosen on seeds 0 to 19; these ten were not looked at before.
    "cartpole-dqn-fresh-seeds": "dqn --env gymnax/CartPole-v1 --num-seeds 10 --seed 100",
    "breakout-minatar-dqn": "dqn --env gymnax/Breakout-MinAtar --num-seeds 2",
    "pendulum-sac": "sac --env gymnax/Pendulum-v1 --num-seeds 2",
    "halfcheetah-envpool-sac": "sac --env envpool/HalfCheetah-v4 --total-steps 100000",
    "halfcheetah-brax-sac": "sac --env brax/halfcheetah --total-steps 20000 --eval-episodes 2 --num-evaluations 2",
    "cheetahrun-playground-sac": "sac --env playground/CheetahRun --total-steps 20000 --eval-episodes 2 "
    "--num-evaluations 2",
    "pong-dqn-short": "dqn --env envpool/Pong-v5 --total-steps 9000 --warmup-steps 4000 --replay-capacity 50000 "
    "--num-evaluations 1 --eval-episodes 1",
    "pong-dqn-short-2-seeds": "dqn --env envpool/Pong-v5 --num-seeds 2 --total-steps 9000 --warmup-steps 4000 "
    "--replay-capacity 50000 --num-evaluations 1 --eval-episodes 1",
}


def main() -> None:
    """Run those named, or all."""
    names = sys.argv[1:] or list(COMMANDS)
    for name in names:
        require(name in COMMANDS, "name", name, f"one of {', '.join(COMMANDS)}")
    for name in names:
        experiment, *flags = COMMANDS[name].split()
        shutil.rmtree(ROOT / RUNS / name, ignore_errors=True)
        command = [sys.executable, f"experiments/{experiment}.py", *flags, "--run-dir", str(RUNS / name)]
        subprocess.run([*command, "--checkpoint-minutes", "inf"], cwd=ROOT, check=True)
        shutil.rmtree(ROOT / RUNS / name / "checkpoints")
        for left_over in (".lock", "experiment.py"):
            (ROOT / RUNS / name / left_over).unlink()


if __name__ == "__main__":
    with clean_errors():
        main()
