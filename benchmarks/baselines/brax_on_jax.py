"""Brax 0.14.2, the newest, trains by a function that JAX 0.10 has no more: here it is given back."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.types import PyTree


def replicated(value: PyTree, devices: Sequence[jax.Device]) -> PyTree:
    """Every leaf [...] once on each device, [D, ...], as `jax.device_put_replicated` did."""
    mesh = jax.sharding.Mesh(np.array(devices), ("devices",))
    apart = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("devices"))
    return jax.tree.map(lambda leaf: jax.device_put(jnp.stack(len(devices) * [leaf]), apart), value)


def adapt() -> None:
    """Let Brax's training find it, where JAX has none."""
    if not hasattr(jax, "device_put_replicated"):
        vars(jax)["device_put_replicated"] = replicated
