"""The learning results, suite by suite, by one command that can be stopped and goes on where it was.

    python -m benchmarks.reproduce minatar [--agent c51 rainbow] [--only 'million-Freeway-*'] [--again] [--list]

What has a result, benchmarks/results/runs/NAME.json, by the same command and with the numbers that its script has now,
is left alone unless it is to be run again. The others are run one after the other under .bench/runs/; one that is
stopped (Ctrl-C, SIGTERM) or killed goes on from its checkpoint. A run that fails is said, and the next one begun. With
--leave what they ran in, with what was learned, is left under .bench/left/.
`python -m benchmarks.report` makes the tables of what there is.
"""

import argparse
import dataclasses
import fnmatch
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from benchmarks.launching import ROOT, UNDER_WAY, script
from benchmarks.runs import RUNS, command_of
from benchmarks.settings import changed
from benchmarks.suites import suites
from jaxq.errors import clean_errors, require
from jaxq.runs.results import keep, load
from jaxq.runs.scripts import scripts

RUNNING, LEFT = UNDER_WAY / "runs", UNDER_WAY / "left"
SCRIPTS = scripts(ROOT / "experiments")
SUITES = suites([name for name, path in SCRIPTS.items() if path.parent.name == "discrete"])
# How often a run saves: a stop saves at once, so that this is what a kill may lose.
SAVING = ("--checkpoint-minutes", "10")


@dataclasses.dataclass(frozen=True)
class Task:
    """A result that is to be there.

    Attributes:
      name: of it.
      command: the experiment and its flags.
    """

    name: str
    command: str

    @property
    def agent(self) -> str:
        """The experiment."""
        return self.command.split()[0]

    @property
    def result(self) -> Path:
        """Where it is kept."""
        return RUNS / f"{self.name}.json"

    @property
    def run_dir(self) -> Path:
        """Where it is while it is run, from the root."""
        return RUNNING / self.name

    @property
    def line(self) -> list[str]:
        """What is executed, from the root."""
        _, *flags = self.command.split()
        path = SCRIPTS[self.agent].relative_to(ROOT)
        return script(str(path), *flags, "--run-dir", self.run_dir, *SAVING)

    @property
    def state(self) -> str:
        """In a word or two."""
        state = self._kept()
        return "begun" if state != "there" and (ROOT / self.run_dir).exists() else state

    def _kept(self) -> str:
        if not self.result.exists():
            return "to do"
        result = load(self.result)
        if command_of(result) != self.command.split():
            return "to do, there by another command"
        before = changed(result)
        return f"to do, there with another {', '.join(before)}" if before else "there"


class Stopped(Exception):
    """The command was told to stop."""


def run(task: Task, leave: bool = False) -> bool:
    """Run a task to its end, from where it is, and keep the result, or `leave` all of it; whether it got there.

    Raises:
      Stopped: if this process was told to stop, once the run has saved itself.
    """
    if kept(task, leave):  # a stop came between its end and this
        return True
    told: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        told.append(number)
        for process in running:
            process.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        # In a group of its own the run hears of a stop once, from here, however this process was told.
        running.append(subprocess.Popen(task.line, cwd=ROOT, start_new_session=True))
        if told:  # while it was started
            running[0].send_signal(signal.SIGTERM)
        code = running[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    there = code == 0 and kept(task, leave)
    if told:
        raise Stopped
    return there


def kept(task: Task, leave: bool = False) -> bool:
    """Keep the result of a task whose run is finished, and `leave` what it ran in; whether it is."""
    if not (ROOT / task.run_dir / "summary.json").exists():
        return False
    keep(ROOT / task.run_dir, task.result)
    if not leave:
        shutil.rmtree(ROOT / task.run_dir)
        return True
    left = ROOT / LEFT / task.name
    shutil.rmtree(left, ignore_errors=True)
    left.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(ROOT / task.run_dir, left)
    return True


def chosen(suite: str, agents: list[str] | None, patterns: list[str]) -> list[Task]:
    """The tasks of a suite, in its order.

    Raises:
      InputError: if the suite has none such.
    """
    require(suite in SUITES, "suite", suite, f"one of {', '.join(SUITES)}")
    tasks = [Task(name, command) for name, command in SUITES[suite].items()]
    known = list(dict.fromkeys(task.agent for task in tasks))
    for agent in agents or []:
        require(agent in known, "agent", agent, f"one of {', '.join(known)}")
    found = [task for task in tasks if not agents or task.agent in agents]
    found = [task for task in found if any(fnmatch.fnmatch(task.name, pattern) for pattern in patterns)]
    require(bool(found), "only", " ".join(patterns), f"a pattern of names such as {tasks[0].name}")
    return found


def main() -> int:
    """Run what is missing; 0 if all is there in the end or a stop was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help=", ".join(SUITES))
    parser.add_argument("--agent", nargs="+", help="only these")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="only names like these")
    parser.add_argument("--again", action="store_true", help="also what has a result")
    parser.add_argument("--leave", action="store_true", help="leave what they ran in under .bench/left")
    parser.add_argument("--list", action="store_true", help="say what there is and what is to do")
    args = parser.parse_args()
    tasks = chosen(args.suite, args.agent, args.only)
    if args.list:
        for task in tasks:
            print(f"{task.state:42} {task.name:36} {task.command}")
        return 0
    todo = [task for task in tasks if args.again or task.state != "there"]
    print(f"{args.suite}: {len(tasks) - len(todo)} of {len(tasks)} are there", flush=True)
    failed = []
    for i, task in enumerate(todo):
        print(f"\n{i + 1} of {len(todo)}: {task.name}", flush=True)
        try:
            if not run(task, args.leave):
                failed.append(task.name)
        except Stopped:
            print(f"\nstopped in {task.name}, {len(todo) - i} to go; the same command goes on")
            return 0
    for name in failed:
        print(f"{name} failed; what it wrote is in {RUNNING / name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    with clean_errors():
        sys.exit(main())
