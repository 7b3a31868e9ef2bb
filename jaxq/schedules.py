"""Numbers that change over a run."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class CosineSchedule(struct.PyTreeNode):
    """From `initial` to `final` in so many steps, along half a cosine, and `final` from then on."""

    initial: Any
    final: Any
    steps: Any

    def at(self, count: jax.Array) -> jax.Array:
        """The value after this many steps."""
        share = jnp.clip(count / self.steps, 0.0, 1.0)
        return self.final + 0.5 * (1.0 + jnp.cos(jnp.pi * share)) * (self.initial - self.final)


class LinearSchedule(struct.PyTreeNode):
    """From `initial` to `final` in `steps` equal steps, and `final` from then on; its numbers are leaves."""

    initial: Any
    final: Any
    steps: Any

    @classmethod
    def constant(cls, value: Any) -> "LinearSchedule":
        """A schedule that stays where it is."""
        return cls(value, value, 1.0)

    def at(self, count: jax.Array) -> jax.Array:
        """The value after this many steps."""
        share = jnp.clip(count / self.steps, 0.0, 1.0)
        return self.initial + share * (self.final - self.initial)
