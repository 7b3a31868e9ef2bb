"""The devices that a run is given."""

import contextlib
import os
from pathlib import Path
from typing import Any

import jax

from jaxq import platforms
from jaxq.configs import Run
from jaxq.errors import InputError, require
from jaxq.runs.population import Assembly, member_keys
from jaxq.training import Spread, TrainState, mesh_of, most_devices, suited_members

SMALL_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=262144"


def divide_processors() -> None:
    """Make a device of each of the CPU's processors, for the members of a population to be spread over.

    On one device they take turns, and the small programs of one member keep little more than a processor busy. It must
    come before JAX begins, which importing some environments' packages does, and is without effect where it has begun,
    where the user has said how many devices there are, and where processes meet, which have one each.
    """
    told = "JAX_NUM_CPU_DEVICES" in os.environ or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not told and not jax.distributed.is_initialized():
        # Where the system does not say which of them a process may use, it is all.
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", processors)


def keep_small_loops_whole() -> None:
    """Let XLA compile a loop over little memory as one piece of machine code, on a CPU.

    A loop of small operations otherwise takes longer to begin each of them than to do them, as do the steps of one
    CartPole between two updates. XLA does this by itself up to 1 KiB; 256 KiB hold the acting of one environment or a
    few and the physics of Brax for as many, and no update of a batch. As with `divide_processors`, it must come before
    JAX begins, and where the user has said what XLA is to do it is left so.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {SMALL_LOOPS}".strip()


def use_device(device: str) -> None:
    """Make `device` (auto, cpu, gpu or tpu) the one that everything runs on, and turn on the compilation cache.

    Raises:
      InputError: if there is no such device.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with contextlib.suppress(RuntimeError):  # somebody without a home has no cache
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxq" / "xla"
            jax.config.update("jax_compilation_cache_dir", str(cache))
    if device == "auto":
        return
    try:
        devices = jax.local_devices(backend=device)
    except RuntimeError:
        available = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise InputError(f"device is {device!r}, but this machine has only: {available}") from None
    jax.config.update("jax_default_device", devices[0])


def spread(assembly: Assembly, config: Run) -> Assembly:
    """The same over the devices that a run is given, if there are several.

    Raises:
      InputError: if there are not so many, or the members do not divide over them.
    """
    there, members = _all(config), config.num_members
    processes, resumable = jax.process_count(), assembly.training.environment.resumable
    fitting = len(there) if processes > 1 else most_devices(members, len(there)) if resumable else 1
    count = fitting if config.devices is None else config.devices
    require(count <= len(there), "devices", count, f"at most {len(there)}, which are all there are")
    all_of_them = processes == 1 or count == len(there)
    require(all_of_them, "devices", count, f"left out, or {len(there)}, those of all {processes} processes")
    if count == 1:
        return assembly
    mesh = mesh_of(there[:count], members)

    def over(training: Any) -> Spread:
        return Spread(training, mesh)

    return Assembly(over(assembly.training), assembly.numbers, [over(other) for other in assembly.others])


def idle(config: Run, count: int) -> str | None:
    """A line for whose members lie on `count` devices, as they divide over no more, and leave half or more idle."""
    there, members = len(_all(config)), config.num_members
    if config.devices is not None or jax.process_count() > 1 or 2 * count > min(there, members):
        return None
    where = f"{members} members are on {count} of {there} devices, for they divide over no more"
    return f"{where}: {suited_members(members, there)} would be on all"


def state_shape(assembly: Assembly, config: Run) -> TrainState:
    """The shapes of a run's whole state, and where each leaf lies."""
    training: Any = assembly.training
    shape = jax.eval_shape(training.init, member_keys(config), assembly.numbers)
    if isinstance(training, Spread):
        return jax.tree.map(placed, shape, training.shardings(shape))
    here = jax.sharding.SingleDeviceSharding(platforms.device())
    return jax.tree.map(lambda leaf: placed(leaf, here), shape)


def placed(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    """The shape of an array that lies so."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _all(config: Run) -> list[Any]:
    return jax.devices() if config.device == "auto" else jax.devices(config.device)
