"""What a run takes of its device's memory, known from shapes alone: told, and refused, before anything is taken."""

import math
from typing import Any

import jax

from jaxq import host_memory
from jaxq.configs import Run
from jaxq.errors import InputError, require
from jaxq.host_memory import readable
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

    What compiled programs need beside them is not counted, nor what is the host's (`Environment.host_bytes`).

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
    free = host_memory.free_bytes() if device.platform == "cpu" else None
    return None if free is None else free // sharing


def described(parts: dict[str, int], device: Any, free: int | None, devices: int = 1, of_host: int = 0) -> str:
    """One line of what is taken on one of the run's devices, of what there is, and of what environments have besides.

    Args:
      parts: bytes of each device, by name.
      device, free, devices: one of the run's devices, what is free on it, and how many there are.
      of_host: bytes that environments already have of the host's memory.
    """
    each = ", ".join(f"{name} {readable(size)}" for name, size in parts.items() if size)
    there = "" if free is None else f", of {readable(free)} that are free"
    where = f"{device.platform}:{device.id}" if devices == 1 else f"each of {devices} devices"
    besides = f"; environments have {readable(of_host)} of the host's besides" if of_host else ""
    return f"{each}; {readable(sum(parts.values()))} on {where}{there}{besides}"


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
