"""Critics: values of a state and a continuous action."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense, lecun_normal
from jaxq.networks.modes import Mode
from jaxq.networks.observations import flattened
from jaxq.types import PyTree


class ActionCritic(nn.Module):
    """A value of state and continuous action, `width` outputs for one return. [B, ...], [B, size] -> [B, width].

    Attributes:
      make_torso: for a mode, of the observation's features and the action, side by side.
      width: W.
      make_encoder: for a mode, of the observation; its numbers as they are unless given.
      kernel_init: how the last layer's kernel begins.
    """

    make_torso: Callable[[Mode], nn.Module]
    width: int = 1
    make_encoder: Callable[[Mode], nn.Module] | None = None
    kernel_init: Callable[..., jax.Array] = lecun_normal

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        seen = flattened(observation) if self.make_encoder is None else self.make_encoder(mode)(observation)
        return Dense(self.width, self.kernel_init)(self.make_torso(mode)(jnp.concatenate([seen, action], axis=-1)))
