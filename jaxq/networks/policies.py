"""Networks of actor-critics with discrete actions."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.heads import ImplicitQuantileHead, Mode
from jaxq.networks.linear import Dense


class QuantileCriticNetwork(nn.Module):
    """Policy, quantiles of every action's return, and a value that is told them, on one torso.

    The value's input is the features and the quantiles at the midpoints, through which no gradient passes: so
    PG-Rainbow (2024) joins IQN to PPO; the sizes of its layers are not known to us.

    Attributes:
      torso: features of an observation.
      num_actions: A.
      head: of the quantiles.
      hidden: units of the value's hidden layer.
    """

    torso: nn.Module
    num_actions: int
    head: ImplicitQuantileHead
    hidden: int = 128

    @nn.compact
    def __call__(self, observation: jax.Array, mode: Mode = "learn") -> tuple[jax.Array, jax.Array, jax.Array]:
        """[B, ...] -> logits [B, A], values [B], quantiles and their fractions [B, A, 2N]."""
        features = self.torso(observation)
        logits = Dense(self.num_actions, kernel_init=nn.initializers.orthogonal(0.01))(features)
        told = jnp.split(self.head(features, "exploit"), 2, axis=-1)[0]
        told = jax.lax.stop_gradient(told).reshape(features.shape[0], -1)
        hidden = nn.relu(Dense(self.hidden)(jnp.concatenate([features, told], axis=-1)))
        value = Dense(1)(hidden)[:, 0]
        return logits, value, self.head(features, mode)
