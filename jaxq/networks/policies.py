"""Policies: of continuous actions, and of discrete ones with their critic on the same torso."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.heads import ImplicitQuantileHead
from jaxq.networks.linear import Dense, product
from jaxq.networks.modes import Mode
from jaxq.networks.observations import encoded
from jaxq.types import PyTree


def clipped(low: float, high: float) -> Callable[[jax.Array], jax.Array]:
    """Numbers between two ends, as they are within."""
    return lambda x: jnp.clip(x, low, high)


def by_tanh(low: float, high: float) -> Callable[[jax.Array], jax.Array]:
    """Numbers between two ends, smoothly: `low + (high - low) (1 + tanh x) / 2`."""
    return lambda x: low + 0.5 * (high - low) * (1.0 + jnp.tanh(x))


def by_softplus(least: float) -> Callable[[jax.Array], jax.Array]:
    """`log(softplus(x) + least)`: the logarithm of a number which is at least so large; Brax's."""
    return lambda x: jnp.log(jax.nn.softplus(x) + least)


def by_sum(least: float) -> Callable[[jax.Array], jax.Array]:
    """`log(exp(x) + least)`: the logarithm of a number which is at least so large; REPPO's."""
    return lambda x: jnp.logaddexp(x, math.log(least))


class PolicyNetwork(nn.Module):
    """What a deterministic policy is before squashing. [B, ...] -> [B, size].

    Attributes:
      make_torso: for a mode, of the observation.
      size: of an action.
      make_head: the last layer, of so many outputs.
    """

    make_torso: Callable[[Mode], nn.Module]
    size: int
    make_head: Callable[[int], nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        return self.make_head(self.size)(self.make_torso(mode)(observation))


class GaussianPolicyNetwork(nn.Module):
    """Mean and log standard deviation of a diagonal Gaussian before squashing. [B, ...] -> 2 × [B, size].

    Attributes:
      make_torso: for a mode, of the observation.
      size: of an action.
      bound: what keeps the log standard deviation where it may be; clipped to [-20, 2] unless given, as most
        implementations of SAC have it.
      make_head, make_std_head: the last layers, of so many outputs; they are alike unless both are given.
    """

    make_torso: Callable[[Mode], nn.Module]
    size: int
    bound: Callable[[jax.Array], jax.Array] = clipped(-20.0, 2.0)
    make_head: Callable[[int], nn.Module] = Dense
    make_std_head: Callable[[int], nn.Module] | None = None

    @nn.compact
    def __call__(self, observation: PyTree, mode: Mode = "learn") -> tuple[jax.Array, jax.Array]:
        """See the class."""
        features = self.make_torso(mode)(observation)
        mean = self.make_head(self.size)(features)
        log_std = (self.make_std_head or self.make_head)(self.size)(features)
        return mean, self.bound(log_std)


class SharedStdPolicyNetwork(nn.Module):
    """Mean and log standard deviation of a diagonal Gaussian, the latter the same in all states.

    [B, ...] -> 2 × [B, size]. So in Schulman et al. (TRPO, 2015; PPO, 2017); the deviation begins at one.

    Attributes:
      make_torso: for a mode, of the observation.
      size: of an action.
      make_head: the last layer, of so many outputs.
    """

    make_torso: Callable[[Mode], nn.Module]
    size: int
    make_head: Callable[[int], nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree, mode: Mode = "learn") -> tuple[jax.Array, jax.Array]:
        """See the class."""
        mean = self.make_head(self.size)(self.make_torso(mode)(observation))
        log_std = self.param("log_std", nn.initializers.zeros, (self.size,))
        return mean, jnp.broadcast_to(log_std, mean.shape)


class PolicyAndValueNetwork(nn.Module):
    """A policy and a value with torsos of their own. [B, ...] -> the policy's outputs, values [B], and nothing more.

    Attributes:
      policy: (observation, mode) -> outputs.
      make_value_torso: for a mode, of the observation.
      make_head: the value's last layer, of so many outputs.
    """

    policy: nn.Module
    make_value_torso: Callable[[Mode], nn.Module]
    make_head: Callable[[int], nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree, mode: Mode = "learn") -> tuple[PyTree, jax.Array, tuple[()]]:
        """See the class."""
        value = self.make_head(1)(self.make_value_torso(mode)(observation))[:, 0]
        return self.policy(observation, mode), value, ()


class OptimisticPolicyNetwork(nn.Module):
    """How far an optimistic actor moves a policy's mean. [B, ...], [B, size] -> [B, size] (BRO, Nauman et al., 2024).

    Attributes:
      make_torso: for a mode, of the observation's features and the mean, side by side.
      size: of an action.
      make_encoder: for a mode, of the observation; its numbers as they are unless given.
    """

    make_torso: Callable[[Mode], nn.Module]
    size: int
    make_encoder: Callable[[Mode], nn.Module] | None = None

    @nn.compact
    def __call__(self, observation: PyTree, mean: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        seen = encoded(observation, self.make_encoder, mode)
        features = self.make_torso(mode)(jnp.concatenate([seen, mean], axis=-1))
        # Without a bias, and small, so that it begins next to the policy.
        kernel = self.param("kernel", nn.initializers.orthogonal(0.01), (self.size, features.shape[-1]))
        return product(features, kernel)


class QuantileCriticNetwork(nn.Module):
    """Policy, quantiles of every action's return, and a value that is told them, on one torso.

    The value's input is the features and the quantiles at the midpoints, through which no gradient passes; PG-Rainbow
    (2024) multiplies the value of PPO with them, and the sizes of its layers are not known to us.

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
    def __call__(self, observation: PyTree, mode: Mode = "learn") -> tuple[jax.Array, jax.Array, jax.Array]:
        """[B, ...] -> logits [B, A], values [B], quantiles and their fractions [B, A, 2N]."""
        features = self.torso(observation)
        logits = Dense(self.num_actions, kernel_init=nn.initializers.orthogonal(0.01))(features)
        told = jnp.split(self.head(features, "exploit"), 2, axis=-1)[0]
        told = jax.lax.stop_gradient(told).reshape(features.shape[0], -1)
        hidden = nn.relu(Dense(self.hidden)(jnp.concatenate([features, told], axis=-1)))
        value = Dense(1)(hidden)[:, 0]
        return logits, value, self.head(features, mode)
