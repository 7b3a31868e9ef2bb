"""Value functions of discrete actions: a torso and a head joined, over time or not."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.modes import Mode
from jaxq.networks.recurrent import GRU


class ActionValueNetwork(nn.Module):
    """Torso and head of a discrete value function. [B, ...] -> [B, A, width]."""

    torso: nn.Module
    head: nn.Module

    def __call__(self, observation: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        return self.head(self.torso(observation), mode)


class StockNetwork(nn.Module):
    """An `ActionValueNetwork` for observations that end with a stock, which goes on to the predictions.

    The torso sees the stock compressed by `symlog`. [B, ...] -> [B, A, width + 1].
    """

    torso: nn.Module
    head: nn.Module

    def __call__(self, observation: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        stock = observation[..., -1:]
        seen = jnp.concatenate([observation[..., :-1], jnp.sign(stock) * jnp.log1p(jnp.abs(stock))], axis=-1)
        prediction = self.head(self.torso(seen), mode)
        stock = stock.reshape(stock.shape[0], -1)[:, :1]
        return jnp.concatenate([prediction, jnp.broadcast_to(stock[:, None], (*prediction.shape[:2], 1))], axis=-1)


class RecurrentActionValueNetwork(nn.Module):
    """Torso, GRU and head of a discrete value function over time.

    Attributes:
      torso, head: as of `ActionValueNetwork`.
      width: of the GRU.
    """

    torso: nn.Module
    head: nn.Module
    width: int = 128

    @nn.compact
    def __call__(
        self, observation: jax.Array, reset: jax.Array, state: jax.Array, mode: Mode = "learn"
    ) -> tuple[jax.Array, jax.Array]:
        """[T, B, ...], [T, B] and [B, width] -> predictions [T, B, A, W] and the state after the last step."""
        steps, batch = reset.shape
        features = self.torso(observation.reshape(steps * batch, *observation.shape[2:]))
        out, state = GRU(self.width)(features.reshape(steps, batch, -1), reset, state)
        prediction = self.head(out.reshape(steps * batch, -1), mode)
        return prediction.reshape(steps, batch, *prediction.shape[1:]), state

    def initial_state(self, batch: int) -> jax.Array:
        """[batch, width] zeros."""
        return jnp.zeros((batch, self.width))
