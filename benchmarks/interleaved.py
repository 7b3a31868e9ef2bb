"""Contenders kept ready in processes of their own and timed in turn, round after round.

All but one wait while one runs, so that a machine whose speed drifts drifts for all of them. One that cannot be had, or
that stops, is left with its error, and the others go on.
"""

import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines.venvs import LONGEST, NotInstalled

ROOT = Path(__file__).parent.parent
ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit)\b")  # how the last line of a traceback begins


def last_error(output: str) -> str:
    """The line of a program's output that says why it ended."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.match(line)]
    return (errors or lines or ["it said nothing"])[-1][:LONGEST]


@contextlib.contextmanager
def going_on_later() -> Iterator[None]:
    """For the end of a benchmark that goes on where it was: of a Ctrl-C a line is said, and the code is a shell's."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on with what is not measured yet", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


class Stopped(Exception):
    """A contender whose program ended when it should not have: the reason in one line."""


class Contender:
    """One process, ready to run segments."""

    def __init__(
        self, name: str, command: Sequence[str], checkout: Path = ROOT, environment: Mapping[str, str] | None = None
    ):
        """Start it and wait until its first segment is done.

        Raises:
          Stopped: where it ends before.
        """
        self.name = name
        self.rates: list[float] = []
        self.peak_mb: float | None = None
        # A file and not a pipe: a pipe that nobody reads is full one day, and its writer waits.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=checkout,
            env=environment,
        )
        self._read_until("ready")
        self._ready_seconds = time.perf_counter() - begun
        self._seconds: list[float] = []

    @classmethod
    def of_checkout(cls, name: str, checkout: Path = ROOT, environment: Mapping[str, str] | None = None) -> "Contender":
        """One of `CONTENDERS`, in this checkout or another."""
        return cls(name, [sys.executable, "-m", "benchmarks.contenders", name], checkout, environment)

    def _read_until(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        self.close()
        self._errors.seek(0)
        raise Stopped(f"stopped: {last_error(self._errors.read())}")

    def run(self) -> None:
        """Time one segment.

        Raises:
          Stopped: where it ends instead.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said last is read below
        measured = json.loads(self._read_until("{"))
        self.rates.append(measured["steps"] / measured["seconds"])
        self._seconds.append(measured["seconds"])
        self.peak_mb = measured.get("peak_mb")

    @property
    def startup_seconds(self) -> float:
        """From its start to its first finished segment, less what a segment takes: imports and compilation."""
        return max(0.0, self._ready_seconds - float(np.median(self._seconds)))

    def close(self) -> None:
        """End the process."""
        try:
            self.process.communicate("", timeout=10)
        except (subprocess.TimeoutExpired, ValueError, BrokenPipeError):
            self.process.kill()
            self.process.wait()


def measure(starts: Mapping[str, Callable[[], Contender]], rounds: int, say: Callable[[str], None] = print) -> Any:
    """Start all contenders, one after the other, and time them in turn.

    Args:
      starts: by name, what starts each.
      rounds: in each of which every contender runs a segment.
      say: hears of errors.

    Returns:
      `steps_per_second` by name, a number for each round; `contenders`, what else was found of each: its start-up in
      seconds and its peak memory in MB; and `errors`, a line for each that has no rates.
    """
    ready: dict[str, Contender] = {}
    errors: dict[str, str] = {}

    def failed(name: str, error: Exception) -> None:
        errors[name] = str(error)
        say(f"  {name}: {error}")

    try:
        for name, start in starts.items():
            try:
                ready[name] = start()
            except (NotInstalled, Stopped) as error:
                failed(name, error)
        for _ in range(rounds):
            for name, contender in list(ready.items()):
                try:
                    contender.run()
                except Stopped as error:
                    failed(name, error)
                    del ready[name]
    finally:
        for contender in ready.values():
            contender.close()
    return {
        "steps_per_second": {name: contender.rates for name, contender in ready.items()},
        "contenders": {
            name: {"startup_seconds": round(contender.startup_seconds, 2), "peak_mb": contender.peak_mb}
            for name, contender in ready.items()
        },
        "errors": errors,
    }


def ratios(ours: Sequence[float], others: Sequence[float]) -> np.ndarray:
    """How many times as fast the first is, round by round: its quartiles and median, [3]."""
    return np.quantile(np.array(ours) / np.array(others), [0.25, 0.5, 0.75])


def measured_before(found: Mapping[str, Any] | None, request: Mapping[str, Any], revision: str | None) -> bool:
    """Whether a result is of this request at this revision, so that it need not be measured again."""
    if found is None or revision is None:
        return False
    return found.get("request") == request and found["provenance"]["git_revision"] == revision


def revision(checkout: Path = ROOT) -> str | None:
    """The commit that is checked out; none outside of a repository."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
