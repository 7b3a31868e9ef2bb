"""Wall-clock from starting a program to a return: jaxq and its baselines, in turn on one machine.

    python -m benchmarks.time_to_return [--only halfcheetah] [--seeds 3] [--longest 30] [--again | --further]

Every contender is a program of its own that trains and tests its agent now and then; importing, compiling and testing
count. It is ended when a test reaches the return, or after `--longest` minutes. Each seed's contenders run one after
the other, of one revision. What was run at this revision stands, unless `--again` is given; with `--further` a seed
that all contenders ran at an earlier one stands too. Writes benchmarks/results/time_to_return.json, from which
`python -m benchmarks.report` makes the table.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines.registry import named
from benchmarks.baselines.venvs import NotInstalled
from benchmarks.interleaved import Stopped, going_on_later, last_error, revision
from jaxq.runs.directory import provenance, read_json, read_metrics, write_json

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "time_to_return.json"

Test = tuple[float, int, float]  # seconds since the start, environment steps, mean return


@dataclasses.dataclass(frozen=True)
class Contender:
    """One program.

    Attributes:
      name: in the table.
      command: without the seed.
      baseline: in whose environment it runs, and which prints a line of JSON for each test; None for a script of ours,
        whose tests are read from its metrics.
    """

    name: str
    command: tuple[str, ...]
    baseline: str | None = None

    @property
    def shown(self) -> str:
        """The command as a reader would type it."""
        return " ".join(["python", *self.command])

    def tests(self, seed: int, longest: float) -> Iterator[Test]:
        """Start the program and yield its tests as they come, until it ends or `longest` seconds are over."""
        with tempfile.TemporaryDirectory() as directory:
            run_dir = Path(directory) / "run"
            own = ["--run-dir", str(run_dir), "--checkpoint-minutes", "inf"] if self.baseline is None else []
            command = [sys.executable, *self.command, "--seed", str(seed), *own]
            if self.baseline is not None:
                command = [str(named(self.baseline).python()), *self.command, "--seed", str(seed)]
            output = Path(directory) / "output"
            # Every run compiles for itself, whoever keeps programs from one run to the next.
            env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(Path(directory) / "programs")}
            begun = time.monotonic()
            with output.open("w") as file:
                process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=subprocess.STDOUT)
            try:
                seen = 0
                while True:
                    alive = process.poll() is None
                    lines = _script_tests(run_dir) if self.baseline is None else _printed_tests(output)
                    for step, value in lines[seen:]:
                        yield time.monotonic() - begun, step, value
                    seen = len(lines)
                    if not alive:
                        if process.returncode:
                            raise Stopped(f"stopped: {last_error(output.read_text())}")
                        return
                    if time.monotonic() - begun > longest:
                        return
                    time.sleep(0.2)
            finally:
                process.kill()
                process.wait()


def _script_tests(run_dir: Path) -> list[tuple[int, float]]:
    lines = [line for line in read_metrics(run_dir) if line["eval_return"][0] is not None]
    return [(line["step"], float(np.mean(line["eval_return"]))) for line in lines]


def _printed_tests(output: Path) -> list[tuple[int, float]]:
    whole = output.read_text().rpartition("\n")[0].splitlines()
    tests = [json.loads(line) for line in whole if line.startswith('{"step"')]
    return [(test["step"], test["return"]) for test in tests]


def by_contender(setting: dict[str, Any]) -> dict[str, list[float | None]]:
    """Of a setting's result, the seconds to its return by seed; None where it was not reached."""
    seconds: dict[str, list[float | None]] = {}
    for run in sorted(setting["runs"], key=lambda run: run["seed"]):
        seconds.setdefault(run["contender"], []).append(run["seconds"])
    return seconds


def standing(
    before: dict[str, Any], setting: "Setting", seeds: int, now: str | None, further: bool
) -> list[dict[str, Any]]:
    """The runs of an earlier result that need not be run again.

    Args:
      before: a setting's result; empty for none.
      setting: of whose contenders, by their commands of today.
      seeds: how many are wanted.
      now: the revision, whose runs stand; None where it is not known.
      further: whether a seed that all contenders ran at one earlier revision stands too.
    """
    made = (before.get("provenance") or {}).get("git_revision")
    runs = [{"git_revision": made, **run} for run in before.get("runs", ())]
    commands = {contender.shown for contender in setting.contenders}
    stand = []
    for seed in range(seeds):
        own = [run for run in runs if run["seed"] == seed and run["command"] in commands]
        revisions = {run["git_revision"] for run in own}
        whole = further and {run["command"] for run in own} == commands and len(revisions) == 1
        stand += [run for run in own if whole or run["git_revision"] == now is not None]
    return stand


# Five episodes every 5,000 steps, as all contenders are tested; an evaluation needs a line of metrics.
TESTED = "--eval-episodes 5 --total-steps 1000000 --num-evaluations 200 --num-logs 200"
# PQN as `make train` has it, tested more often; its network may be without convolutions, as rejax's is.
SHORT = "--total-steps 2500000 --epsilon-steps 250000 --num-evaluations 100"
# FlashSAC's and FastSAC's recipe at the size of two cores: 16 environments, small networks, a categorical critic of
# three-step returns, four updates of 256 for every 16 samples where SAC does sixteen.
FAST = (
    "--num-envs 16 --updates 4 --batch-size 256 --critic-widths 256 256 --actor-widths 256 256 --discount 0.99 "
    "--n-step 3 --v-min -100 --v-max 600 --num-atoms 51 --target-rate 0.02 --actor-period 2 --learning-rate 1e-3 "
    "--target-entropy-per-dimension -0.5 --warmup-steps 2000"
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A return to be reached on a task.

    Attributes:
      title: in the table.
      target: the mean return of a test.
      contenders: the first is the one that ratios are of.
    """

    title: str
    target: float
    contenders: tuple[Contender, ...]


def settings() -> dict[str, Setting]:
    """All settings."""

    def ours(script: str, env: str, flags: str = "") -> Contender:
        command = f"experiments/continuous/{script}.py --env {env} {TESTED} {flags}"
        return Contender(f"jaxq {script}", tuple(command.split()))

    def discrete(script: str, env: str, flags: str, how: str = "") -> Contender:
        command = f"experiments/discrete/{script}.py --env {env} --eval-episodes 5 {flags}"
        return Contender(f"jaxq {script}{how}", tuple(command.split()))

    def theirs(baseline: str, agent: str, flags: str = "") -> Contender:
        command = f"-m benchmarks.baselines.{baseline}_returns --agent {agent} {flags}"
        return Contender(f"{baseline} {agent}", tuple(command.split()), baseline)

    cart_pole, breakout = "gymnax/CartPole-v1", "gymnax/Breakout-MinAtar"
    return {
        "cartpole": Setting(
            "CartPole-v1 (gymnax, and Gymnasium for sbx and sb3), 475",
            475.0,
            (
                discrete("dqn", cart_pole, "--total-steps 500000 --num-evaluations 100"),
                discrete("pqn", cart_pole, "--total-steps 5000000 --num-evaluations 100"),
                theirs("sbx", "DQN", "--env CartPole-v1"),
                theirs("sb3", "DQN", "--env CartPole-v1"),
                theirs("rejax", "dqn", "--env CartPole-v1"),
            ),
        ),
        "minatar-breakout": Setting(
            "Breakout-MinAtar (gymnax), 15",
            15.0,
            (
                discrete("pqn", breakout, f"{SHORT} --torso mlp --hidden-widths 128"),
                discrete("pqn", breakout, SHORT, ", convolutions"),
                discrete("dqn", breakout, "--total-steps 2000000 --num-evaluations 100"),
                theirs("rejax", "pqn", "--env Breakout-MinAtar"),
                theirs("rejax", "dqn", "--env Breakout-MinAtar"),
            ),
        ),
        "halfcheetah": Setting(
            "HalfCheetah-v4 (EnvPool, and Gymnasium for the baselines), 4,000",
            4_000.0,
            (
                ours("fast_sac", "envpool/HalfCheetah-v4", FAST),
                ours("sac", "envpool/HalfCheetah-v4"),
                *(theirs("sbx", agent) for agent in ("SAC", "TD3", "CrossQ")),
            ),
        ),
        "cheetahrun": Setting(
            "CheetahRun (MuJoCo Playground), 600",
            600.0,
            (ours("fast_sac", "playground/CheetahRun", FAST), ours("sac", "playground/CheetahRun")),
        ),
        "brax-halfcheetah": Setting(
            "halfcheetah (Brax), 2,000",
            2_000.0,
            (
                ours("fast_sac", "brax/halfcheetah", FAST),
                ours("sac", "brax/halfcheetah"),
                *(theirs("brax", agent) for agent in ("sac", "ppo")),
            ),
        ),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(settings()), action="append", help="may be given again")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longest", type=float, default=30.0, help="minutes")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--again", action="store_true", help="also what was run at this revision")
    which.add_argument("--further", action="store_true", help="not the seeds that an earlier revision ran whole")
    args = parser.parse_args()
    results: dict[str, Any] = read_json(RESULTS)
    chosen = settings()
    for name in args.only or chosen:
        setting = chosen[name]
        now = revision()
        runs = [] if args.again else standing(results.get(name, {}), setting, args.seeds, now, args.further)
        done = {(run["contender"], run["seed"], run["command"]) for run in runs}
        for seed in range(args.seeds):
            for contender in setting.contenders:
                if (contender.name, seed, contender.shown) in done:
                    continue
                tests: list[Test] = []
                error: str | None = None
                try:
                    for test in contender.tests(seed, 60 * args.longest):
                        tests.append(test)
                        if test[2] >= setting.target:
                            break
                except (NotInstalled, Stopped) as stopped:
                    error = str(stopped)
                reached = tests[-1][0] if tests and tests[-1][2] >= setting.target else None
                curve = [[round(seconds, 1), step, round(value, 1)] for seconds, step, value in tests]
                runs.append(
                    {
                        "contender": contender.name,
                        "command": contender.shown,
                        "seed": seed,
                        "git_revision": now,
                        "seconds": reached and round(reached, 1),
                        "tests": curve,
                        **({"error": error} if error else {}),
                    }
                )
                missed = f"not reached, {tests[-1][2]:,.0f} in the end" if tests else "no test"
                said = error or (f"{reached:,.0f} s" if reached else missed)
                print(f"{name:18} {contender.name:14} seed {seed}  {said}", flush=True)
                results[name] = {"title": setting.title, "target": setting.target, "runs": runs}
                results[name]["provenance"] = provenance()
                write_json(RESULTS, results)


if __name__ == "__main__":
    with going_on_later():
        main()
