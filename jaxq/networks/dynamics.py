"""Models of an environment."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from jaxq.networks.linear import Dense


class DynamicsModel(nn.Module):
    """What follows a state and an action, in numbers that are normalized on both sides. [B, I] -> [B, O].

    Layers begin as in MaxInfoRL (Sukhija et al., 2025), orthogonally.

    Attributes:
      widths: of the hidden layers.
      outputs: O.
    """

    widths: Sequence[int]
    outputs: int

    @nn.compact
    def __call__(self, seen: jax.Array) -> jax.Array:
        """See the class."""
        orthogonal = nn.initializers.orthogonal(2.0**0.5)
        for width in self.widths:
            seen = nn.silu(Dense(width, orthogonal)(seen))
        return Dense(self.outputs, orthogonal)(seen)
