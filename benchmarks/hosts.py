"""Several processes of which one is killed at random: how the others end, and what the same commands make of it.

    python -m benchmarks.hosts [--rounds 5] [--only run-2 run-4 sweep-2 sweep-4]

Two and four processes on one machine, by loopback. *run* is one DQN on CartPole whose environments, replay and batches
are spread over all processes (Gloo); *sweep* is as many workers on one study, a grid, so that every trial has one
right value. In each round a process drawn at random is killed (SIGKILL) at a random moment: so many lines of metrics
or finished trials after the beginning, and up to three seconds more. The same commands are given again, and what comes
of them is compared with what came of those that were left alone. Writes benchmarks/results/hosts.json, round by round;
a round that is there is not made again.
"""

import argparse
import json
import math
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from benchmarks.launching import ROOT, UNDER_WAY, as_typed, cleared, jaxq, script, start, trials_so_far
from benchmarks.members import NOT_LEARNED, largest_difference
from benchmarks.timing import RESULTS
from jaxq.runs.directory import provenance, read_metrics, write_json
from jaxq.sweeps.studies import superseded

WORK = UNDER_WAY / "hosts"
CASES = ("run-2", "run-4", "sweep-2", "sweep-4")
LOGS, TRIALS = 10, 8
SMALL = [
    *("--num-envs", 8, "--batch-size", 32, "--warmup-steps", 400, "--hidden-widths", 32, "--epsilon-steps", 1000),
    *("--replay-capacity", 2000, "--num-evaluations", 2, "--eval-episodes", 8),
]
RUN = ["--env", "gymnax/CartPole-v1", *SMALL, "--total-steps", 2000, "--num-logs", LOGS, "--checkpoint-minutes", 0]
SPACE = "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true, count: 4}\ndiscount: {choices: [0.9, 0.99]}\n"
STUDY = "grid"
PATIENCE = 600  # seconds after which a process is given up


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run_commands(folder: Path, count: int) -> list[list[str]]:
    """The commands of a run, one a process."""
    address = f"127.0.0.1:{free_port()}"
    flags = [*RUN, "--run-dir", folder / "run", "--coordinator", address, "--num-processes", count]
    return [script("experiments/discrete/dqn.py", *flags, "--process-id", i) for i in range(count)]


def sweep_commands(folder: Path, count: int, population: int = 1) -> list[list[str]]:
    """The commands of a sweep, one a worker."""
    space = ROOT / WORK / "space.yaml"
    space.parent.mkdir(parents=True, exist_ok=True)
    space.write_text(SPACE)
    flags = ["--env", "gymnax/CartPole-v1", "--study", STUDY, "--space", WORK / "space.yaml", "--trials", TRIALS]
    flags += ["--sampler", "grid", "--population", population, "--directory", folder, "--resume", *SMALL]
    flags += ["--total-steps", 2000, "--num-logs", LOGS, "--checkpoint-minutes", 0]
    return [jaxq("sweep", "dqn", *flags)] * count


def commands(case: str, folder: Path) -> list[list[str]]:
    """Those of a case, which write under a folder."""
    kind, _, count = case.partition("-")
    return (run_commands if kind == "run" else sweep_commands)(folder, int(count))


def begin(lines: Sequence[Sequence[str]], folder: Path) -> list[subprocess.Popen[bytes]]:
    """Start all processes; each says what it does in a file of its own."""
    return [start(line, ROOT / folder / f"process-{i}.log") for i, line in enumerate(lines)]


def ended(processes: Sequence[subprocess.Popen[bytes]], since: float) -> list[tuple[int | None, float]]:
    """Wait for processes; the code of each, or None if it had to be given up, and the seconds that it took."""
    codes: dict[int, tuple[int | None, float]] = {}
    while len(codes) < len(processes):
        for i, process in enumerate(processes):
            seconds = round(time.monotonic() - since, 1)
            if i not in codes and process.poll() is not None:
                codes[i] = process.returncode, seconds
            elif i not in codes and seconds > PATIENCE:
                process.kill()
                process.wait()
                codes[i] = None, seconds
        time.sleep(0.1)
    return [codes[i] for i in range(len(processes))]


def undisturbed(case: str) -> Path:
    """The folder of a case that is left alone."""
    folder = WORK / f"{case}-undisturbed"
    note = ROOT / folder / "seconds.json"
    if not note.exists():
        cleared(ROOT / folder)
        begun = time.monotonic()
        codes = ended(begin(commands(case, folder), folder), begun)
        if any(code != 0 for code, _ in codes):
            raise RuntimeError(f"{case}, left alone, ended with {codes}: see {folder}")
        write_json(note, {"seconds": time.monotonic() - begun})
    return folder


def metrics_of(run_dir: Path) -> dict[str, np.ndarray]:
    """All metrics of a run, by name; what is missing is NaN."""
    lines = read_metrics(ROOT / run_dir)
    return {name: np.array([line[name] for line in lines], np.float64) for name in lines[0] if name not in NOT_LEARNED}


def difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of two runs: whether all metrics have the same bits, and the largest difference relative to a metric's size."""
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        return {"same_bits": False, "largest": None}
    largest = 0.0
    for name, one in ours.items():
        size = max(float(np.nanmax(np.abs(theirs[name]), initial=0.0)), 1e-9)
        largest = max(largest, largest_difference(one, theirs[name]) / size)
    if math.isinf(largest):
        return {"same_bits": False, "largest": None}
    return {"same_bits": all(a.tobytes() == theirs[name].tobytes() for name, a in ours.items()), "largest": largest}


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """The trials of a sweep so far; none before there is a study."""
    trials = trials_so_far(folder, STUDY)
    gone = superseded(trials)
    return [
        {"number": t.number, "state": t.state.name, "lost": t.number in gone, "setting": t.params, "value": t.value}
        if t.state == TrialState.COMPLETE
        else {"number": t.number, "state": t.state.name, "lost": t.number in gone, "setting": t.params}
        for t in trials
    ]


def values_of(trials: list[dict[str, Any]]) -> dict[str, list[float]]:
    """By setting, the values of all trials that came to an end with it."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        if trial["state"] == TrialState.COMPLETE.name:
            found.setdefault(json.dumps(trial["setting"], sort_keys=True), []).append(trial["value"])
    return found


def so_far(case: str, folder: Path) -> Any:
    """What a case has come to: lines of metrics, or trials that are finished."""
    if case.startswith("run"):
        return len(read_metrics(ROOT / folder / "run"))
    return [t for t in trials_of(folder) if t["state"] == TrialState.COMPLETE.name]


def count_of(done: Any) -> int:
    """How much that is."""
    return done if isinstance(done, int) else len(done)


def outcome(case: str, folder: Path, reference: Path, before: Any) -> dict[str, Any]:
    """What came of a case that was killed and begun again, beside one that was left alone."""
    if case.startswith("run"):
        return difference(metrics_of(folder / "run"), metrics_of(reference / "run"))
    trials, right = trials_of(folder), values_of(trials_of(reference))
    found = values_of(trials)
    by_number = {trial["number"]: trial for trial in trials}
    return {
        "same_bits": {k: v[:1] for k, v in found.items()} == {k: v[:1] for k, v in right.items()},
        "finished": sum(map(len, found.values())),
        "settings": len(found),
        "settings_trained_twice": sum(len(values) > 1 for values in found.values()),
        "finished_before_that_changed": sum(by_number[trial["number"]] != trial for trial in before),
        "lost_and_tried_again": sum(trial["lost"] for trial in trials),
        "states": {s: sum(t["state"] == s for t in trials) for s in sorted({t["state"] for t in trials})},
    }


def last_said(log: Path) -> str:
    """The last line that a process said."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def one_round(case: str, number: int) -> dict[str, Any]:
    """Kill a process at a random moment, and give the same commands again."""
    reference = undisturbed(case)
    rng = np.random.default_rng([CASES.index(case), number])
    folder = WORK / f"{case}-{number}"
    cleared(ROOT / folder)
    lines = commands(case, folder)
    victim, wanted = int(rng.integers(len(lines))), int(rng.integers(LOGS if case.startswith("run") else TRIALS))
    more = float(rng.uniform(0.0, 3.0 if wanted else 30.0))  # before anything is learned there is more to go wrong
    processes, begun = begin(lines, folder), time.monotonic()
    while count_of(so_far(case, folder)) < wanted and all(process.poll() is None for process in processes):
        time.sleep(0.2)
    time.sleep(more)
    over = [process.poll() for process in processes]
    processes[victim].send_signal(signal.SIGKILL)
    since = time.monotonic()
    before = so_far(case, folder)
    others = [i for i in range(len(lines)) if i != victim]
    row: dict[str, Any] = {
        "case": case,
        "round": number,
        "killed_process": victim,
        "killed_after_seconds": round(since - begun, 1),
        "over_before": sum(code is not None for code in over),
        "so_far": count_of(before),
    }
    if case.startswith("run"):
        processes[victim].wait()
        codes = ended([processes[i] for i in others], since)
        row |= {"others": [{"code": c, "seconds": s} for c, s in codes]}
        row |= {"said": [last_said(ROOT / folder / f"process-{i}.log") for i in others]}
        # One that is killed with nothing left to do is missed by nobody, and there is nothing to go on with.
        finished = (ROOT / folder / "run" / "summary.json").exists()
        again = [] if finished else begin(commands(case, folder), folder)
    else:  # the others work on
        processes[victim].wait()
        again = begin([lines[victim]], folder / "again")
        again += [processes[i] for i in others]
    since = time.monotonic()
    codes = ended(again, since)
    row |= {"again": [{"code": c, "seconds": s} for c, s in codes]}
    if any(code != 0 for code, _ in codes):
        row |= {"again_said": [last_said(ROOT / folder / f"process-{i}.log") for i in range(len(lines))]}
        return row
    return row | {"outcome": outcome(case, folder, reference, before)}


def there(out: Path) -> list[dict[str, Any]]:
    """The rounds that were made so far."""
    return json.loads(out.read_text())["rounds"] if out.exists() else []


def main() -> None:
    """Make the rounds that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=CASES, nargs="+", default=CASES)
    parser.add_argument("--out", type=Path, default=RESULTS / "hosts.json")
    args = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    for number in range(args.rounds):
        for case in args.only:
            if (case, number) in {(row["case"], row["round"]) for row in there(args.out)}:
                continue
            row = one_round(case, number)
            print(json.dumps(row), flush=True)
            # Read again, since cases may be made side by side.
            rows = sorted([*there(args.out), row], key=lambda row: (CASES.index(row["case"]), row["round"]))
            examples = {c: as_typed(commands(c, WORK / c)[-1]) for c in CASES}
            write_json(args.out, {"rounds": rows, "commands": examples, "provenance": provenance()})
            cleared(ROOT / WORK / f"{case}-{number}")


if __name__ == "__main__":
    main()
