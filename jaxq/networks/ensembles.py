"""Several networks of one kind, asked together."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class Ensemble(nn.Module):
    """`size` networks with parameters of their own, on the same inputs: outputs stacked on a new first axis.

    Written as separate products rather than one batched product: the CPU's matrix product is faster on large single
    matrices, and accelerators run the members side by side either way.
    """

    make: Callable[[], nn.Module]
    size: int

    @nn.compact
    def __call__(self, *inputs: Any) -> jax.Array:
        """[B, ...] inputs -> [size, B, ...]."""
        return jnp.stack([self.make()(*inputs) for _ in range(self.size)])
