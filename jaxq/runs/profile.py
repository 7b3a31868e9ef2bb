"""`--profile`: a few dispatches of a run are recorded, and it is told where their time goes.

What is learned is the same: the dispatches are parts of the run's own chunks, and what is measured beside them leaves
its state alone.
"""

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax

from jaxq.profiling import (
    PARTS,
    Shares,
    environment_alone,
    parts_of_operations,
    products_alone,
    products_of,
    read_operations,
    shares_of,
)
from jaxq.training import Training

T = TypeVar("T")

OPERATIONS = 200_000  # about how many are recorded
SECONDS = 3.0  # what a recorded dispatch is to take at most
ALONE_SECONDS = 1.0  # what is measured for what parts take alone
EVALUATION_SECONDS = 20.0  # after which an evaluation is not waited for
FOLDER = "profile"


class Profiler:
    """Watches five dispatches: one that is still warming up, one from which is learned how much there is to record, two
    that are timed, of which the faster counts, and one that is recorded.

    Args:
      folder: where the trace goes, for Perfetto and TensorBoard.
      program: the text of what is dispatched.
    """

    def __init__(self, folder: Path, program: str):
        self._folder = folder
        self._parts = parts_of_operations(program)
        self._watched: list[tuple[int, float]] = []
        self._wanted = 1
        self.shares: Shares | None = None  # of an iteration, once all is watched

    @property
    def count(self) -> int | None:
        """How long the next dispatch should be; None once all is watched."""
        return None if self.shares is not None else self._wanted

    def watch(self, count: int, dispatch: Callable[[], T]) -> T:
        """Do a dispatch of so many iterations and wait for it."""
        done = len(self._watched)
        with tempfile.TemporaryDirectory() as passing:
            folder = Path(passing) if done == 1 else self._folder
            with _recording(folder) if done in (1, 4) else contextlib.nullcontext():
                begun = time.perf_counter()
                result = jax.block_until_ready(dispatch())
                seconds = time.perf_counter() - begun
            self._watched.append((count, seconds))
            if done == 1:
                self._choose_length(sum(map(len, read_operations(folder))) / count)
            elif done == 4:
                self._divide(count)
        return result

    def _choose_length(self, each: float) -> None:
        """By the operations of an iteration."""
        slowest = max(seconds / count for count, seconds in self._watched)
        wanted = int(min(OPERATIONS / max(each, 1.0), SECONDS / slowest))
        self._wanted = max(wanted, 1)

    def _divide(self, count: int) -> None:
        lines = read_operations(self._folder)
        shares = shares_of(lines, self._parts, self._untraced * count)
        each_part = {name: value / count for name, value in shares.seconds.items()}
        self.shares = Shares(each_part, shares.idle / count, shares.operations)

    @property
    def _untraced(self) -> float:
        """Seconds of an iteration when nothing is recorded."""
        return min(seconds / count for count, seconds in self._watched[2:4])

    @property
    def slowdown(self) -> float:
        """How many times longer an iteration takes while it is recorded."""
        recorded, longer = self._watched[4]
        return longer / recorded / self._untraced


@contextlib.contextmanager
def with_names_kept() -> Iterator[None]:
    """Within it programs are compiled with the names of their parts.

    The cache of compilations does not look at names, and may hold the same program from when it had others.
    """
    name = "jax_compilation_cache_include_metadata_in_key"
    before = getattr(jax.config, name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)


@contextlib.contextmanager
def _recording(folder: Path) -> Iterator[None]:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(str(folder), create_perfetto_trace=True, profiler_options=options):
        yield


@dataclasses.dataclass(frozen=True)
class Report:
    """Where a run's time goes.

    Attributes:
      shares: of an iteration.
      slowdown: of recording.
      iterations: of a chunk.
      evaluation: seconds of one, and whether it came to its end.
      chunks_per_evaluation: chunks for each evaluation.
      products: seconds that the matrix products of an iteration take alone.
      environment: seconds that the environments' steps of an iteration take alone.
    """

    shares: Shares
    slowdown: float
    iterations: int
    evaluation: tuple[float, bool]
    chunks_per_evaluation: int
    products: float
    environment: float

    @property
    def iteration(self) -> float:
        """Seconds of one."""
        return sum(self.shares.seconds.values()) + self.shares.idle

    def rows(self) -> dict[str, float]:
        """Seconds by part, for each iteration; the evaluations' are their share of it."""
        evaluation = self.evaluation[0] / (self.chunks_per_evaluation * self.iterations)
        parts = {name: self.shares.seconds[name] for name in PARTS}
        return {**parts, "other": self.shares.seconds["other"], "idle": self.shares.idle, "evaluation": evaluation}

    def to_json(self) -> dict[str, Any]:
        """For profile.json."""
        return {
            "seconds_per_iteration": self.rows(),
            "alone": {"products": self.products, "environment": self.environment},
            "evaluation_seconds": self.evaluation[0],
            "evaluation_finished": self.evaluation[1],
            "recorded_operations": self.shares.operations,
            "recording_slowdown": self.slowdown,
        }

    def __str__(self) -> str:
        rows, notes = self.rows(), dict(_NOTES)
        if not self.evaluation[1]:
            notes["evaluation"] = f"at least: one was broken off after {self.evaluation[0]:.0f} s"
        whole = sum(rows.values())
        lines = [f"where the time goes  {'share':>6} {'µs an iteration':>16}"]
        for name, seconds in rows.items():
            lines.append(f"  {name:18} {seconds / whole:>6.1%} {1e6 * seconds:>16,.1f}  {notes.get(name, '')}".rstrip())
        lines.append("what would be taken alone")
        for name, seconds in (("matrix products", self.products), ("environment", self.environment)):
            lines.append(f"  {name:18} {seconds / whole:>6.1%} {1e6 * seconds:>16,.1f}")
        lines.append(
            f"measured on {self.shares.operations:,} recorded operations; recording took {self.slowdown:.1f} times as "
            "long, and all is scaled to what was timed without"
        )
        return "\n".join(lines)


_NOTES: Mapping[str, str] = {
    "environment": "steps and resets",
    "acting": "networks and exploration",
    "replay": "writing, drawing, priorities",
    "learning": "losses, gradients, optimizer, targets",
    "other": "statistics, keys, copies between loops",
    "idle": "between operations",
}


def alone(program: str, apart: Training, steps: int) -> tuple[float, float]:
    """Seconds of an iteration's matrix products, and of its environments' steps, each by itself.

    Args:
      program: the text of what is dispatched, in which the loop over iterations has no known length.
      apart: the training, with environments that are not the run's.
      steps: of all environments in an iteration.
    """
    products = products_of(program)
    by_products = _timed(lambda count: products_alone(products, count))
    return by_products, steps * _timed(lambda count: environment_alone(apart.environment, count))


def _timed(make: Callable[[int], Callable[[], int]]) -> float:
    """Seconds for each of what a segment says it has done: the least of three that each last a while."""

    def seconds(segment: Callable[[], int]) -> float:
        begun = time.perf_counter()
        done = segment()
        return (time.perf_counter() - begun) / done

    count = 1
    while True:
        segment = make(count)
        segment()
        begun = time.perf_counter()
        segment()
        took = time.perf_counter() - begun
        if took >= 0.3 * ALONE_SECONDS or count >= 2**20:
            return min(seconds(segment) for _ in range(3))
        count = int(count * min(max(ALONE_SECONDS / took, 2), 100))
