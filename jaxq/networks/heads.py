"""Heads: from features to what an agent predicts, and the networks that join a torso to a head."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.torsos import MLP


class ActionValueHead(nn.Module):
    """One linear layer to `width` outputs for each action. [B, F] -> [B, A, width]."""

    num_actions: int
    width: int = 1

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """See the class."""
        out = nn.Dense(self.num_actions * self.width)(features)
        return out.reshape(-1, self.num_actions, self.width)


class ActionValueNetwork(nn.Module):
    """Torso and head of a discrete value function. [B, ...] -> [B, A, width]."""

    torso: nn.Module
    head: nn.Module

    def __call__(self, observation: jax.Array) -> jax.Array:
        """See the class."""
        return self.head(self.torso(observation))


class GaussianPolicyNetwork(nn.Module):
    """Mean and log standard deviation of a diagonal Gaussian before squashing. [B, ...] -> 2 × [B, size].

    The log standard deviation is clipped to `log_std_range`, as in Haarnoja et al. (2018) and its implementations.
    """

    size: int
    widths: Sequence[int] = (256, 256)
    log_std_range: tuple[float, float] = (-20.0, 2.0)

    @nn.compact
    def __call__(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See the class."""
        features = MLP(self.widths)(observation)
        mean = nn.Dense(self.size)(features)
        log_std = nn.Dense(self.size)(features)
        return mean, jnp.clip(log_std, *self.log_std_range)


class ActionCritic(nn.Module):
    """A value of state and continuous action, `width` outputs for one return. [B, ...], [B, size] -> [B, width]."""

    widths: Sequence[int] = (256, 256)
    width: int = 1

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        """See the class."""
        x = jnp.concatenate([observation.reshape(observation.shape[0], -1), action], axis=-1)
        return nn.Dense(self.width)(MLP(self.widths)(x))


class Ensemble(nn.Module):
    """`size` networks with parameters of their own, on the same inputs: outputs stacked on a new first axis.

    Written as separate products rather than one batched product: the CPU's matrix product is faster on large single
    matrices, and accelerators run the members side by side either way.
    """

    make: Callable[[], nn.Module]
    size: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        """[B, ...] inputs -> [size, B, ...]."""
        return jnp.stack([self.make()(*inputs) for _ in range(self.size)])
