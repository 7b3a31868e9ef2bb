"""Target schedules: how the parameters that targets are computed with follow those that learn."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.types import PyTree


class HardUpdate(struct.PyTreeNode):
    """A copy every `period` updates (Mnih et al., 2015)."""

    period: Any

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        due = updates % jnp.int32(self.period) == 0
        return jax.tree.map(lambda t, o: jnp.where(due, o, t), target, online)


class PolyakUpdate(struct.PyTreeNode):
    """An exponential average, `θ̄ <- θ̄ + τ (θ - θ̄)` after every update (Lillicrap et al., 2016)."""

    rate: Any

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        del updates
        return jax.tree.map(lambda t, o: t + self.rate * (o - t), target, online)
