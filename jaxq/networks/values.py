"""Value functions of discrete actions: a torso and a head joined, over time or not."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.errors import require
from jaxq.networks.modes import Mode
from jaxq.networks.observations import single_array
from jaxq.types import PyTree


class ActionValueNetwork(nn.Module):
    """Torso and head of a discrete value function. [B, ...] -> [B, A, width]."""

    torso: nn.Module
    head: nn.Module

    def __call__(self, observation: PyTree, mode: Mode = "learn") -> jax.Array:
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
        observation = single_array(observation, type(self).__name__)
        stock = observation[..., -1:]
        seen = jnp.concatenate([observation[..., :-1], jnp.sign(stock) * jnp.log1p(jnp.abs(stock))], axis=-1)
        prediction = self.head(self.torso(seen), mode)
        stock = stock.reshape(stock.shape[0], -1)[:, :1]
        return jnp.concatenate([prediction, jnp.broadcast_to(stock[:, None], (*prediction.shape[:2], 1))], axis=-1)


class RecurrentActionValueNetwork(nn.Module):
    """Torso, recurrent core and head of a discrete value function over time.

    Attributes:
      torso, head: as of `ActionValueNetwork`.
      core: what remembers, a `GRU` or an `LSTM`.
      num_actions: A, if the core is also told the previous reward and action, the latter one-hot, as in R2D2
        (Kapturowski et al., 2019, section 2.3); 0 if it is told the torso's features alone.
    """

    torso: nn.Module
    head: nn.Module
    core: nn.Module
    num_actions: int = 0

    def __call__(
        self,
        observation: PyTree,
        reset: jax.Array,
        state: PyTree,
        mode: Mode = "learn",
        previous_action: jax.Array | None = None,
        previous_reward: jax.Array | None = None,
    ) -> tuple[jax.Array, PyTree]:
        """Predictions, and the core's state after the last step.

        Args:
          observation: [T, B, ...].
          reset: [T, B] bool, where the observation is the first of its episode: what came before is forgotten.
          state: of the core before the first step, a tree of [B, ...].
          mode: what the predictions are for.
          previous_action: [T, B] int32, the action that led to each observation, -1 for none; without `num_actions`
            neither this nor the next is looked at.
          previous_reward: [T, B], that came with it.

        Returns:
          Predictions [T, B, A, W], and the state.

        Raises:
          InputError: if the network is to know the previous action and reward, and is not told.
        """
        steps, batch = reset.shape
        features = self.torso(jax.tree.map(lambda leaf: leaf.reshape(steps * batch, *leaf.shape[2:]), observation))
        features = features.reshape(steps, batch, -1)
        if self.num_actions:
            for name, given in (("previous_action", previous_action), ("previous_reward", previous_reward)):
                require(given is not None, name, given, "given to a network that has num_actions")
            going_on = ~reset[..., None]
            reward = jnp.where(going_on, previous_reward[..., None], 0.0)  # type: ignore[index]
            action = going_on * jax.nn.one_hot(previous_action, self.num_actions)
            features = jnp.concatenate([features, reward, action], axis=-1)
        out, state = self.core(features, reset, state)
        prediction = self.head(out.reshape(steps * batch, -1), mode)
        return prediction.reshape(steps, batch, *prediction.shape[1:]), state

    def initial_state(self, batch: int) -> PyTree:
        """Of the core."""
        return self.core.initial_state(batch)
