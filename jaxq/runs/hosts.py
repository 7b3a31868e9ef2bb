"""Several processes that train as one, on one host or on many: how they meet, agree, and notice that one is lost.

All run the same program over the devices of all. Process 0 alone writes what is not a checkpoint and speaks; of
checkpoints each writes its part. Whatever a process decides by its own clock or by a signal, all must agree upon, since
a program that one does not run is one that the others wait for.
"""

import contextlib
import dataclasses
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxq.configs import Run
from jaxq.errors import HostLostError, InputError, require
from jaxq.runs.directory import RunDirectory

# Seconds after which a host that says nothing is given up, and the run with it.
LOST_AFTER = 60
# Seconds that process 0 stays when another is lost: with it ends JAX's service of the processes, which aborts those
# that have not noticed yet, with a trace in place of a line. Not where the service itself missed the heartbeat: it has
# told all, and is about to abort process 0 too.
COORDINATOR_STAYS = 5.0
OF_A_PROCESS = ("process_id",)


def connect(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Meet the other processes, if there are any and they have not met; before anything is computed.

    Where they meet is told by flags, else by JAX's own variables (`JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES`,
    `JAX_PROCESS_ID`), and with `auto` by the cluster: TPU pods, SLURM, Kubernetes, Open MPI.

    Raises:
      InputError: if they do not meet, or the flags do not say who is who.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    if coordinator in (None, "auto"):
        beside = "without --coordinator" if coordinator is None else "with --coordinator auto"
        for name, value in (("num_processes", num_processes), ("process_id", process_id)):
            require(value is None, name, value, f"left out {beside}")
    if coordinator is None or jax.distributed.is_initialized():
        return
    who: dict[str, Any] = {}
    if coordinator != "auto":
        count, own = (
            value if value is not None else _variable(name)
            for name, value in (("JAX_NUM_PROCESSES", num_processes), ("JAX_PROCESS_ID", process_id))
        )
        require(count is not None, "num_processes", count, "given with --coordinator, or as JAX_NUM_PROCESSES")
        require(own is not None, "process_id", own, "given with --coordinator, or as JAX_PROCESS_ID")
        assert count is not None
        assert own is not None
        require(0 <= own < count, "process_id", own, f"in 0 .. {count - 1}")
        who = {"coordinator_address": coordinator, "num_processes": count, "process_id": own}
    try:
        jax.distributed.initialize(
            **who,
            heartbeat_timeout_seconds=LOST_AFTER,
            initialization_timeout=LOST_AFTER,
            shutdown_timeout_seconds=10,
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"coordinator is {coordinator!r}, by which the processes do not meet: {reason}") from None


def _variable(name: str) -> int | None:
    value = os.environ.get(name)
    require(value is None or value.isdigit(), name, value, "a whole number")
    return None if value is None else int(value)


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return jax.process_index() == 0


def any_of(*flags: bool) -> tuple[bool, ...]:
    """Of each flag whether it is set on any host; all hosts must ask."""
    if jax.process_count() == 1:
        return flags
    gathered = np.asarray(multihost_utils.process_allgather(np.array(flags)))
    return tuple(bool(gathered.reshape(-1, len(flags))[:, i].any()) for i in range(len(flags)))


def agreed(count: int) -> int:
    """The least of a number on all hosts; all hosts must ask."""
    if jax.process_count() == 1:
        return count
    return int(np.asarray(multihost_utils.process_allgather(np.array(count))).min())


def require_agreement(config: Run) -> None:
    """Check that all processes were given the same configuration.

    Raises:
      InputError: naming the first field in which they were not.
    """
    if jax.process_count() == 1:
        return
    require(config.run_dir is not None, "run_dir", None, "given where there are several processes, on a disk of all")
    fields = [field.name for field in dataclasses.fields(config) if field.name not in OF_A_PROCESS]
    words = [f"{getattr(config, name)!r}" for name in fields]
    codes = np.array([zlib.crc32(word.encode()) for word in words], np.uint32)
    gathered = np.asarray(multihost_utils.process_allgather(codes)).reshape(-1, len(codes))
    for i, name in enumerate(fields):
        same = bool((gathered[:, i] == gathered[0, i]).all())
        require(same, name, getattr(config, name), "the same on all hosts, and it is not")


@contextlib.contextmanager
def first() -> Iterator[bool]:
    """What only process 0 does, as the context says, before all go on; where it fails there, all end.

    Raises:
      InputError: on the others, if process 0 has failed.
    """
    failed = True
    try:
        yield is_first()
        failed = False
    finally:
        (ended,) = any_of(failed)
        if ended and not failed:
            raise InputError("process 0 has ended, and says why")


@contextlib.contextmanager
def noticing_lost_hosts(run_dir: Path | None) -> Iterator[None]:
    """Turns the error of a collective whose other side is gone into one that says so, wherever in a run it is.

    Raises:
      HostLostError: for such an error.
    """
    try:
        yield
    except HostLostError:
        raise
    except (ValueError, RuntimeError) as error:
        words = " ".join(str(error).split())
        if jax.process_count() == 1 or not any(sign in words for sign in ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE")):
            raise
        lost = f"another process of this run is lost ({words[:120]})"
        raise HostLostError(f"{lost}; to go on, give the same commands again: {run_dir}") from None


@contextlib.contextmanager
def leaving_lost_hosts() -> Iterator[None]:
    """For the end of a script: the error of a lost host is one line on stderr, and ends the process with code 1.

    At once, without the goodbye of JAX's processes, which would wait for the one that is lost and then abort.
    """
    try:
        yield
    except HostLostError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        if is_first() and "heartbeat" not in str(error):
            time.sleep(COORDINATOR_STAYS)
        os._exit(1)


class Follower:
    """In place of a `RunDirectory` on all processes but the first: it writes nothing."""

    def __init__(self, path: Path):
        self.path = path

    def log(self, line: Mapping[str, Any]) -> None:
        """See `RunDirectory.log`."""

    def sync(self) -> None:
        """See `RunDirectory.sync`."""

    def rewind(self, step: int) -> None:
        """See `RunDirectory.rewind`."""

    def close(self) -> None:
        """See `RunDirectory.close`."""


def claimed(path: Path, *, resume: bool) -> RunDirectory | Follower:
    """A run's directory, claimed by process 0 for all.

    Raises:
      InputError: as of `RunDirectory`.
    """
    directory: RunDirectory | Follower = Follower(path)
    with first() as writes:
        if writes:
            directory = RunDirectory(path, resume=resume)
    return directory
