"""Policies over continuous actions: what an actor's outputs mean. Actions are in [-1, 1]^size."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp


class Policy(Protocol):
    """What an actor-critic needs of a policy. `B` observations.

    One whose samples are discrete may also have `relaxed(outputs, key)`: the same as `sample` with actions in between,
    at which the actor climbs.
    """

    def mode(self, outputs: Any) -> jax.Array:
        """The action of evaluation, [B, size]."""

    def sample(self, outputs: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Reparameterized actions [B, size] and their log-densities [B]; zero for a policy without density."""


@dataclasses.dataclass(frozen=True)
class Deterministic:
    """One action; outputs are [B, size] before squashing by tanh (Silver et al., 2014)."""

    def mode(self, outputs: jax.Array) -> jax.Array:
        """See `Policy.mode`."""
        return jnp.tanh(outputs)

    def sample(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`: the action itself."""
        del key
        return jnp.tanh(outputs), jnp.zeros(outputs.shape[0])


@dataclasses.dataclass(frozen=True)
class Given:
    """Actions [B, size] that were made elsewhere, for strategies to put noise on."""

    def mode(self, outputs: jax.Array) -> jax.Array:
        """See `Policy.mode`."""
        return outputs

    def sample(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`: the action itself."""
        del key
        return outputs, jnp.zeros(outputs.shape[0])


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Either -1 or 1 in each dimension, independently; outputs are the logits of 1, [B, size].

    Bang-bang control as a policy (Seyde et al., Is Bang-Bang Control All You Need?, 2021). An action's gradient is that
    of its mean, `2σ(x) - 1`, straight through; the log-density is the log-probability, whose gradient is so, in
    expectation, that of the negative entropy. An actor climbs critics at relaxed samples between the ends,
    `tanh((x + g) / 2)` with logistic g, whose sign is the sample (Maddison et al., The Concrete Distribution, 2017, at
    a temperature of 1). Critics have only seen the ends, and their slopes there say little about which is better.
    """

    def mode(self, outputs: jax.Array) -> jax.Array:
        """See `Policy.mode`: the likelier of the two."""
        return jnp.where(outputs >= 0, 1.0, -1.0)

    def sample(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`."""
        probability = jax.nn.sigmoid(outputs)
        drawn = (outputs + jax.random.logistic(key, outputs.shape) >= 0).astype(outputs.dtype)
        up = drawn + probability - jax.lax.stop_gradient(probability)
        log_probability = up * jax.nn.log_sigmoid(outputs) + (1.0 - up) * jax.nn.log_sigmoid(-outputs)
        return 2.0 * up - 1.0, jnp.sum(log_probability, axis=-1)

    def relaxed(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy`: the same samples between the ends, with their log-densities as of `sample`."""
        noise = jax.random.logistic(key, outputs.shape)
        return jnp.tanh(0.5 * (outputs + noise)), self.sample(outputs, key)[1]


@dataclasses.dataclass(frozen=True)
class SquashedGaussian:
    """`tanh(N(mean, std²))`; outputs are mean and log standard deviation before squashing, each [B, size]."""

    def mode(self, outputs: tuple[jax.Array, jax.Array]) -> jax.Array:
        """See `Policy.mode`: the mode before squashing."""
        return jnp.tanh(outputs[0])

    def sample(self, outputs: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample` (Haarnoja et al., 2018, appendix C, eq. 26)."""
        mean, log_std = outputs
        noise = jax.random.normal(key, mean.shape)
        before = mean + jnp.exp(log_std) * noise
        log_density = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.tanh(before), jnp.sum(log_density - log_slope_of_tanh(before), axis=-1)


def log_slope_of_tanh(x: jax.Array) -> jax.Array:
    """`log(1 - tanh²(x))`, in a form that does not underflow for large |x|. [...] -> [...]."""
    return 2.0 * (jnp.log(2.0) - x - jax.nn.softplus(-2.0 * x))
