"""Policies over continuous actions: what an actor's outputs mean. Actions are in [-1, 1]^size."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxq.networks.flows import ConditionalFlow, FlowOutputs


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


@dataclasses.dataclass(frozen=True)
class FlowPolicy:
    """A normalizing flow, squashed by tanh (Ward et al., 2019): densities that no Gaussian has, of several modes.

    Of one number there is nothing for a coupling to depend on, and this is a `SquashedGaussian`.

    Attributes:
      flow: whose parameters and context are the outputs of a `FlowPolicyNetwork`.
    """

    flow: ConditionalFlow

    def mode(self, outputs: FlowOutputs) -> jax.Array:
        """See `Policy.mode`: what the flow makes of no noise; the mode, before squashing, if it keeps volumes."""
        return jnp.tanh(self._generate(outputs, jnp.zeros((outputs.context.shape[0], self.flow.size)))[0])

    def sample(self, outputs: FlowOutputs, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`: one log-density in all."""
        noise = jax.random.normal(key, (outputs.context.shape[0], self.flow.size))
        before, log_volume = self._generate(outputs, noise)
        log_densities = -0.5 * noise**2 - 0.5 * jnp.log(2 * jnp.pi) - log_slope_of_tanh(before)
        return jnp.tanh(before), (jnp.sum(log_densities, axis=-1) - log_volume)[:, None]

    def _generate(self, outputs: FlowOutputs, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        found: Any = self.flow.apply({"params": outputs.params}, noise, outputs.context, "act")
        return found


# Actions nearer than this to an end of their interval are taken as this far from it.
EDGE = 1e-5


def unsquashed(action: jax.Array) -> jax.Array:
    """Actions in [-1, 1] before they were squashed by tanh. Any shape."""
    return jnp.arctanh(jnp.clip(action, -1.0 + EDGE, 1.0 - EDGE))


def log_slope_of_tanh(x: jax.Array) -> jax.Array:
    """`log(1 - tanh²(x))`, in a form that does not underflow for large |x|. [...] -> [...]."""
    return 2.0 * (jnp.log(2.0) - x - jax.nn.softplus(-2.0 * x))
