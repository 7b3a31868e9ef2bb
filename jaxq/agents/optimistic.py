"""A second actor that explores where critics disagree (BRO, Nauman et al., 2024, after OAC, Ciosek et al., 2019)."""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.actor_critic import ActorCritic, ActorCriticState
from jaxq.agents.base import Learner, descend
from jaxq.bellman.reductions import Pessimistic, reduced_value
from jaxq.envs.base import example_observation
from jaxq.hyperparameters import AT_FIRST, Hyperparameters, NonNegative, Positive, as_leaves
from jaxq.keys import stream, streams
from jaxq.networks import by_tanh
from jaxq.types import Metrics, Network, PyTree, TimeStep, Transition


class Optimism(Hyperparameters):
    """The numbers of an optimistic actor.

    Attributes:
      divergence: of its policy from the other, in nats for each action dimension, to which optimism and the price of
        divergence are tuned.
      stretch: its standard deviation is the other's times this.
      learning_rate: of optimism and price.
      initial_optimism: how many of the critics' deviations are added to their mean, before tuning.
      initial_price: of divergence, before tuning.
    """

    divergence: Positive = 0.05
    stretch: Positive = 0.75
    learning_rate: NonNegative = 3e-5
    initial_optimism: Positive = struct.field(metadata=AT_FIRST, default=1.0)
    initial_price: Positive = struct.field(metadata=AT_FIRST, default=0.25)


class Tuned(struct.PyTreeNode):
    """A positive number that is tuned: of which `by_tanh` makes the logarithm, and its optimizer's state."""

    raw: jax.Array
    optimizer_state: PyTree

    @property
    def value(self) -> jax.Array:
        """The number, between e^-10 and e^7.5, as the authors keep it."""
        return jnp.exp(by_tanh(-10.0, 7.5)(self.raw))

    @classmethod
    def start(cls, value: Any, optimizer: optax.GradientTransformation) -> "Tuned":
        """At this value."""
        raw = jnp.arctanh(2.0 * (jnp.log(jnp.float32(value)) + 10.0) / 17.5 - 1.0)
        return cls(raw, optimizer.init(raw))

    def step(self, slope: jax.Array, optimizer: optax.GradientTransformation, rate: jax.Array) -> "Tuned":
        """After a step down `slope`, a derivative by the number."""
        gradient = slope * jax.grad(lambda raw: self.replace(raw=raw).value)(self.raw)
        return Tuned(*descend(optimizer, gradient, self.optimizer_state, self.raw, rate))


class OptimisticState(ActorCriticState):
    """State of an `OptimisticActorCritic`.

    Attributes:
      optimist: the second actor.
      optimism: how many of the critics' deviations it adds to their mean.
      price: of divergence from the first.
      numbers: initial `Optimism`, as leaves.
    """

    optimist: Learner
    optimism: Tuned
    price: Tuned
    numbers: Optimism


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimisticActorCritic(ActorCritic):
    """An actor-critic whose behaviour is that of a second, optimistic actor.

    The second actor is told the first's mean and moves it, `μ_o = μ + f(s, μ)`, with its standard deviation times
    `stretch`. It climbs the critics' mean plus so many of their deviations, quantile by quantile, less the price of its
    divergence from the first, `KL = Σ (μ_o - μ)² / 2σ²` once the stretch is taken out. Optimism falls and the price
    rises while the divergence is above its target. Policies are squashed Gaussians, critics those of quantiles.

    Attributes:
      optimist: ([B, ...], [B, size], mode) -> [B, size].
      optimism: its numbers.
      scalars: the optimizer of optimism and price, made without a learning rate.
    """

    optimist: Network
    optimism: Optimism = dataclasses.field(default_factory=Optimism)
    scalars: optax.GradientTransformation = dataclasses.field(default_factory=lambda: optax.scale_by_adam(b1=0.5))

    def init(self, key: jax.Array) -> OptimisticState:
        """See `OffPolicyAgent.init`."""
        state = super().init(key)
        observation = example_observation(self.observation_spec)
        mean = self.actor.apply(state.actor.variables, observation)[0]
        optimist = self.optimist.init(stream(key, "optimist"), observation, mean)
        return state.extended(
            OptimisticState,
            optimist=self._start(optimist, self.optimizer, None),
            optimism=Tuned.start(self.optimism.initial_optimism, self.scalars),
            price=Tuned.start(self.optimism.initial_price, self.scalars),
            numbers=as_leaves(self.optimism),
        )

    def like(self, state: Any) -> Self:
        """See `ActorCritic.like`."""
        return dataclasses.replace(super().like(state), optimism=state.numbers)

    def _moved(self, state: OptimisticState, variables: PyTree, observation: PyTree, outputs: Any) -> Any:
        """The optimist's outputs: mean and log standard deviation."""
        mean, log_std = outputs
        shift = self.optimist.apply(variables, observation, mean)
        return mean + shift, log_std + jnp.log(state.numbers.stretch)

    def act(self, state: Any, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`: by the optimist."""
        outputs = self.actor.apply(state.actor.variables, timestep.observation, "act")
        outputs = self._moved(state, state.optimist.variables, timestep.observation, outputs)
        return *state.hyper.exploration.explore(memory, self.policy, outputs, timestep, key), ()

    def _improve_actor(self, state: Any, batch: Transition, key: jax.Array) -> tuple[ActorCriticState, Metrics]:
        """The first actor, and then the second beside it."""
        improved, metrics = super()._improve_actor(state, batch, key)
        sample_key, critic_key, reduce_key = streams(key, "optimist's action", "optimist's critic", "optimist's reduce")
        outputs = self.actor.apply(improved.actor.variables, batch.observation, "act")
        mean, log_std = outputs

        def loss(params: PyTree) -> tuple[jax.Array, jax.Array]:
            moved = self._moved(state, params, batch.observation, outputs)
            action, _ = self.policy.sample(moved, sample_key)
            predictions, _ = self._critic(state.critic.variables, batch.observation, action, "act", critic_key)
            view = Pessimistic(-1.0)(self.representation, jnp.moveaxis(predictions, 0, 1), reduce_key)
            middle = Pessimistic(0.0)(self.representation, jnp.moveaxis(predictions, 0, 1), reduce_key)
            best, plain = (reduced_value(self.representation, mixture) for mixture in (view, middle))
            divergence = jnp.mean(jnp.sum(0.5 * ((moved[0] - mean) / jnp.exp(log_std)) ** 2, axis=-1))
            value = jnp.mean(plain + state.optimism.value * (best - plain))
            return state.price.value * divergence - value, divergence

        (_, divergence), gradient = jax.value_and_grad(loss, has_aux=True)(state.optimist.params)
        rate = state.hyper.actor_learning_rate.at(state.updates)
        excess = divergence / mean.shape[-1] - state.numbers.divergence
        step = state.numbers.learning_rate
        improved = improved.replace(
            optimist=self._descend(state.optimist, self.optimizer, gradient, {}, rate),
            optimism=state.optimism.step(excess, self.scalars, step),
            price=state.price.step(-excess, self.scalars, step),
        )
        return improved, {**metrics, "optimism": state.optimism.value, "divergence": divergence}
