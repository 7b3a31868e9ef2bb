"""What a run shows on the screen: a progress bar on a terminal, a line for each evaluation elsewhere."""

import math
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SILENCE = 60.0  # seconds of a long evaluation without a word, where there is no bar


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None and v == v]
    return sum(known) / len(known) if known else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


class Display:
    """Follows a run of `total_steps` steps of each of its members."""

    def __init__(self, title: str, total_steps: int, members: int = 1, *, quiet: bool = False):
        self._console = Console(quiet=quiet)
        self._title = title
        self._total = total_steps
        self._together = f" of {members} members" if members > 1 else ""
        self._evaluated: float | None = None
        self._returned, self._episodes = 0.0, 0.0  # of training episodes since the last evaluation was shown
        self._said = time.monotonic()  # when the last line was written
        self._progress: Progress | None = None
        self._task: Any = None
        if sys.stdout.isatty() and not quiet:
            self._progress = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:>12,.0f} / {task.total:,.0f} steps"),
                TextColumn("return {task.fields[score]} (train {task.fields[train]})"),
                TextColumn("{task.fields[speed]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._said = time.monotonic()
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def start(self, step: int) -> None:
        """The loop begins at this step."""
        if self._progress:
            self._progress.start()
            self._task = self._progress.add_task(
                self._title, total=self._total, completed=step, score="-", train="-", speed="-"
            )

    def update(self, line: dict[str, Any], steps_per_second: float) -> None:
        """Show a line of metrics and the speed, summed over members."""
        evaluated = _mean(line["eval_return"])
        self._evaluated = self._evaluated if evaluated is None else evaluated
        for mean, count in zip(line["episode_return"], line["episodes"], strict=True):
            if mean is not None and math.isfinite(mean):
                self._returned, self._episodes = self._returned + mean * count, self._episodes + count
        train = _number(self._returned / self._episodes if self._episodes else None)
        if evaluated is not None:
            self._returned = self._episodes = 0.0
        if self._progress:
            self._progress.update(
                self._task,
                completed=line["step"],
                score=_number(self._evaluated),
                train=train,
                speed=f"{steps_per_second:,.0f} steps/s{self._together}",
            )
        elif evaluated is not None:
            self.say(
                f"{self._title}  step {line['step']:>12,} / {self._total:,}  return {_number(evaluated)} "
                f"(train {train})  {steps_per_second:,.0f} steps/s{self._together}"
            )

    def evaluating(self, steps: int, longest: int) -> None:
        """An evaluation has come so far, of so many steps at the most; without a bar it is said once a minute."""
        far = f"evaluating, step {steps:,} of at most {longest:,}"
        if self._progress and steps < longest:
            self._progress.update(self._task, speed=f"{far};")
        elif not self._progress and time.monotonic() - self._said > SILENCE:
            self.say(f"{self._title}  {far}")

    def stop(self) -> None:
        """The loop is over."""
        if self._progress:
            self._progress.stop()
