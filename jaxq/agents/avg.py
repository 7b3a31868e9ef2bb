"""AVG: an actor-critic that learns from every step once, as it is taken.

Vasan et al., Deep Policy Gradient Methods Without Batch Updates, Target Networks, or Replay Buffers, 2024.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import Learner, example_action, init_params
from jaxq.agents.normalized import RunningStatistics
from jaxq.agents.policies import SquashedGaussian
from jaxq.envs.base import ArraySpec, Continuous, ObservationSpec, example_observation
from jaxq.errors import require
from jaxq.hyperparameters import OF_THE_RUN, Hyperparameters, NonNegative, Share, StepSize, as_leaves
from jaxq.keys import streams
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, Network, PyTree, Rollout, TimeStep


class AVGHyperparameters(Hyperparameters):
    """The numbers of the agent; each is a leaf of its state. Defaults are those of the authors for Hopper and Walker2d.

    Attributes:
      actor_learning_rate, critic_learning_rate: step sizes, by updates.
      temperature: α, the price of entropy.
      discount: γ in [0, 1].
    """

    actor_learning_rate: StepSize = LinearSchedule.constant(1.1e-5)
    critic_learning_rate: StepSize = LinearSchedule.constant(7.7e-5)
    temperature: NonNegative = 0.3
    discount: Share = 0.99


class ErrorScale(struct.PyTreeNode):
    """What temporal-difference errors are divided by: `σ² = Var[r] + Var[γ] E[G²]`.

    Schaul et al., Return-based Scaling: Yet Another Normalisation Trick for Deep RL, 2021.
    r is the reward with the price of its action's entropy, γ the discount, zero at a terminal state, and G the sum of r
    over an episode that ended there, which is not discounted; as in the authors' code (td_error_scaler.py).

    Attributes:
      reward, discount, squared_return: statistics of r, γ and G².
    """

    reward: RunningStatistics
    discount: RunningStatistics
    squared_return: RunningStatistics

    @classmethod
    def start(cls) -> "ErrorScale":
        """Nothing seen yet."""
        return cls(*(RunningStatistics.start(ArraySpec(())) for _ in range(3)))

    def after(self, reward: jax.Array, discount: jax.Array, total: jax.Array, counts: jax.Array) -> "ErrorScale":
        """With steps more: r, γ and G, each [B], of which those with `counts` are to count."""
        return ErrorScale(
            self.reward.after(reward, counts),
            self.discount.after(discount, counts),
            self.squared_return.after(total**2, counts & (discount == 0)),
        )

    @property
    def deviation(self) -> jax.Array:
        """σ, []; one while there is next to no variance and no episode has ended."""
        variance = self.reward.variance + self.discount.variance * self.squared_return.mean
        nothing = (variance <= 0.01) & (self.squared_return.count < 0.5)
        return jnp.where(nothing, 1.0, jnp.sqrt(jnp.maximum(variance, 1e-4)))


class AVGState(struct.PyTreeNode):
    """All of the agent that changes.

    Attributes:
      actor, critic: the networks.
      scale: of temporal-difference errors.
      updates: int32, learning steps taken.
      hyper: the agent's hyperparameters.
    """

    actor: Learner
    critic: Learner
    scale: ErrorScale
    updates: jax.Array = struct.field(metadata=OF_THE_RUN)
    hyper: AVGHyperparameters


class AVGMemory(struct.PyTreeNode):
    """What acting carries, of each environment.

    Attributes:
      total: [E] the rewards of the episode, with the price of their actions' entropy, up to the last step acted on.
      log_density: [E] of the action taken there.
    """

    total: jax.Array
    log_density: jax.Array

    def at(self, timestep: TimeStep, temperature: jax.Array) -> jax.Array:
        """The total [E] at the step after. A terminal state sets it back, the end of the time does not: as theirs."""
        total = self.total + timestep.reward - temperature * self.log_density
        return jnp.where(timestep.first, self.total, jnp.where(timestep.terminated, 0.0, total))


class Acted(struct.PyTreeNode):
    """What is kept of acting: the drawn number before squashing, [E, size], and its action's log-density, [E]."""

    drawn: jax.Array
    log_density: jax.Array


@dataclasses.dataclass(frozen=True)
class AVG:
    """Action-value gradients from single steps: no replay, no target networks, no batches.

    Each step moves both networks once: the critic down the square of its error over σ, the actor down
    `α log π(a|s) - q(s, a)` along the action that it has taken, as a function of its parameters. Both gradients are of
    the networks as they acted. Several environments are not the paper's: their steps are averaged.

    Attributes:
      actor: ([B, ...], mode) -> the policy's outputs.
      critic: ([B, ...], [B, size], mode) -> [B, 1].
      observation_spec, action_spec: of one environment.
      optimizer: made without a learning rate; actor and critic have one each.
      hyper: initial hyperparameters.
      policy: what the actor's outputs mean.
    """

    actor: Network
    critic: Network
    observation_spec: ObservationSpec
    action_spec: Continuous
    optimizer: optax.GradientTransformation
    hyper: AVGHyperparameters
    policy: SquashedGaussian = dataclasses.field(default_factory=SquashedGaussian)

    @property
    def updates_per_rollout(self) -> int:
        """See `OnPolicyAgent.updates_per_rollout`."""
        return 1

    def init(self, key: jax.Array) -> AVGState:
        """See `Agent.init`."""
        actor_key, critic_key = streams(key, "actor", "critic")
        observation, action = example_observation(self.observation_spec), example_action(self.action_spec)
        actor = init_params(self.actor, actor_key, observation)
        critic = init_params(self.critic, critic_key, observation, action)
        return AVGState(
            actor=Learner.start(actor, self.optimizer, has_target=False),
            critic=Learner.start(critic, self.optimizer, has_target=False),
            scale=ErrorScale.start(),
            updates=jnp.int32(0),
            hyper=as_leaves(self.hyper),
        )

    def init_memory(self, num_envs: int) -> AVGMemory:
        """See `Agent.init_memory`."""
        return AVGMemory(jnp.zeros(num_envs), jnp.zeros(num_envs))

    def act(
        self, state: AVGState, memory: AVGMemory, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, AVGMemory, Acted]:
        """See `Agent.act`: a sample of the policy."""
        outputs = self.actor.apply(state.actor.variables, timestep.observation, "act")
        drawn = self.policy.draw(outputs, key)
        log_density = self.policy.log_probability(outputs, drawn)
        total = memory.at(timestep, state.hyper.temperature)
        return self.policy.action(drawn), AVGMemory(total, log_density), Acted(drawn, log_density)

    def exploit(
        self, state: AVGState, memory: AVGMemory, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, AVGMemory]:
        """See `Agent.exploit`: the policy's mode."""
        del key
        return self.policy.mode(self.actor.apply(state.actor.variables, timestep.observation, "exploit")), memory

    def update(self, state: AVGState, rollout: Rollout, key: jax.Array) -> tuple[AVGState, Metrics]:
        """See `OnPolicyAgent.update`: from a rollout of one step.

        Where all actions were ignored, an episode having ended, nothing is learned.

        Raises:
          InputError: if the rollout has more steps.
        """
        steps = rollout.timestep.first.shape[0]
        require(steps == 1, "rollout_steps", steps, "1, for an agent that learns from every step")
        timestep, action, acted = jax.tree.map(lambda leaf: leaf[0], (rollout.timestep, rollout.action, rollout.record))
        _, shapes = jax.eval_shape(self._learn, state, timestep, action, acted, rollout, key)

        def skip() -> tuple[AVGState, Metrics]:
            return state, jax.tree.map(lambda metric: jnp.zeros(metric.shape, metric.dtype), shapes)

        counts = ~timestep.last
        return jax.lax.cond(counts.any(), lambda: self._learn(state, timestep, action, acted, rollout, key), skip)

    def _learn(
        self, state: AVGState, timestep: TimeStep, action: jax.Array, acted: Acted, rollout: Rollout, key: jax.Array
    ) -> tuple[AVGState, Metrics]:
        hyper, following = state.hyper, rollout.following
        temperature, counts = hyper.temperature, ~timestep.last
        weight = counts / jnp.sum(counts)
        discount = hyper.discount * (1.0 - following.terminated)
        priced = following.reward - temperature * acted.log_density
        total = rollout.memory.at(timestep, temperature) + priced
        scale = state.scale.after(priced, discount, total, counts)

        outputs = self.actor.apply(state.actor.variables, following.observation, "target")
        next_action, next_log_densities = self.policy.sample(outputs, key)
        next_q = self.critic.apply(state.critic.variables, following.observation, next_action, "target")[:, 0]
        target = following.reward + discount * (next_q - temperature * jnp.sum(next_log_densities, axis=-1))

        def of_critic(params: PyTree) -> tuple[jax.Array, jax.Array]:
            q = self.critic.apply(params, timestep.observation, action, "learn")[:, 0]
            return jnp.sum(weight * ((target - q) / scale.deviation) ** 2), jnp.sum(weight * q)

        def of_actor(params: PyTree) -> jax.Array:
            outputs = self.actor.apply(params, timestep.observation, "learn")
            drawn = self.policy.again(outputs, acted.drawn)
            taken, log_density = self.policy.action(drawn), self.policy.log_probability(outputs, drawn)
            q = self.critic.apply(state.critic.variables, timestep.observation, taken, "act")[:, 0]
            return jnp.sum(weight * (temperature * log_density - q))

        (loss, mean_q), critic_slope = jax.value_and_grad(of_critic, has_aux=True)(state.critic.params)
        actor_loss, actor_slope = jax.value_and_grad(of_actor)(state.actor.params)
        actor_rate, critic_rate = (
            rate.at(state.updates) for rate in (hyper.actor_learning_rate, hyper.critic_learning_rate)
        )
        state = state.replace(
            actor=state.actor.descend(self.optimizer, actor_slope, {}, actor_rate),
            critic=state.critic.descend(self.optimizer, critic_slope, {}, critic_rate),
            scale=scale,
            updates=state.updates + 1,
        )
        entropy = -jnp.sum(weight * acted.log_density)
        metrics = {"loss": loss, "actor_loss": actor_loss, "mean_q": mean_q, "entropy": entropy}
        return state, {**metrics, "error_scale": scale.deviation}
