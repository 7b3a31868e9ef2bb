"""What the entropy of an actor is worth to it: nothing, a fixed price, or one that is tuned to a target."""

from typing import Annotated, Any, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import descend
from jaxq.bellman.arithmetic import exact_matmul
from jaxq.hyperparameters import AT_FIRST, FINITE, Hyperparameters, NonNegative, Positive, StepSize, Within
from jaxq.schedules import LinearSchedule
from jaxq.types import PyTree


class Entropy(Protocol):
    """What an actor-critic needs to know of entropy's price α, the temperature."""

    def init(self) -> PyTree:
        """What is tuned."""

    def temperature(self, state: Any) -> jax.Array:
        """α, []."""

    def log_density(self, state: Any, log_densities: jax.Array) -> jax.Array:
        """Of actions whose log-densities are [B, D], one a dimension or one in all, what is priced: [B]."""

    def step(self, state: Any, entropy: jax.Array, updates: jax.Array) -> PyTree:
        """After an update in which the policy was seen to have this entropy, []."""


class _Plain:
    """Base of those that price the entropy as it is."""

    def log_density(self, state: Any, log_densities: jax.Array) -> jax.Array:
        """See `Entropy.log_density`: the sum."""
        del state
        return jnp.sum(log_densities, axis=-1)


class FixedTemperature(_Plain, Hyperparameters):
    """One price; zero for policies that are to have no entropy.

    Attributes:
      alpha: α.
    """

    alpha: NonNegative = 0.0

    def init(self) -> PyTree:
        """See `Entropy.init`: nothing."""
        return ()

    def temperature(self, state: PyTree) -> jax.Array:
        """See `Entropy.temperature`."""
        del state
        return jnp.float32(self.alpha)

    def step(self, state: PyTree, entropy: jax.Array, updates: jax.Array) -> PyTree:
        """See `Entropy.step`: nothing."""
        del entropy, updates
        return state


class TemperatureState(struct.PyTreeNode):
    """State of a `TunedTemperature`.

    Attributes:
      log_temperature: log α.
      optimizer_state: of its optimizer.
    """

    log_temperature: jax.Array
    optimizer_state: PyTree


class WeightedState(struct.PyTreeNode):
    """State of a `WeightedTemperature`.

    Attributes:
      weights: of the action's dimensions, [size].
      tuned: the temperature's.
    """

    weights: jax.Array
    tuned: TemperatureState


class TunedTemperature(_Plain, Hyperparameters):
    """A price that rises while the entropy is below its target (Haarnoja et al., 2018, section 5).

    Attributes:
      target: in nats; minus the number of action dimensions in the paper.
      learning_rate: step size, by updates.
      initial: α before tuning.
      optimizer: made without a learning rate.
    """

    target: Annotated[Any, Within(-FINITE, FINITE)]
    learning_rate: StepSize = LinearSchedule.constant(3e-4)
    initial: Positive = struct.field(metadata=AT_FIRST, default=1.0)
    optimizer: optax.GradientTransformation = struct.field(pytree_node=False, default=optax.scale_by_adam())

    def init(self) -> TemperatureState:
        """See `Entropy.init`."""
        log_temperature = jnp.log(jnp.float32(self.initial))
        return TemperatureState(log_temperature, self.optimizer.init(log_temperature))

    def temperature(self, state: TemperatureState) -> jax.Array:
        """See `Entropy.temperature`."""
        return jnp.exp(state.log_temperature)

    def step(self, state: TemperatureState, entropy: jax.Array, updates: jax.Array) -> TemperatureState:
        """See `Entropy.step`: one gradient step on `log α (entropy - target)` by log α, as in most implementations.

        The gradient of the papers' `α (entropy - target)` is α times as large. Adam takes that out again, with a delay:
        α would fall more slowly and rise sooner, by a third with step sizes of 3e-4.
        """
        slope, rate = entropy - self.target, self.learning_rate.at(updates)
        return TemperatureState(*descend(self.optimizer, slope, state.optimizer_state, state.log_temperature, rate))


class WeightedTemperature(Hyperparameters):
    """A tuned price of an entropy in which dimensions of the action have weights (ACE, Ji et al., 2024, section 4.1).

    Attributes:
      tuned: the price.
      size: of an action.
    """

    tuned: TunedTemperature
    size: int = struct.field(pytree_node=False)

    def init(self) -> WeightedState:
        """See `Entropy.init`: all weights are one."""
        return WeightedState(jnp.ones(self.size), self.tuned.init())

    def temperature(self, state: WeightedState) -> jax.Array:
        """See `Entropy.temperature`."""
        return self.tuned.temperature(state.tuned)

    def log_density(self, state: WeightedState, log_densities: jax.Array) -> jax.Array:
        """See `Entropy.log_density`: the weighted sum; of policies whose dimensions are independent."""
        return exact_matmul(log_densities, state.weights)

    def step(self, state: WeightedState, entropy: jax.Array, updates: jax.Array) -> WeightedState:
        """See `Entropy.step`."""
        return state.replace(tuned=self.tuned.step(state.tuned, entropy, updates))
