"""The learning results: runs by name, each kept as one file, benchmarks/results/runs/NAME.json.

    python -m benchmarks.learning [NAME ...]

`python -m benchmarks.report` makes the table of them.
"""

import fnmatch
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.runs import RUNS
from jaxq.errors import clean_errors, require
from jaxq.runs.results import keep

ROOT = Path(__file__).parent.parent

COMMANDS = {
    "cartpole-dqn": "dqn --env gymnax/CartPole-v1 --num-seeds 10",
    # The classic defaults were chosen on seeds 0 to 19; these ten were not looked at before.
    "cartpole-dqn-fresh-seeds": "dqn --env gymnax/CartPole-v1 --num-seeds 10 --seed 100",
    "breakout-minatar-dqn": "dqn --env gymnax/Breakout-MinAtar --num-seeds 2",
    # What `make train` does, with ten seeds.
    "breakout-minatar-pqn-ten-seeds": "pqn --env gymnax/Breakout-MinAtar --num-seeds 10 --total-steps 2500000 "
    "--epsilon-steps 250000 --num-evaluations 5",
    "breakout-minatar-dqn-ten-seeds": "dqn --env gymnax/Breakout-MinAtar --num-seeds 10 --total-steps 1000000",
    # What is to be remembered is shown once, at the start: chance makes 0, a memory 1.
    "memorychain-pqn": "pqn --env gymnax/MemoryChain-bsuite --num-seeds 2 --total-steps 300000",
    "memorychain-recurrent-pqn": "recurrent_pqn --env gymnax/MemoryChain-bsuite --num-seeds 2 --total-steps 300000",
    "memorychain-r2d2": "r2d2 --env gymnax/MemoryChain-bsuite --num-seeds 2 --total-steps 20000",
    "halfcheetah-envpool-sac": "sac --env envpool/HalfCheetah-v4 --total-steps 100000",
    "halfcheetah-brax-sac": "sac --env brax/halfcheetah --total-steps 20000 --eval-episodes 2 --num-evaluations 2",
    "cheetahrun-playground-sac": "sac --env playground/CheetahRun --total-steps 20000 --eval-episodes 2 "
    "--num-evaluations 2",
    "pong-dqn-short": "dqn --env envpool/Pong-v5 --total-steps 9000 --warmup-steps 4000 --replay-capacity 50000 "
    "--num-evaluations 1 --eval-episodes 1",
    "pong-dqn-short-2-seeds": "dqn --env envpool/Pong-v5 --num-seeds 2 --total-steps 9000 --warmup-steps 4000 "
    "--replay-capacity 50000 --num-evaluations 1 --eval-episodes 1",
}

# Continuous control. Two small tasks, which are solved at about -200 and at 1,000, in each script's own defaults; and
# three larger ones at 100,000 steps, of which the published figures are in benchmarks/report.py.
CONTROL_AGENTS = ("sac", "td3", "tqc", "crossq", "dsac_t", "i_sac", "revalued")
SMALL_AGENTS = (*CONTROL_AGENTS, "ddpg", "i_td3", "risk_averse_sac", "simba", "decqn", "mrq")
CONTROL_TASKS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
for agent in SMALL_AGENTS:
    COMMANDS[f"pendulum-{agent}"] = f"{agent} --env gymnax/Pendulum-v1 --num-seeds 2"
    COMMANDS[f"pole-{agent}"] = f"{agent} --env envpool/InvertedPendulum-v4 --num-seeds 2 --total-steps 20000"
for task in CONTROL_TASKS:
    for agent in CONTROL_AGENTS:
        COMMANDS[f"control-{task}-{agent}"] = (
            f"{agent} --env envpool/{task} --num-seeds 3 --total-steps 100000 --num-evaluations 10 --eval-episodes 10"
        )

# On Atari, only that they run: a few hundred updates are all that two cores allow.
ATARI = "--num-evaluations 1 --eval-episodes 1"
for agent in ("rainbow", "iqn", "i_iqn"):
    COMMANDS[f"atari-{agent}"] = (
        f"{agent} --env envpool/Pong-v5 --total-steps 2800 --warmup-steps 2000 --replay-capacity 20000 {ATARI}"
    )
COMMANDS["atari-pqn"] = f"pqn --env envpool/Breakout-v5 --total-steps 8192 {ATARI}"

# One budget for all agents that replay, a small one, so that it is samples that decide; PQN, which sees each sample
# twice and forgets it, gets its own paper's kind of budget.
# The step size is one for all agents and games. Of 2.5e-4 and 1e-3, tried with DQN, C51, QR-DQN and HL-Gauss on
# Breakout and seeds 100 to 102, the larger one is the better for three and as good for QR-DQN: there are only 12,000
# updates, in which logits have far to go.
MINATAR_GAMES = ("Breakout", "Asterix", "Freeway", "SpaceInvaders", "Seaquest")
MINATAR_AGENTS = {
    "dqn": "",
    "c51": "",
    "qr_dqn": "--num-quantiles 51",
    "iqn": "",
    "hl_gauss": "",
    "munchausen_iqn": "",
    "rainbow": "",
    "i_dqn": "",
    "i_iqn": "",
}
SAMPLES = "--num-seeds 3 --total-steps 200000 --learning-rate 1e-3 --num-evaluations 4"
# A million steps, in each script's own defaults but for PQN's exploration, which is made for ten times as many.
MILLION = {"dqn": "", "i_dqn": "", "rainbow": "", "pqn": "--epsilon-steps 250000"}
ROLLOUTS = "--num-seeds 2 --total-steps 2500000 --epsilon-steps 250000 --num-evaluations 4"
for game in MINATAR_GAMES:
    for agent, flags in MINATAR_AGENTS.items():
        schedule = "" if agent == "rainbow" else "--epsilon-steps 50000"
        COMMANDS[f"minatar-{game}-{agent}"] = f"{agent} --env gymnax/{game}-MinAtar {SAMPLES} {schedule} {flags}"
    for agent, flags in MILLION.items():
        million = f"--env gymnax/{game}-MinAtar --num-seeds 3 --total-steps 1000000 --num-evaluations 4"
        COMMANDS[f"million-{game}-{agent}"] = f"{agent} {million} {flags}"
    COMMANDS[f"minatar-{game}-pqn"] = f"pqn --env gymnax/{game}-MinAtar {ROLLOUTS}"

# Every agent with discrete actions by one command, in its own defaults. To minimax_dqn, whose player has three actions
# unless told otherwise, Breakout is a game against an opponent with one.
SCRIPTS = {
    path.stem: path.relative_to(ROOT)
    for path in sorted((ROOT / "experiments").glob("*/*.py"))
    if path.parent.name != "launch"
}
for name, script in SCRIPTS.items():
    if script.parent.name == "discrete" and name != "__init__":
        COMMANDS[f"family-{name}"] = f"{name} --env gymnax/Breakout-MinAtar --num-seeds 2 --total-steps 100000"


def main() -> None:
    """Run those named, or all; a name may end in * for all that begin so."""
    names = [name for pattern in sys.argv[1:] or ["*"] for name in fnmatch.filter(COMMANDS, pattern) or [pattern]]
    for name in names:
        require(name in COMMANDS, "name", name, f"one of {', '.join(COMMANDS)}")
    for name in names:
        experiment, *flags = COMMANDS[name].split()
        with tempfile.TemporaryDirectory() as directory:
            run_dir = Path(directory) / name
            command = [sys.executable, str(SCRIPTS[experiment]), *flags, "--run-dir", str(run_dir)]
            subprocess.run([*command, "--checkpoint-minutes", "inf"], cwd=ROOT, check=True)
            keep(run_dir, RUNS / f"{name}.json")


if __name__ == "__main__":
    with clean_errors():
        main()
