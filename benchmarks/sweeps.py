"""A sweep and a population-based training, each killed in the middle, and what they find beside the default.

    python -m benchmarks.sweeps [--trials 100] [--steps 200000] [--seeds 10] [--only pbt default]

DQN on MinAtar Asterix. `jaxq sweep` with the TPE sampler over benchmarks/asterix.yaml, and the script with
`--controller pbt`, are each killed (SIGKILL) at a moment drawn at random, and the same command goes on. The setting
that each has found is then trained with seeds that neither has seen, beside the script's default, with as many steps
as a trial and a member had. Writes benchmarks/results/sweeps.json. It can be stopped; the same command goes on. With
`--only` it makes some of the parts, so that they can be made side by side.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from benchmarks.launching import ROOT, UNDER_WAY, as_typed, finish, jaxq, script, start, trials_so_far
from benchmarks.timing import RESULTS
from jaxq.runs.directory import finite_or_null, provenance, read_json, read_metrics, write_json
from jaxq.sweeps.studies import superseded

ENV = "gymnax/Asterix-MinAtar"
DQN = "experiments/discrete/dqn.py"
WORK = UNDER_WAY / "sweeps"
STUDY = "asterix"
EVALUATIONS = 4
FIRST_SEED = 100  # of those that nothing was chosen by
# Corners that a user may think of, of numbers that the sweep looks through too; the default is 500 and 0.99. The step
# size is not among them: who is best is told by what was learned so far, and large steps learn faster at first and less
# in the end, so that a population goes to 1e-3 before it turns back.
PBT = ["--target-period", 50, 100, 400, 1600, "--discount", 0.9, 0.97, 0.99, 0.997]
PBT += ["--controller", "pbt", "--turn-fraction", 0.25]
PBT_EVALUATIONS = 10
PARTS = ("default", "pbt", "tpe")

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Notes:
    """What this benchmark has done so far, on the disk."""

    def __init__(self, path: Path):
        self.path = path
        self.values: dict[str, Any] = read_json(path)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gave when it was first called."""
        if name not in self.values:
            self.values[name] = make()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, self.values)
        return self.values[name]


def killed(command: Sequence[str], log: Path, moment: Callable[[], Any]) -> Any:
    """Start a command and kill it when `moment` gives something, which is returned.

    Raises:
      RuntimeError: if it ends before that.
    """
    process = start(command, log)
    try:
        while (seen := moment()) is None:
            if process.poll() is not None:
                raise RuntimeError(f"{as_typed(command)} ended before it was killed: {log.read_text()[-2000:]}")
            time.sleep(0.5)
    finally:
        process.kill()
        process.wait()
    print(f"killed {as_typed(command)[:80]}...: {seen}", flush=True)
    return seen


def told(trial: FrozenTrial) -> dict[str, Any]:
    """What is kept of a trial."""
    kept = ("again_of", "attempts", "diverged")
    attributes: dict[str, Any] = {name: trial.user_attrs[name] for name in kept if name in trial.user_attrs}
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return {"number": trial.number, "state": trial.state.name, "value": value, "setting": trial.params, **attributes}


def tpe(args: argparse.Namespace, notes: Notes) -> dict[str, Any]:
    """The sweep: killed, gone on with, and what came of it."""
    flags = ["--env", ENV, "--study", STUDY, "--space", "benchmarks/asterix.yaml", "--trials", args.trials]
    flags += ["--population", args.population, "--directory", WORK, "--resume", "--total-steps", args.steps]
    flags += ["--num-evaluations", EVALUATIONS, "--checkpoint-minutes", 0.5]
    command, log = jaxq("sweep", "dqn", *flags), ROOT / WORK / "tpe.log"
    wanted = round(args.trials * float(np.random.default_rng(args.seed).uniform(0.3, 0.6)))

    def moment() -> dict[str, Any] | None:
        trials = trials_so_far(WORK, STUDY)
        finished = [told(trial) for trial in trials if trial.state in FINISHED]
        running = [trial for trial in trials if trial.state == TrialState.RUNNING and "run_dir" in trial.user_attrs]
        lines = read_metrics(ROOT / running[0].user_attrs["run_dir"]) if running else []
        # In the middle of a population, so that there is something to lose.
        if len(finished) < wanted or not lines or lines[-1]["step"] < 0.4 * args.steps:
            return None
        return {"finished": finished, "running": [t.number for t in running], "step": lines[-1]["step"]}

    seen = notes.once("killed", lambda: killed(command, log, moment))
    notes.once("finished", lambda: finish(command, log))
    trials = trials_so_far(WORK, STUDY)
    counted = [trial for trial in trials if trial.number not in superseded(trials)]
    now = {trial.number: told(trial) for trial in trials}
    settings = [json.dumps(trial.params, sort_keys=True) for trial in counted]
    states = [trial.state.name for trial in counted]
    best = subprocess.run(
        jaxq("sweep", "best", STUDY, "--directory", WORK), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {
        "command": as_typed(command),
        "killed": {**seen, "finished": len(seen["finished"])},
        "finished_trials_that_changed": sum(now[row["number"]] != row for row in seen["finished"]),
        "trials": [told(trial) for trial in trials],
        "states": {state: states.count(state) for state in dict.fromkeys(states)},
        "starts": len(trials),
        "settings_trained_twice": len(settings) - len({*settings}),
        "resumed": [line.split(": ", 1)[1] for line in log.read_text().splitlines() if ": resumed at step" in line],
        "best": {"title": best[0], "command": best[1]},
    }


def pbt(args: argparse.Namespace, notes: Notes) -> dict[str, Any]:
    """The population: killed, gone on with, and what came of it."""
    run_dir, log = WORK / "pbt", ROOT / WORK / "pbt.log"
    flags = ["--env", ENV, *PBT, "--total-steps", args.steps, "--num-evaluations", PBT_EVALUATIONS]
    flags += ["--checkpoint-minutes", 0.5, "--run-dir", run_dir]
    command = script(DQN, *flags)
    wanted = args.steps * float(np.random.default_rng(args.seed + 1).uniform(0.3, 0.7))

    def moment() -> dict[str, Any] | None:
        lines = read_metrics(ROOT / run_dir)
        return {"step": lines[-1]["step"]} if lines and lines[-1]["step"] >= wanted else None

    seen = notes.once("killed", lambda: killed(command, log, moment))
    notes.once("finished", lambda: finish(command, log))
    rows = json.loads((ROOT / run_dir / "summary.json").read_text())["members"]
    every = read_metrics(ROOT / run_dir)
    lines = [line for line in every if any(value is not None for value in line["eval_return"])]
    # As the controller tells who is best: by the episodes of training since its last turn.
    played = np.array([line["episode_return"] for line in every if line["step"] > lines[-2]["step"]], float)
    trained = np.where([row["diverged"] is None for row in rows], np.nanmean(played, axis=0), -np.inf)
    best = rows[int(trained.argmax())]
    words = [word for name, value in best["setting"].items() for word in (f"--{name.replace('_', '-')}", value)]
    found = script(DQN, "--env", ENV, *words, "--total-steps", args.steps, "--num-evaluations", EVALUATIONS)
    kept = [name for name in lines[0] if name in ("step", "eval_return", "source") or name.startswith("setting/")]
    return {
        "command": as_typed(command),
        "killed": seen,
        "resumed": [line.split(": ", 1)[1] for line in log.read_text().splitlines() if ": resumed at step" in line],
        "members": [{**row, "training_return": finite_or_null(float(score))} for row, score in zip(rows, trained)],
        "evaluations": [{name: line.get(name) for name in kept} for line in lines],
        "copies": sum(i != source for line in lines for i, source in enumerate(line.get("source") or [])),
        "best": {
            "title": f"training return {trained.max():.4g}, {best['setting']}",
            "command": as_typed(found),
        },
    }


def fresh(name: str, command: str, args: argparse.Namespace, notes: Notes) -> dict[str, Any]:
    """A command with seeds that nothing was chosen by."""
    run_dir = WORK / f"fresh-{name}"
    more = ["--seed", FIRST_SEED, "--num-seeds", args.seeds, "--run-dir", run_dir]
    whole = [sys.executable, *shlex.split(command)[1:], *map(str, more)]
    print(as_typed(whole), flush=True)

    def trained() -> None:
        finish(whole, ROOT / WORK / f"fresh-{name}.log")
        if not (ROOT / run_dir / "summary.json").exists():
            raise RuntimeError(f"{run_dir} was told to stop; the same command goes on")

    notes.once("fresh", trained)
    lines = [line for line in read_metrics(ROOT / run_dir) if any(value is not None for value in line["eval_return"])]
    return {
        "command": as_typed(whole),
        "curve": {kind: [line[kind] for line in lines] for kind in ("step", "eval_return", "episode_return")},
        "returns": json.loads((ROOT / run_dir / "summary.json").read_text())["returns"],
        "provenance": json.loads((ROOT / run_dir / "provenance.json").read_text()),
    }


def main() -> None:
    """Run what is missing, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--population", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of killing")
    parser.add_argument("--only", choices=PARTS, nargs="+", help="these parts")
    parser.add_argument("--out", type=Path, default=RESULTS / "sweeps.json")
    args = parser.parse_args()
    default = as_typed(script(DQN, "--env", ENV, "--total-steps", args.steps, "--num-evaluations", EVALUATIONS))
    for name in args.only or PARTS:
        notes = Notes(ROOT / WORK / f"{name}.json")
        part = {} if name == "default" else {"pbt": pbt, "tpe": tpe}[name](args, notes)
        part["fresh"] = fresh(name, part["best"]["command"] if part else default, args, notes)
        there: dict[str, Any] = read_json(args.out)
        write_json(args.out, {**there, name: {"env": ENV, "steps": args.steps, **part, "provenance": provenance()}})
        print(f"{name:8} {np.mean(part['fresh']['returns']):.2f} by seed {part['fresh']['returns']}")


if __name__ == "__main__":
    main()
