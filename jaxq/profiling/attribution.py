"""From a trace of JAX's profiler to the parts of a training: every moment of a dispatch given to what ran in it.

The loops name their parts (`jax.named_scope`), the compiler keeps the name of each operation's part, and the profiler
says when each ran. On the CPU an operation is a kernel or a product of the host's, elsewhere one of the device's.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxq.profiling.programs import OTHER, PARTS

# They only hold others, which may run elsewhere meanwhile.
_HOLDING = re.compile(r"^(while|conditional)\b")

Operation = tuple[str, float, float]  # name, beginning and end in seconds


def read_operations(folder: Path) -> list[list[Operation]]:
    """The operations of the newest trace in a folder, by the thread or stream that they ran on."""
    newest = max(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    profile = jax.profiler.ProfileData.from_file(str(newest))
    found = []
    for plane in profile.planes:
        for line in plane.lines:
            operations = [_operation(event) for event in line.events]
            found.append([operation for operation in operations if operation is not None])
    return [operations for operations in found if operations]


def _operation(event: Any) -> Operation | None:
    for name, value in event.stats:
        if name == "hlo_op":
            return str(value), event.start_ns / 1e9, (event.start_ns + event.duration_ns) / 1e9
    return None


@dataclasses.dataclass(frozen=True)
class Shares:
    """How the time of a dispatch is divided.

    Attributes:
      seconds: by part; together with `idle` what the dispatch took.
      idle: in which nothing ran: waiting for the host, and the time between operations.
      operations: that were recorded.
    """

    seconds: Mapping[str, float]
    idle: float
    operations: int


def shares_of(lines: Iterable[list[Operation]], parts: Mapping[str, str], untraced: float) -> Shares:
    """How the time of a dispatch is divided, without what recording it took.

    A moment in which several operations run is divided among them. What recording takes lies between the operations,
    whose beginnings and ends it notes; so it is taken off what lies there. What is left differs from what was measured
    without recording, and all is scaled to that.

    Args:
      lines: operations as of `read_operations`.
      parts: of operations, as of `parts_of_operations`.
      untraced: seconds of a dispatch of as much that was not recorded.
    """
    names = [*PARTS, OTHER]
    runs = [_running(line) for line in lines]
    operations = [run for line in runs for run in line]
    of = [parts.get(name, OTHER) for name, *_ in operations]
    seconds = dict(zip(names, _divided(operations, of, names).tolist(), strict=True))
    idle = max(untraced - sum(seconds.values()), 0.0)
    scale = untraced / max(sum(seconds.values()) + idle, 1e-12)
    return Shares({name: scale * value for name, value in seconds.items()}, scale * idle, len(operations))


def _running(line: list[Operation]) -> list[Operation]:
    """Those operations of a line that ran themselves, and did not hold others."""
    inner = [operation for operation in line if not _HOLDING.match(operation[0])]
    inner.sort(key=lambda operation: (operation[1], -operation[2]))
    kept = []
    for i, operation in enumerate(inner):
        holds = i + 1 < len(inner) and inner[i + 1][1] < operation[2] and inner[i + 1][2] <= operation[2]
        if not holds:
            kept.append(operation)
    return kept


def _divided(operations: list[Operation], parts: list[str], names: list[str]) -> np.ndarray:
    """[len(names)] seconds of each part, a moment being divided among the operations that run in it."""
    if not operations:
        return np.zeros(len(names))
    begins = np.array([begin for _, begin, _ in operations])
    ends = np.array([end for _, _, end in operations])
    index = np.array([names.index(part) for part in parts])
    times = np.concatenate([begins, ends])
    change = np.zeros((len(times), len(names)), np.int64)
    change[np.arange(len(begins)), index] = 1
    change[len(begins) + np.arange(len(ends)), index] = -1
    order = np.argsort(times, kind="stable")
    running = np.cumsum(change[order], axis=0)[:-1]
    span = np.diff(times[order])
    together = np.maximum(running.sum(axis=1), 1)
    return (running * (span / together)[:, None]).sum(axis=0)
