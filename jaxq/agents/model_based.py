"""MR.Q: an actor-critic on embeddings that are learned by foreseeing the next steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import Learner, RecordsNothing, example_action
from jaxq.agents.noise import ActionNoise, GaussianNoise, Smoothing
from jaxq.agents.policies import Deterministic, Policy
from jaxq.agents.self_predictive import first_transition
from jaxq.agents.targets import HardUpdate
from jaxq.bellman import Representation, before_end, n_step_return
from jaxq.bellman.base import ScalarTarget
from jaxq.bellman.reductions import Mean, Minimum, Reduction, reduced_value
from jaxq.envs.base import Continuous, ObservationSpec, example_observation
from jaxq.errors import require
from jaxq.hyperparameters import OF_THE_RUN, Hyperparameters, NonNegative, Share, StepSize, as_leaves
from jaxq.keys import streams
from jaxq.lanes import flat, where_due
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, Network, PyTree, Segment, TimeStep, Transition

MODEL_METRICS = ("model_loss", "dynamics_loss", "reward_loss", "termination_loss")
VALUE_METRICS = ("loss", "mean_q", "actor_loss")


class ModelBasedHyperparameters(Hyperparameters):
    """The numbers of a `ModelBasedActorCritic`; each is a leaf of its state.

    Attributes:
      encoder_learning_rate, learning_rate: step sizes, by updates; the second of critics and actor.
      target: the schedule of all targets; its period is that of a round of updates, of which half are the encoder's.
      exploration: the behaviour's strategy.
      smoothing: noise on the actions of targets.
      discount: γ in [0, 1].
      dynamics_weight, reward_weight, termination_weight: of the encoder's losses.
      action_penalty: of the squares of what the actor's actions are before squashing.
    """

    encoder_learning_rate: StepSize = LinearSchedule.constant(1e-4)
    learning_rate: StepSize = LinearSchedule.constant(3e-4)
    target: HardUpdate = dataclasses.field(default_factory=lambda: HardUpdate(500))
    exploration: ActionNoise = dataclasses.field(default_factory=lambda: GaussianNoise(0.2))
    smoothing: Smoothing = dataclasses.field(default_factory=lambda: Smoothing(0.2, 0.3))
    discount: Share = 0.99
    dynamics_weight: NonNegative = 1.0
    reward_weight: NonNegative = 0.1
    termination_weight: NonNegative = 0.1
    action_penalty: NonNegative = 1e-5


class Seen(struct.PyTreeNode):
    """What all time steps so far amount to.

    Attributes:
      rewards: float32, how many there were.
      magnitude: the mean of their absolute values.
      terminated: float32, 1 if an episode ended by itself, else 0.
    """

    rewards: jax.Array
    magnitude: jax.Array
    terminated: jax.Array

    def after(self, timestep: TimeStep) -> "Seen":
        """With the time steps [E] of one step of all environments more; first observations come with no reward."""
        counts = ~timestep.first
        rewards = self.rewards + jnp.sum(counts)
        away = jnp.sum(jnp.where(counts, jnp.abs(timestep.reward) - self.magnitude, 0.0))
        return Seen(
            rewards,
            self.magnitude + away / jnp.maximum(rewards, 1.0),
            jnp.maximum(self.terminated, jnp.any(timestep.terminated).astype(jnp.float32)),
        )


class ModelBasedState(struct.PyTreeNode):
    """All of the agent that changes.

    Attributes:
      encoder, critic, actor: the networks and their targets.
      seen: of the environments.
      reward_scale: what values are measured in.
      target_reward_scale: what those of the target critics are.
      told: the metrics of the newest update of either kind.
      updates: int32, of both kinds together.
      hyper: the agent's hyperparameters.
    """

    encoder: Learner
    critic: Learner
    actor: Learner
    seen: Seen
    reward_scale: jax.Array
    target_reward_scale: jax.Array
    told: Metrics
    updates: jax.Array = struct.field(metadata=OF_THE_RUN)
    hyper: ModelBasedHyperparameters


@dataclasses.dataclass(frozen=True)
class ModelBasedActorCritic(RecordsNothing):
    """MR.Q (Fujimoto et al., Towards General-Purpose Model-Free Reinforcement Learning, 2025).

    Learned from `Segment`s. An update is of one of two kinds, each with a batch of its own: 250 updates in a row are of
    the encoder, the next 250 of critics and actor, and before the first of these 500 the targets of all three become
    copies and the scale of rewards is measured anew. That is the order of the authors' code, which
    has the encoder's all between two environment steps, and one of the others after each step; with two updates to an
    environment step as many of each are done here.

    Where the authors' code differs from the paper or from what replay here gives, this follows the paper: the n-step
    return counts the reward of a step that terminates. Windows in which an episode is cut off are learned from up to
    there, where theirs are not drawn. The scale of rewards is over all that was ever seen, which is the same until the
    replay is full.

    Attributes:
      encoder: a `ModelBasedEncoder`.
      critic: an ensemble, [B, F] -> [M, B, W].
      actor: [B, F] -> the policy's outputs, an array before squashing.
      observation_spec, action_spec: of one environment.
      optimizer: of encoder and actor, made without a learning rate.
      critic_optimizer: the critics'.
      hyper: initial hyperparameters.
      representation: of the return in units of the reward's scale; of one number.
      reward: how the encoder's model represents a reward.
      policy: what the actor's outputs mean.
      target_reduction, actor_reduction: how critics become one target, and what of them the actor climbs.
      horizon: steps that are foreseen.
      n_step: rewards in a return before it bootstraps.
    """

    encoder: Any
    critic: Network
    actor: Network
    observation_spec: ObservationSpec
    action_spec: Continuous
    optimizer: optax.GradientTransformation
    critic_optimizer: optax.GradientTransformation
    hyper: ModelBasedHyperparameters
    representation: Representation
    reward: ScalarTarget
    policy: Policy = dataclasses.field(default_factory=Deterministic)
    target_reduction: Reduction = dataclasses.field(default_factory=Minimum)
    actor_reduction: Reduction = dataclasses.field(default_factory=Mean)
    horizon: int = 5
    n_step: int = 3

    def __post_init__(self) -> None:
        for name in ("horizon", "n_step"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")

    def init(self, key: jax.Array) -> ModelBasedState:
        """See `OffPolicyAgent.init`."""
        encoder_key, critic_key, actor_key = streams(key, "encoder", "critic", "actor")
        observation, action = example_observation(self.observation_spec), example_action(self.action_spec)
        encoder = self.encoder.init(encoder_key, observation, action)
        latent = self._embed(encoder, observation)
        critic = self.critic.init(critic_key, latent)
        actor = self.actor.init(actor_key, latent)
        return ModelBasedState(
            encoder=Learner.start(encoder, self.optimizer, True),
            critic=Learner.start(critic, self.critic_optimizer, True),
            actor=Learner.start(actor, self.optimizer, True),
            seen=Seen(jnp.float32(0.0), jnp.float32(0.0), jnp.float32(0.0)),
            reward_scale=jnp.float32(1.0),
            target_reward_scale=jnp.float32(0.0),
            told=dict.fromkeys((*MODEL_METRICS, *VALUE_METRICS), jnp.float32(0.0)),
            updates=jnp.int32(0),
            hyper=as_leaves(self.hyper),
        )

    def init_memory(self, num_envs: int) -> PyTree:
        """See `OffPolicyAgent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def observe(self, state: ModelBasedState, memory: PyTree, timestep: TimeStep) -> tuple[ModelBasedState, PyTree]:
        """See `Agent.observe`."""
        return state.replace(seen=state.seen.after(timestep)), memory

    def act(
        self, state: ModelBasedState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`."""
        outputs = self._outputs(state, timestep)
        return *state.hyper.exploration.explore(memory, self.policy, outputs, timestep, key), ()

    def exploit(
        self, state: ModelBasedState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `OffPolicyAgent.exploit`: the policy's mode."""
        del key
        return self.policy.mode(self._outputs(state, timestep)), memory

    def _outputs(self, state: ModelBasedState, timestep: TimeStep) -> Any:
        latent = self._embed(state.encoder.variables, timestep.observation)
        return self.actor.apply(state.actor.variables, latent)

    def _embed(self, variables: PyTree, observation: PyTree) -> jax.Array:
        return self.encoder.apply(variables, observation, method="embed")

    def _values(self, encoder: PyTree, critic: PyTree, latent: jax.Array, action: jax.Array) -> jax.Array:
        """Predictions [M, B, W]."""
        predictions: jax.Array = self.critic.apply(critic, self.encoder.apply(encoder, latent, action, method="join"))
        return predictions

    def update(
        self, state: ModelBasedState, batch: Segment, key: jax.Array
    ) -> tuple[ModelBasedState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`. Priorities are `max(|δ|, 1)` of the critic with the largest error (LAP).

        Fujimoto et al., An Equivalence between Loss Functions and Non-Uniform Sampling, 2020. Updates of the encoder
        leave priorities as they are. Metrics of the kind that it was not are those of the newest that was.
        """
        length = batch.reward.shape[0]
        for name in ("horizon", "n_step"):
            value = getattr(self, name)
            require(value <= length, name, value, f"at most the sequences' length of {length}")
        state = self._renewed(state)
        period = jnp.int32(state.hyper.target.period)
        of_model = 2 * (state.updates % period) < period
        drawn = jnp.ones_like(batch.weight) if isinstance(batch.priority, tuple) else batch.priority
        state = where_due(of_model, lambda: self._improve_model(state, batch), state)
        state, priority = where_due(~of_model, lambda: self._improve_values(state, batch, key), (state, drawn))
        return state.replace(updates=state.updates + 1), state.told, priority

    def _renewed(self, state: ModelBasedState) -> ModelBasedState:
        """With new targets and scales, where they are due."""
        copies = state.hyper.target
        due = state.updates % jnp.int32(copies.period) == 0
        scale = jnp.maximum(state.seen.magnitude, 1e-8)
        return state.replace(
            encoder=state.encoder.follow(copies, state.updates),
            critic=state.critic.follow(copies, state.updates),
            actor=state.actor.follow(copies, state.updates),
            target_reward_scale=jnp.where(due, state.reward_scale, state.target_reward_scale),
            reward_scale=jnp.where(due, scale, state.reward_scale),
        )

    def _improve_model(self, state: ModelBasedState, batch: Segment) -> ModelBasedState:
        gradient, metrics = jax.grad(self._model_loss, has_aux=True)(state.encoder.params, state, batch)
        rate = state.hyper.encoder_learning_rate.at(state.updates)
        encoder = state.encoder.descend(self.optimizer, gradient, {}, rate)
        return state.replace(encoder=encoder, told={**state.told, **metrics})

    def _model_loss(self, params: PyTree, state: ModelBasedState, batch: Segment) -> tuple[jax.Array, Metrics]:
        """What was foreseen wrongly, over the horizon, each step from the embedding that the one before foresaw."""
        hyper, steps, size = state.hyper, self.horizon, batch.weight.shape[0]
        later = flat(jax.tree.map(lambda x: x[1 : steps + 1], batch.observation))
        following = self._embed(state.encoder.target, later).reshape(steps, size, -1)
        rewards = self.reward.encode(batch.reward[:steps].reshape(-1)).reshape(steps, size, -1)
        terminated = batch.terminated[:steps].astype(jnp.float32)
        ended = (batch.terminated | batch.truncated)[:steps]
        # What lies beyond an episode's end is not of this story.
        counts = batch.weight * before_end(ended, axis=0)
        latent = self._embed(params, jax.tree.map(lambda x: x[0], batch.observation))
        wrong = jnp.zeros(3)
        for step in range(steps):
            foreseen: Any = self.encoder.apply(params, latent, batch.action[step], method="foresee")
            latent = foreseen.latent
            parts = (
                jnp.mean((latent - following[step]) ** 2, axis=-1),
                self.reward.loss(foreseen.reward, rewards[step]),
                (foreseen.terminated - terminated[step]) ** 2,
            )
            wrong += jnp.stack([jnp.mean(counts[step] * part) for part in parts])
        # Where nothing ever terminated, nothing is to be learned of it.
        terminations = hyper.termination_weight * state.seen.terminated
        loss = jnp.sum(wrong * jnp.stack([hyper.dynamics_weight, hyper.reward_weight, terminations]))
        return loss, dict(zip(MODEL_METRICS, (loss, *wrong), strict=True))

    def _improve_values(
        self, state: ModelBasedState, batch: Segment, key: jax.Array
    ) -> tuple[ModelBasedState, jax.Array]:
        target_key, actor_key = streams(key, "target", "actor")
        transition = first_transition(batch, jnp.int32(self.n_step))
        latent = self._embed(state.encoder.variables, transition.observation)
        state, metrics, priority = self._improve_critic(state, transition, latent, target_key)
        state, actor_loss = self._improve_actor(state, latent, actor_key)
        return state.replace(told={**state.told, **metrics, "actor_loss": actor_loss}), priority

    def _improve_critic(
        self, state: ModelBasedState, batch: Transition, latent: jax.Array, key: jax.Array
    ) -> tuple[ModelBasedState, Metrics, jax.Array]:
        target, representation, encoder = self._target(state, batch, key), self.representation, state.encoder.variables
        joint = self.encoder.apply(encoder, latent, batch.action, method="join")

        def loss(params: PyTree) -> tuple[jax.Array, Any]:
            predictions = self.critic.apply(params, joint)
            losses = jax.vmap(representation.loss, (0, None))(predictions, target)
            errors = jax.vmap(representation.priority, (0, None))(predictions, target)
            total = jnp.mean(batch.weight * losses)
            mean_q = jnp.mean(representation.value(predictions)) * state.reward_scale
            return total, ({"loss": total, "mean_q": mean_q}, jnp.maximum(jnp.max(errors, axis=0), 1.0))

        gradient, (metrics, priority) = jax.grad(loss, has_aux=True)(state.critic.params)
        rate = state.hyper.learning_rate.at(state.updates)
        critic = state.critic.descend(self.critic_optimizer, gradient, {}, rate)
        return state.replace(critic=critic), metrics, priority

    def _target(self, state: ModelBasedState, batch: Transition, key: jax.Array) -> jax.Array:
        """The n-step backup of the reduced target critics, in units of the present scale of rewards, [B, T]."""
        sample_key, smooth_key, reduce_key = streams(key, "next action", "smoothing", "reduce targets")
        encoder, hyper = state.encoder.target, state.hyper
        latent = self._embed(encoder, batch.next_observation)
        action, _ = self.policy.sample(self.actor.apply(state.actor.target, latent), sample_key)
        action = hyper.smoothing(action, smooth_key)
        following = self._values(encoder, state.critic.target, latent, action)
        reward, discount = n_step_return(batch.rewards, batch.steps, batch.terminated, hyper.discount)
        mixture = self.target_reduction(self.representation, jnp.moveaxis(following, 0, 1), reduce_key)
        scale = state.reward_scale
        return self.representation.target(reward / scale, discount * state.target_reward_scale / scale, *mixture)

    def _improve_actor(
        self, state: ModelBasedState, latent: jax.Array, key: jax.Array
    ) -> tuple[ModelBasedState, jax.Array]:
        sample_key, reduce_key = streams(key, "action", "reduce")
        representation = self.representation

        def loss(params: PyTree) -> jax.Array:
            outputs = self.actor.apply(params, latent)
            action, _ = self.policy.sample(outputs, sample_key)
            predictions = self._values(state.encoder.variables, state.critic.variables, latent, action)
            mixture = self.actor_reduction(representation, jnp.moveaxis(predictions, 0, 1), reduce_key)
            return state.hyper.action_penalty * jnp.mean(outputs**2) - jnp.mean(reduced_value(representation, mixture))

        value, gradient = jax.value_and_grad(loss)(state.actor.params)
        rate = state.hyper.learning_rate.at(state.updates)
        return state.replace(actor=state.actor.descend(self.optimizer, gradient, {}, rate)), value
