"""Target schedules: how the parameters that targets are computed with follow those that learn."""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxq import platforms
from jaxq.hyperparameters import INFINITY, POSITIVE, Hyperparameters, Within
from jaxq.types import PyTree

Rate = Annotated[Any, Within(POSITIVE, 1.0)]
Period = Annotated[Any, Within(1, INFINITY)]

# Numbers of parameters from which on passing over them costs a CPU more than a branch.
LARGE = 2**15


def where_new(due: jax.Array, function: Callable[[], PyTree], otherwise: PyTree) -> PyTree:
    """`function()` if that is due, `otherwise` if not, of parameters that are the same for many updates.

    On a CPU, where there are many, a `cond`: a select reads and writes all of them at every update. On accelerators a
    select: a branch waits for the host. Of few numbers a select takes no longer than a branch.

    Args:
      due: [] bool.
      function: of no arguments, elementwise.
      otherwise: a tree of the same structure, shapes and dtypes as the function's result.
    """
    if platforms.on_cpu() and sum(leaf.size for leaf in jax.tree.leaves(otherwise)) >= LARGE:
        return jax.lax.cond(due, function, lambda: otherwise)
    return jax.tree.map(lambda new, old: jnp.where(due, new, old), function(), otherwise)


class HardUpdate(Hyperparameters):
    """A copy every so many updates (Mnih et al., 2015).

    Attributes:
      period: updates from one copy to the next.
    """

    period: Period

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        return where_new(updates % jnp.int32(self.period) == 0, lambda: online, target)


class PolyakUpdate(Hyperparameters):
    """An exponential average, `θ̄ <- θ̄ + τ (θ - θ̄)` after every update (Lillicrap et al., 2016).

    Attributes:
      rate: τ.
    """

    rate: Rate

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        del updates
        return jax.tree.map(lambda t, o: t + self.rate * (o - t), target, online)


class DelayedPolyakUpdate(Hyperparameters):
    """An exponential average that follows once in so many updates, with the actor (Fujimoto et al., 2018).

    Attributes:
      rate: τ.
      period: updates from one step of it to the next.
    """

    rate: Rate
    period: Period

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The target after this many updates of the online parameters."""
        due = updates % jnp.int32(self.period) == 0
        return where_new(due, lambda: jax.tree.map(lambda t, o: t + self.rate * (o - t), target, online), target)


class SoftWindow(Hyperparameters):
    """How the targets `θ̄_0 .. θ̄_{K-1}` of a chain follow its learners `θ_1 .. θ_K` without jumps.

    The first is an exponential average of the learner that learns from it, `θ̄_0 <- θ̄_0 + τ (θ_1 - θ̄_0)`, as SAC's
    target is; each other is a copy of the learner it stands for, `θ̄_k <- θ_k`, renewed every D updates.

    Attributes:
      rate: τ.
      sync_period: D.
    """

    rate: Rate
    sync_period: Period

    def step(self, target: PyTree, online: PyTree, updates: jax.Array) -> PyTree:
        """The targets after so many updates of the learners, both [K, ...]; index k is learner k + 1 and target k."""
        sync = updates % jnp.int32(self.sync_period) == 0

        def follow(t: jax.Array, o: jax.Array) -> jax.Array:
            first = t[:1] + self.rate * (o[:1] - t[:1])
            return jnp.concatenate([first, jnp.where(sync, o[:-1], t[1:])])

        return jax.tree.map(follow, target, online)
