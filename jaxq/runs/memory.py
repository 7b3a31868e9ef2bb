"""What a run takes of its device's memory, known from shapes alone: told, and refused, before anything is taken."""

import math
from pathlib import Path
from typing import Any

import jax

from jaxq.configs import Run
from jaxq.errors import InputError, require
from jaxq.training import Training, TrainState
from jaxq.types import PyTree

# Which field of a configuration each part grows with.
GROWS_WITH = {
    "replay": "replay_capacity",
    "environments": "num_envs",
    "evaluation": "eval_episodes",
    "networks": "num_seeds",
}


def bytes_of(tree: PyTree) -> int:
    """Of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _on_one(tree: PyTree) -> int:
    """The bytes that each device has of arrays, or of their shapes."""

    def size(leaf: Any) -> int:
        place = getattr(leaf, "sharding", None)
        shape = leaf.shape if place is None else place.shard_shape(leaf.shape)
        return math.prod(shape) * leaf.dtype.itemsize

    return sum(size(leaf) for leaf in jax.tree.leaves(tree))


def parts_of(training: Training, state_shape: TrainState) -> dict[str, int]:
    """Bytes that a device has of a run's replay, environments, networks (all that its agents are) and evaluation.

    What compiled programs need beside them is not counted, nor what EnvPool's environments take outside of JAX.

    Args:
      training: whose evaluation it is.
      state_shape: of its whole state, from `jax.eval_shape`.
    """
    replay = _on_one(state_shape.replay)
    environments = _on_one((state_shape.env, state_shape.timestep, state_shape.statistics))
    place = getattr(state_shape.key, "sharding", None)
    devices = 1 if place is None else place.num_devices
    evaluation = bytes_of(jax.eval_shape(training.begin_evaluation, state_shape)) // devices
    networks = _on_one(state_shape) - replay - environments
    return {"replay": replay, "environments": environments, "networks": networks, "evaluation": evaluation}


def free_bytes(device: Any, sharing: int = 1) -> int | None:
    """What is free on a device: of its own memory, or of the host's where it has none; None where nobody says.

    Args:
      device: of JAX.
      sharing: devices of the run among which what is the host's is shared.
    """
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats["bytes_in_use"])
    if device.platform != "cpu":
        return None
    free = [available for available in (_of_host(), _of_container()) if available is not None]
    return min(free) // sharing if free else None


def _of_host() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    of = dict(line.split(":") for line in lines)
    return int(of["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in of else None


def _of_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container may still take, its cached files being given back when they must."""
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        of = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return None if limit == "max" else int(limit) - used + int(of.get("inactive_file", 0))


def readable(size: float) -> str:
    """As a person reads it."""
    if size < 1e6:
        return f"{size / 1e3:.3g} kB"
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.2g} MB"


def described(parts: dict[str, int], device: Any, free: int | None, devices: int = 1) -> str:
    """One line of what is taken on one of the run's devices, and of what there is."""
    each = ", ".join(f"{name} {readable(size)}" for name, size in parts.items() if size)
    there = "" if free is None else f", of {readable(free)} that are free"
    where = f"{device.platform}:{device.id}" if devices == 1 else f"each of {devices} devices"
    return f"{each}; {readable(sum(parts.values()))} on {where}{there}"


def require_memory(config: Run, parts: dict[str, int], free: int | None) -> None:
    """Refuse a run that cannot fit, by the field that its largest part grows with.

    Raises:
      InputError: naming the field, its value, and the largest that fits with all others as they are.
    """
    total = sum(parts.values())
    if free is None or total <= free:
        return
    for name, size in sorted(parts.items(), key=lambda part: -part[1]):
        value = getattr(config, GROWS_WITH[name], None)
        if not size or value is None:
            continue
        # All parts are of all seeds.
        most = free * value / total if name == "networks" else (free - (total - size)) * value / size
        if most >= 1 and most < value:
            allowed = f"at most {_rounded_down(most):,} to fit: {name} {readable(size)} of {readable(total)} in all, "
            require(False, GROWS_WITH[name], value, f"{allowed}and {readable(free)} are free")
    raise InputError(f"the run takes {readable(total)} of memory, but only {readable(free)} are free")


def _rounded_down(number: float) -> int:
    """To two digits."""
    unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return int(number // unit * unit)
