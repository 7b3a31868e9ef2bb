"""Policies over continuous actions: what an actor's outputs mean. Actions are in [-1, 1]^size."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp


class Policy(Protocol):
    """What an actor-critic needs of a policy. `B` observations."""

    def mode(self, outputs: Any) -> jax.Array:
        """The action of evaluation, [B, size]."""

    def sample(self, outputs: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Reparameterized actions [B, size], and their log-densities.

        Returns:
          The actions, and [B, D]: the log-density's parts, one a dimension where dimensions are independent, else one
          in all; zeros for a policy without density.
        """


@dataclasses.dataclass(frozen=True)
class Deterministic:
    """One action; outputs are [B, size] before squashing by tanh (Silver et al., 2014)."""

    def mode(self, outputs: jax.Array) -> jax.Array:
        """See `Policy.mode`."""
        return jnp.tanh(outputs)

    def sample(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`: the action itself."""
        del key
        return jnp.tanh(outputs), jnp.zeros_like(outputs)


@dataclasses.dataclass(frozen=True)
class SquashedGaussian:
    """`tanh(N(mean, std²))`; outputs are mean and log standard deviation before squashing, each [B, size]."""

    def mode(self, outputs: tuple[jax.Array, jax.Array]) -> jax.Array:
        """See `Policy.mode`: the mode before squashing."""
        return jnp.tanh(outputs[0])

    def sample(self, outputs: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample` (Haarnoja et al., 2018, appendix C, eq. 26)."""
        return self.at(outputs, jax.random.normal(key, outputs[0].shape))

    def at(self, outputs: tuple[jax.Array, jax.Array], noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`, of given standard noise [B, size]."""
        mean, log_std = outputs
        before = mean + jnp.exp(log_std) * noise
        log_densities = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.tanh(before), log_densities - log_slope_of_tanh(before)


def log_slope_of_tanh(x: jax.Array) -> jax.Array:
    """`log(1 - tanh²(x))`, in a form that does not underflow for large |x|. [...] -> [...]."""
    return 2.0 * (jnp.log(2.0) - x - jax.nn.softplus(-2.0 * x))
