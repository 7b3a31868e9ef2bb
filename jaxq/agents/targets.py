"""Target schedules: how the parameters that targets are computed with follow those that learn."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq import platforms
from jaxq.errors import require
from jaxq.types import PyTree

# Numbers of parameters from which on passing over them costs a CPU more than a branch.
LARGE = 2**15


def where_new(due: jax.Array, function: Callable[[], PyTree], otherwise: PyTree) -> PyTree:
    """`function()` if that is due, `otherwise` if not, of parameters that are the same for many updates.

    Chosen number by number, they are all read and written in every update, which a CPU is slow at. A branch leaves them
    where they are; but an accelerator would have to ask its host which one it is, and few numbers are passed over in
    the time that a branch takes.

    Args:
      due: [] bool.
      function: of no arguments, elementwise.
      otherwise: a tree of the same structure, shapes and dtypes as the function's result.
    """
    if platforms.on_cpu() and sum(leaf.size for leaf in jax.tree.leaves(otherwise)) >= LARGE:
        return jax.lax.cond(due, function, lambda: otherwise)
    return jax.tree.map(lambda new, old: jnp.where(due, new, old), function(), otherwise)


class HardUpdate(struct.PyTreeNode):
    """A copy every `period` updates (Mnih et al., 2015)."""

    period: Any

    @classmethod
    def every(cls, period: int) -> "HardUpdate":
        """A copy every so many updates.

        Raises:
          InputError: if that is less than one.
        """
        require(period >= 1, "target_period", period, "at least 1")
        return cls(period)

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        return where_new(updates % jnp.int32(self.period) == 0, lambda: online, target)


class PolyakUpdate(struct.PyTreeNode):
    """An exponential average, `θ̄ <- θ̄ + τ (θ - θ̄)` after every update (Lillicrap et al., 2016)."""

    rate: Any

    @classmethod
    def at_rate(cls, rate: float) -> "PolyakUpdate":
        """An average that follows by this share.

        Raises:
          InputError: if it is outside (0, 1].
        """
        require(0 < rate <= 1, "target_rate", rate, "in (0, 1]")
        return cls(rate)

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        del updates
        return jax.tree.map(lambda t, o: t + self.rate * (o - t), target, online)


class DelayedPolyakUpdate(struct.PyTreeNode):
    """An exponential average that follows once in `period` updates, with the actor (Fujimoto et al., 2018)."""

    rate: Any
    period: Any

    @classmethod
    def at_rate(cls, rate: float, period: int) -> "DelayedPolyakUpdate":
        """An average that follows by this share, every so many updates.

        Raises:
          InputError: if the share is outside (0, 1], or the period is less than one.
        """
        require(0 < rate <= 1, "target_rate", rate, "in (0, 1]")
        require(period >= 1, "target_period", period, "at least 1")
        return cls(rate, period)

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        due = updates % jnp.int32(self.period) == 0
        return where_new(due, lambda: jax.tree.map(lambda t, o: t + self.rate * (o - t), target, online), target)
