"""Critics: values of a state and a continuous action."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense
from jaxq.networks.observations import flattened
from jaxq.networks.torsos import MLP
from jaxq.types import PyTree


class ActionCritic(nn.Module):
    """A value of state and continuous action, `width` outputs for one return. [B, ...], [B, size] -> [B, width]."""

    widths: Sequence[int] = (256, 256)
    width: int = 1

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array) -> jax.Array:
        """See the class."""
        x = jnp.concatenate([flattened(observation), action], axis=-1)
        return Dense(self.width)(MLP(self.widths)(x))
