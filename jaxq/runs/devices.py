"""The devices that a run is given."""

import os
from pathlib import Path
from typing import Any

import jax

from jaxq.configs import Run
from jaxq.errors import InputError


def use_device(device: str) -> None:
    """Make `device` (auto, cpu, gpu or tpu) the one that everything runs on, and turn on the compilation cache.

    Raises:
      InputError: if there is no such device.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxq" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if device == "auto":
        return
    try:
        devices = jax.devices(device)
    except RuntimeError:
        available = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise InputError(f"device is {device!r}, but this machine has only: {available}") from None
    jax.config.update("jax_default_device", devices[0])


def device_of(config: Run) -> Any:
    """The first of them, by which memory and speed are told."""
    return jax.devices()[0] if config.device == "auto" else jax.devices(config.device)[0]
