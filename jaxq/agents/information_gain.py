"""Exploration for information: a bonus for what a model of the environment does not know (MaxInfoRL).

Sukhija et al., MaxInfoRL: Boosting Exploration in Reinforcement Learning through Information Gain Maximization, 2025.
"""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.actor_critic import ActorCritic, ActorCriticState
from jaxq.agents.base import Learner
from jaxq.agents.entropy import TemperatureState, TunedTemperature
from jaxq.agents.normalized import RunningStatistics
from jaxq.agents.targets import PolyakUpdate
from jaxq.envs.base import example_observation
from jaxq.hyperparameters import AT_FIRST, Hyperparameters, Positive, StepSize, as_leaves
from jaxq.keys import stream, streams
from jaxq.networks.observations import flattened
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, Network, PyTree, Transition

# As in the authors' code: a deviation that something is divided by is at least this, and statistics are of about so
# many of the newest numbers, so that gains are normalized by what they are now and not by what they were at first.
_SMALLEST_STD, _LARGEST_COUNT = 1e-3, 1e6


class InformationGain(Hyperparameters):
    """The numbers of the bonus.

    Attributes:
      noise: assumed standard deviation of what the model cannot know, in units of its normalized predictions.
      learning_rate: of the model and of the bonus' price.
      initial_price: β before tuning.
      target: the schedule of the actor that the price is tuned by.
    """

    noise: Positive = 1e-3
    learning_rate: StepSize = LinearSchedule.constant(3e-4)
    initial_price: Positive = struct.field(metadata=AT_FIRST, default=1.0)
    target: PolyakUpdate = PolyakUpdate(0.005)


class Curiosity(struct.PyTreeNode):
    """What is learned for the bonus.

    Attributes:
      model: the ensemble.
      inputs, outputs: statistics of what it sees, observation and action, and of what it predicts, the change of the
        observation and the reward.
      gains: statistics of the information gain, of a single number.
      price: β.
      actor: the variables of the actor that the price is tuned by.
      numbers: its `InformationGain`, as leaves.
    """

    model: Learner
    inputs: RunningStatistics
    outputs: RunningStatistics
    gains: RunningStatistics
    price: TemperatureState
    actor: PyTree
    numbers: InformationGain


class CuriousState(ActorCriticState):
    """State of a `CuriousActorCritic`.

    Attributes:
      curiosity: what is learned for the bonus.
    """

    curiosity: Curiosity


def _normal(statistics: RunningStatistics, x: jax.Array) -> jax.Array:
    return (x - statistics.mean) / jnp.maximum(jnp.sqrt(statistics.variance), _SMALLEST_STD)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CuriousActorCritic(ActorCritic):
    """An actor-critic to whom information about the environment is worth something, as entropy is.

    An ensemble predicts what an action does. Its disagreement σ in each number, `I = mean log(1 + (σ / noise)²)`, is
    the information gained, normalized by running statistics; β I is added to values where entropy is. β rises while
    the actor gains less than a slowly following copy of it would, on the same observations. After critics and actor
    the model takes one step on the batch. The statistics of the gain are those of the actor's and its copy's actions.

    Attributes:
      model: an ensemble, [B, O + size] -> [M, B, O + 1], O being the numbers of an observation.
      information: its numbers.
    """

    model: Network
    information: InformationGain = dataclasses.field(default_factory=InformationGain)

    def init(self, key: jax.Array) -> CuriousState:
        """See `OffPolicyAgent.init`."""
        state = super().init(key)
        numbers = as_leaves(self.information)
        size = flattened(example_observation(self.observation_spec)).shape[-1]
        inputs, outputs = size + self.action_spec.size, size + 1
        model = self.model.init(stream(key, "model"), jnp.zeros((1, inputs)))
        curiosity = Curiosity(
            model=Learner.start(model, self.optimizer, has_target=False),
            inputs=RunningStatistics.start(jnp.zeros(inputs)),
            outputs=RunningStatistics.start(jnp.zeros(outputs)),
            gains=RunningStatistics.start(jnp.zeros(())),
            price=self._price(numbers).init(),
            actor=jax.tree.map(jnp.copy, state.actor.variables),
            numbers=numbers,
        )
        return state.extended(CuriousState, curiosity=curiosity)

    def like(self, state: Any) -> Self:
        """See `ActorCritic.like`."""
        return dataclasses.replace(super().like(state), information=state.curiosity.numbers)

    def _price(self, numbers: InformationGain, target: Any = 0.0) -> TunedTemperature:
        return TunedTemperature(target, numbers.learning_rate, numbers.initial_price, self.optimizer)

    def gain(self, curiosity: Curiosity, observation: PyTree, action: jax.Array) -> jax.Array:
        """The information that actions [B, size] gain, [B], before it is normalized."""
        seen = _normal(curiosity.inputs, jnp.concatenate([flattened(observation), action], axis=-1))
        variance = jnp.var(self.model.apply(curiosity.model.variables, seen), axis=0)
        return jnp.mean(jnp.log1p(variance / curiosity.numbers.noise**2), axis=-1)

    def _bonus(self, state: Any, observation: PyTree, action: jax.Array, log_densities: jax.Array) -> jax.Array:
        curiosity = state.curiosity
        gain = _normal(curiosity.gains, self.gain(curiosity, observation, action))
        price = self._price(curiosity.numbers).temperature(curiosity.price)
        return super()._bonus(state, observation, action, log_densities) + price * gain

    def _improve_actor(self, state: Any, batch: Transition, key: jax.Array) -> tuple[ActorCriticState, Metrics]:
        """The actor; and then the price of information, and the model."""
        own_key, copy_key = streams(key, "own action", "copy's action")
        curiosity = state.curiosity

        def gains(variables: PyTree, key: jax.Array) -> jax.Array:
            action, _ = self.policy.sample(self.actor.apply(variables, batch.observation, "act"), key)
            return self.gain(curiosity, batch.observation, action)

        own, copied = gains(state.actor.variables, own_key), gains(curiosity.actor, copy_key)
        both = jnp.concatenate([own, copied])
        curiosity = curiosity.replace(gains=curiosity.gains.after(both, largest_count=_LARGEST_COUNT))
        improved, metrics = super()._improve_actor(state.replace(curiosity=curiosity), batch, key)
        target = jnp.mean(_normal(curiosity.gains, copied))
        tuner = self._price(curiosity.numbers, target)
        curiosity = curiosity.replace(
            price=tuner.step(curiosity.price, jnp.mean(_normal(curiosity.gains, own)), state.updates),
            actor=curiosity.numbers.target.step(curiosity.actor, improved.actor.variables, state.updates),
        )
        curiosity, loss = self._learn_model(curiosity, batch, state.updates)
        metrics = {**metrics, "model_loss": loss, "information": jnp.mean(own)}
        return improved.replace(curiosity=curiosity), metrics

    def _learn_model(self, curiosity: Curiosity, batch: Transition, updates: jax.Array) -> tuple[Curiosity, jax.Array]:
        """A step of the ensemble on what one step did, and its loss. Windows of several steps have their last state."""
        before, after = (flattened(x).astype(jnp.float32) for x in (batch.observation, batch.next_observation))
        seen = jnp.concatenate([before, batch.action], axis=-1)
        change = after - before  # of bytes too
        came = jnp.concatenate([change, batch.rewards[:, :1]], axis=-1)
        counts = batch.weight > 0
        curiosity = curiosity.replace(
            inputs=curiosity.inputs.after(seen, counts, _LARGEST_COUNT),
            outputs=curiosity.outputs.after(came, counts, _LARGEST_COUNT),
        )
        inputs, outputs = _normal(curiosity.inputs, seen), _normal(curiosity.outputs, came)

        def loss(params: PyTree) -> jax.Array:
            predicted = self.model.apply(params, inputs)
            return jnp.mean(batch.weight[:, None] * (predicted - outputs) ** 2)

        value, gradient = jax.value_and_grad(loss)(curiosity.model.params)
        rate = curiosity.numbers.learning_rate.at(updates)
        return curiosity.replace(model=curiosity.model.descend(self.optimizer, gradient, {}, rate)), value
