"""Soft actor-critic with a tuned temperature, for continuous actions (Haarnoja et al., 2018, arXiv:1812.05905)."""

import dataclasses
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import RecordsNothing, descend, example_action
from jaxq.agents.hyperparameters import INFINITY, POSITIVE, Hyperparameters, Within, as_leaves
from jaxq.agents.targets import PolyakUpdate
from jaxq.bellman import Representation, n_step_return
from jaxq.envs.base import Continuous, ObservationSpec, example_observation
from jaxq.keys import streams
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, Network, PyTree, TimeStep, Transition


def squashed_gaussian_sample(policy: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A reparameterized sample of `tanh(N(mean, std²))` and its log-density.

    Haarnoja et al. (2018), appendix C, eq. 26.

    Args:
      policy: mean and log standard deviation before squashing, each [B, size].
      key: one random key.

    Returns:
      Actions in (-1, 1), [B, size], and their log-densities, [B].
    """
    mean, log_std = policy
    noise = jax.random.normal(key, mean.shape)
    before = mean + jnp.exp(log_std) * noise
    log_density = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi)
    # log(1 - tanh²(x)) in a form that does not underflow for large |x|.
    log_slope = 2.0 * (jnp.log(2.0) - before - jax.nn.softplus(-2.0 * before))
    return jnp.tanh(before), jnp.sum(log_density - log_slope, axis=-1)


class SACHyperparameters(Hyperparameters):
    """The numbers of a SAC agent; each is a leaf of its state.

    Attributes:
      actor_learning_rate, critic_learning_rate, temperature_learning_rate: step sizes, by updates.
      discount: γ in [0, 1].
      target_entropy: what the temperature is tuned to, in nats; minus the number of action dimensions in the paper.
      initial_temperature: α before tuning.
      target: the schedule of the target critics.
    """

    target_entropy: Any
    actor_learning_rate: Annotated[LinearSchedule, Within(0.0, INFINITY)] = LinearSchedule.constant(3e-4)
    critic_learning_rate: Annotated[LinearSchedule, Within(0.0, INFINITY)] = LinearSchedule.constant(3e-4)
    temperature_learning_rate: Annotated[LinearSchedule, Within(0.0, INFINITY)] = LinearSchedule.constant(3e-4)
    discount: Annotated[Any, Within(0.0, 1.0)] = 0.99
    initial_temperature: Annotated[Any, Within(POSITIVE, INFINITY)] = 1.0
    target: PolyakUpdate = dataclasses.field(default_factory=lambda: PolyakUpdate(0.005))


class SACState(struct.PyTreeNode):
    """All of a SAC agent that changes.

    Attributes:
      actor, critic, target_critic: network parameters.
      log_temperature: log α.
      actor_optimizer, critic_optimizer, temperature_optimizer: optimizer states.
      updates: int32, learning steps taken.
      hyper: the agent's hyperparameters.
    """

    actor: PyTree
    critic: PyTree
    target_critic: PyTree
    log_temperature: jax.Array
    actor_optimizer: PyTree
    critic_optimizer: PyTree
    temperature_optimizer: PyTree
    updates: jax.Array
    hyper: SACHyperparameters


@dataclasses.dataclass(frozen=True)
class SAC(RecordsNothing):
    """Soft actor-critic, off-policy from replay.

    Attributes:
      actor: [B, ...] -> mean and log standard deviation, each [B, size].
      critic: an ensemble, ([B, ...], [B, size]) -> [M, B, W]; the target is the member with the smallest mean.
      observation_spec, action_spec: of one environment.
      optimizer: made without a learning rate (`optax.scale_by_adam()`); actor, critic and temperature have one each.
      hyper: initial hyperparameters.
      representation: of the return, for the critics.
    """

    actor: Network
    critic: Network
    observation_spec: ObservationSpec
    action_spec: Continuous
    optimizer: optax.GradientTransformation
    hyper: SACHyperparameters
    representation: Representation

    def init(self, key: jax.Array) -> SACState:
        """See `Agent.init`."""
        actor_key, critic_key = streams(key, "actor", "critic")
        observation = example_observation(self.observation_spec)
        actor = self.actor.init(actor_key, observation)
        critic = self.critic.init(critic_key, observation, example_action(self.action_spec))
        hyper = as_leaves(self.hyper)
        log_temperature = jnp.log(hyper.initial_temperature)
        return SACState(
            actor=actor,
            critic=critic,
            target_critic=jax.tree.map(jnp.copy, critic),
            log_temperature=log_temperature,
            actor_optimizer=self.optimizer.init(actor),
            critic_optimizer=self.optimizer.init(critic),
            temperature_optimizer=self.optimizer.init(log_temperature),
            updates=jnp.int32(0),
            hyper=hyper,
        )

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`: none."""
        del num_envs
        return ()

    def act(
        self, state: SACState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Agent.act`: a sample of the policy."""
        mean, log_std = self.actor.apply(state.actor, timestep.observation)
        return jnp.tanh(mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)), memory, ()

    def exploit(self, state: SACState, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the mode before squashing."""
        del key
        return jnp.tanh(self.actor.apply(state.actor, timestep.observation)[0]), memory

    def update(self, state: SACState, batch: Transition, key: jax.Array) -> tuple[SACState, Metrics, jax.Array]:
        """See `Agent.update`: critics, then actor against the new critics, then temperature."""
        hyper = state.hyper
        next_key, actor_key = streams(key, "next action", "action")
        temperature = jnp.exp(state.log_temperature)
        target = self._critic_target(state, batch, temperature, next_key)

        def critic_loss(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            predictions = self.critic.apply(params, batch.observation, batch.action)  # [M, B, W]
            losses = jax.vmap(self.representation.loss, (0, None))(predictions, target)  # [M, B]
            priority = jax.vmap(self.representation.priority, (0, None))(predictions, target).mean(axis=0)
            mean_q = jnp.mean(self.representation.value(predictions))
            return jnp.sum(jnp.mean(batch.weight * losses, axis=1)), (mean_q, priority)

        (critic_value, (mean_q, priority)), gradient = jax.value_and_grad(critic_loss, has_aux=True)(state.critic)
        critic, critic_optimizer = descend(
            self.optimizer, gradient, state.critic_optimizer, state.critic, hyper.critic_learning_rate.at(state.updates)
        )

        def actor_loss(params: PyTree) -> tuple[jax.Array, jax.Array]:
            action, log_density = squashed_gaussian_sample(self.actor.apply(params, batch.observation), actor_key)
            values = self.representation.value(self.critic.apply(critic, batch.observation, action))  # [M, B]
            return jnp.mean(temperature * log_density - jnp.min(values, axis=0)), -jnp.mean(log_density)

        (actor_value, entropy), gradient = jax.value_and_grad(actor_loss, has_aux=True)(state.actor)
        actor, actor_optimizer = descend(
            self.optimizer, gradient, state.actor_optimizer, state.actor, hyper.actor_learning_rate.at(state.updates)
        )
        # d/d(log α) of α (entropy - target entropy), with the customary log α in place of α.
        log_temperature, temperature_optimizer = descend(
            self.optimizer,
            entropy - hyper.target_entropy,
            state.temperature_optimizer,
            state.log_temperature,
            hyper.temperature_learning_rate.at(state.updates),
        )
        updates = state.updates + 1
        state = state.replace(
            actor=actor,
            critic=critic,
            target_critic=hyper.target.step(state.target_critic, critic, updates),
            log_temperature=log_temperature,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            temperature_optimizer=temperature_optimizer,
            updates=updates,
        )
        metrics = {
            "loss": critic_value,
            "actor_loss": actor_value,
            "mean_q": mean_q,
            "entropy": entropy,
            "temperature": temperature,
        }
        return state, metrics, priority

    def _critic_target(self, state: SACState, batch: Transition, temperature: jax.Array, key: jax.Array) -> jax.Array:
        """The soft Bellman backup of the member with the smaller mean, [B, W] (eq. 3, with clipped double critics)."""
        reward, discount = n_step_return(batch.rewards, batch.steps, batch.terminated, state.hyper.discount)
        next_action, log_density = squashed_gaussian_sample(self.actor.apply(state.actor, batch.next_observation), key)
        predictions = self.critic.apply(state.target_critic, batch.next_observation, next_action)
        members = jnp.moveaxis(predictions, 0, 1)  # [B, M, W]
        means = self.representation.value(members)
        smallest = jax.nn.one_hot(jnp.argmin(means, axis=1), means.shape[1], dtype=means.dtype)
        return self.representation.target(reward - discount * temperature * log_density, discount, members, smallest)
