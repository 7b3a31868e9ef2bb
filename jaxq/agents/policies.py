"""Policies: what an actor's outputs mean. Continuous actions are in [-1, 1]^size."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxq.bellman.arithmetic import value_of
from jaxq.networks.flows import ConditionalFlow, FlowOutputs


class Policy(Protocol):
    """What an actor-critic needs of a policy. `B` observations.

    One whose samples are discrete may also have `relaxed(outputs, key)`: the same as `sample` with actions in between,
    at which the actor climbs.
    """

    def mode(self, outputs: Any) -> jax.Array:
        """The action of evaluation, [B, size]."""

    def sample(self, outputs: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Reparameterized actions [B, size], and their log-densities.

        Returns:
          The actions, and [B, D]: the log-density's parts, one a dimension where dimensions are independent, else one
          in all; zeros for a policy without density.
        """


class StochasticPolicy(Protocol):
    """What an agent that weighs actions by their likelihood needs of a policy.

    An action is made of what is drawn: the same for most; for others drawn numbers are clipped or squashed. Densities
    are those of what happens to the drawn: of squashed numbers the density of the action, of clipped ones that of the
    number drawn.
    """

    def mode(self, outputs: Any) -> jax.Array:
        """The action of evaluation, [B, ...]."""

    def draw(self, outputs: Any, key: jax.Array) -> jax.Array:
        """What actions are made of, [B, ...]."""

    def action(self, drawn: jax.Array) -> jax.Array:
        """The actions, [B, ...]."""

    def log_probability(self, outputs: Any, drawn: jax.Array) -> jax.Array:
        """Logarithm of the probability or density of what was drawn, [B]."""

    def weigh(self, outputs: Any, drawn: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The same, and the entropy in nats, each [B]; an estimate from one draw where there is no closed form."""


@dataclasses.dataclass(frozen=True)
class CategoricalPolicy:
    """One of A actions; outputs are logits [B, A]."""

    def mode(self, outputs: jax.Array) -> jax.Array:
        """See `StochasticPolicy.mode`: the likeliest action, [B] int32."""
        return jnp.argmax(outputs, axis=-1).astype(jnp.int32)

    def draw(self, outputs: jax.Array, key: jax.Array) -> jax.Array:
        """See `StochasticPolicy.draw`: the action, [B] int32."""
        return jax.random.categorical(key, outputs).astype(jnp.int32)

    def action(self, drawn: jax.Array) -> jax.Array:
        """See `StochasticPolicy.action`."""
        return drawn

    def log_probability(self, outputs: jax.Array, drawn: jax.Array) -> jax.Array:
        """See `StochasticPolicy.log_probability`."""
        return value_of(jax.nn.log_softmax(outputs), drawn)

    def weigh(self, outputs: jax.Array, drawn: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `StochasticPolicy.weigh`."""
        del key
        log_policy = jax.nn.log_softmax(outputs)
        return value_of(log_policy, drawn), -jnp.sum(jnp.exp(log_policy) * log_policy, axis=-1)


@dataclasses.dataclass(frozen=True)
class ClippedGaussian:
    """`N(mean, std²)`, which the environment sees clipped to its actions; outputs are mean and log std, [B, size]."""

    def mode(self, outputs: tuple[jax.Array, jax.Array]) -> jax.Array:
        """See `StochasticPolicy.mode`."""
        return self.action(outputs[0])

    def draw(self, outputs: tuple[jax.Array, jax.Array], key: jax.Array) -> jax.Array:
        """See `StochasticPolicy.draw`."""
        mean, log_std = outputs
        return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)

    def again(self, outputs: tuple[jax.Array, jax.Array], drawn: jax.Array) -> jax.Array:
        """What was drawn, as a function of the outputs that it was drawn with: by the noise that it then had in it."""
        mean, log_std = outputs
        noise = jax.lax.stop_gradient((drawn - mean) * jnp.exp(-log_std))
        return mean + jnp.exp(log_std) * noise

    def action(self, drawn: jax.Array) -> jax.Array:
        """See `StochasticPolicy.action`."""
        return jnp.clip(drawn, -1.0, 1.0)

    def log_probability(self, outputs: tuple[jax.Array, jax.Array], drawn: jax.Array) -> jax.Array:
        """See `StochasticPolicy.log_probability`: before clipping."""
        mean, log_std = outputs
        noise = (drawn - mean) * jnp.exp(-log_std)
        return jnp.sum(-0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi), axis=-1)

    def weigh(
        self, outputs: tuple[jax.Array, jax.Array], drawn: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `StochasticPolicy.weigh`."""
        return self.log_probability(outputs, drawn), self.entropy(outputs, key)

    def entropy(self, outputs: tuple[jax.Array, jax.Array], key: jax.Array) -> jax.Array:
        """In nats, [B]: before clipping, in closed form."""
        del key
        return jnp.sum(outputs[1] + 0.5 * (1.0 + jnp.log(2 * jnp.pi)), axis=-1)


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
class Given:
    """Actions [B, size] that were made elsewhere, for strategies to put noise on."""

    def mode(self, outputs: jax.Array) -> jax.Array:
        """See `Policy.mode`."""
        return outputs

    def sample(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy.sample`: the action itself."""
        del key
        return outputs, jnp.zeros_like(outputs)


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
        return self._at(outputs, jax.random.logistic(key, outputs.shape))

    def relaxed(self, outputs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy`: the same samples between the ends, with their log-densities as of `sample`."""
        noise = jax.random.logistic(key, outputs.shape)
        return jnp.tanh(0.5 * (outputs + noise)), self._at(outputs, noise)[1]

    def _at(self, outputs: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Samples and their log-probabilities, of given logistic noise [B, size]."""
        probability = jax.nn.sigmoid(outputs)
        drawn = (outputs + noise >= 0).astype(outputs.dtype)
        up = drawn + (probability - jax.lax.stop_gradient(probability))  # in this order exactly 0 or 1
        log_probability = up * jax.nn.log_sigmoid(outputs) + (1.0 - up) * jax.nn.log_sigmoid(-outputs)
        return 2.0 * up - 1.0, log_probability


@dataclasses.dataclass(frozen=True)
class SquashedGaussian(ClippedGaussian):
    """`tanh(N(mean, std²))`; outputs are mean and log standard deviation before squashing, each [B, size].

    What is drawn is the number before squashing; densities are of the action.
    """

    def action(self, drawn: jax.Array) -> jax.Array:
        """See `StochasticPolicy.action`; so the mode is that before squashing."""
        return jnp.tanh(drawn)

    def log_probability(self, outputs: tuple[jax.Array, jax.Array], drawn: jax.Array) -> jax.Array:
        """See `StochasticPolicy.log_probability`."""
        return super().log_probability(outputs, drawn) - jnp.sum(log_slope_of_tanh(drawn), axis=-1)

    def entropy(self, outputs: tuple[jax.Array, jax.Array], key: jax.Array) -> jax.Array:
        """In nats, [B]: of the Gaussian, and what squashing takes off one draw."""
        return super().entropy(outputs, key) + jnp.sum(log_slope_of_tanh(self.draw(outputs, key)), axis=-1)

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
