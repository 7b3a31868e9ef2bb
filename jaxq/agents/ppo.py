"""Proximal policy optimization, and PG-Rainbow, whose critic is told the quantiles of the return.

Schulman et al., Proximal Policy Optimization Algorithms, 2017; PG-Rainbow: Using Distributional Reinforcement Learning
in Policy Gradient Methods, 2024.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import Epochs, LearnerState, init_params
from jaxq.agents.policies import CategoricalPolicy, StochasticPolicy
from jaxq.bellman import ImplicitQuantile, lambda_return
from jaxq.bellman.arithmetic import chosen
from jaxq.envs.base import ObservationSpec, example_observation
from jaxq.hyperparameters import (
    INFINITY,
    POSITIVE,
    Clip,
    Hyperparameters,
    NonNegative,
    Positive,
    Share,
    StepSize,
    require_in,
)
from jaxq.keys import streams
from jaxq.lanes import flat
from jaxq.networks import SAMPLES
from jaxq.types import Metrics, Network, PyTree, Rollout, TimeStep


class PPOHyperparameters(Hyperparameters):
    """The numbers of the agent; each is a leaf of its state. Defaults are those of OpenAI's baselines for Atari.

    The paper's are the same, but that it weighs the values' squared error by 1, where this weighs its half by 0.5.

    Attributes:
      learning_rate: step size of the optimizer, by updates.
      discount: γ in [0, 1].
      trace: λ of the generalized advantages.
      clip: ε, how far a ratio of probabilities counts.
      entropy_weight, value_weight, quantile_weight: of these parts of the loss; the last is PG-Rainbow's.
      reward_scale: rewards are multiplied by this before learning.
      reward_clip: and clipped to ± this; infinity for none.
    """

    learning_rate: StepSize
    discount: Share = 0.99
    trace: Share = 0.95
    clip: Clip = 0.1
    entropy_weight: NonNegative = 0.01
    value_weight: NonNegative = 0.5
    quantile_weight: NonNegative = 1.0
    reward_scale: Positive = 1.0
    reward_clip: Clip = INFINITY


class Acted(struct.PyTreeNode):
    """What is kept of acting.

    Attributes:
      outputs: of the policy, a tree of [E, ...].
      drawn: [E, ...] what the action was made of.
      value: [E].
    """

    outputs: PyTree
    drawn: jax.Array
    value: jax.Array


class Lesson(struct.PyTreeNode):
    """What a minibatch holds, [B, ...]: what was seen and done, and what came of it.

    Attributes:
      observation, drawn, weight: `drawn` is what the action was made of; `weight` is zero where it was ignored.
      log_probability: of the action when it was taken.
      value: of the state, as it was thought to be then.
      advantage, value_target: of the state and action, and of the state.
      reward, discount, next_observation, next_outputs: of the step, for one-step targets; the last are the policy's.
    """

    observation: PyTree
    drawn: jax.Array
    weight: jax.Array
    log_probability: jax.Array
    value: jax.Array
    advantage: jax.Array
    value_target: jax.Array
    reward: jax.Array
    discount: jax.Array
    next_observation: PyTree
    next_outputs: PyTree


ValueLoss = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def squared(value: jax.Array, before: jax.Array, target: jax.Array) -> jax.Array:
    """Half the squared error of values [B]; what they were before does not matter."""
    del before
    return 0.5 * (value - target) ** 2


def clipped_squared(clip: float) -> ValueLoss:
    """Half the squared error of values or of values within ± `clip` of what they were, whichever is larger.

    Not in the paper, but in OpenAI's baselines and CleanRL.

    Raises:
      InputError: unless `clip` is positive.
    """
    require_in(POSITIVE, INFINITY, value_clip=clip)

    def loss(value: jax.Array, before: jax.Array, target: jax.Array) -> jax.Array:
        near = before + jnp.clip(value - before, -clip, clip)
        return jnp.maximum(squared(value, before, target), squared(near, before, target))

    return loss


Advantage = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def generalized(value: jax.Array, returns: jax.Array, reward: jax.Array, then: jax.Array) -> jax.Array:
    """Generalized advantages (Schulman et al., 2016, eq. 16): of the λ-return over the value, each [T, E].

    Args:
      value: of the state.
      returns: the λ-return from it.
      reward: of the step.
      then: the λ-return from the next state, discounted; its value where nothing was seen of what came after.
    """
    del reward, then
    return returns - value


def generalized_from_next(value: jax.Array, returns: jax.Array, reward: jax.Array, then: jax.Array) -> jax.Array:
    """As of `generalized`, but the step itself counts in full, and λ from the next one on: so Brax has it."""
    del returns
    return reward + then - value


def normalized(advantage: jax.Array, weight: jax.Array) -> jax.Array:
    """Advantages [B] of a minibatch with the mean and deviation of those that count taken out.

    By minibatch and not by rollout, as in the implementations of PPO that are compared with (OpenAI's baselines,
    CleanRL, Stable-Baselines3).
    """
    count = jnp.maximum(jnp.sum(weight), 1.0)
    mean = jnp.sum(weight * advantage) / count
    std = jnp.sqrt(jnp.sum(weight * (advantage - mean) ** 2) / count)
    return (advantage - mean) / (std + 1e-8)


@dataclasses.dataclass(frozen=True)
class PPO:
    """PPO, with discrete or continuous actions.

    Where an episode is cut off its return ends in the value of the true final observation. (CleanRL's takes every end
    for a terminal state; Brax's, which does not see that observation, leaves the step out.)

    Attributes:
      network: [B, ...] -> the policy's outputs, values [B] and whatever `extra_loss` learns from.
      observation_spec: of one environment.
      optimizer: made without a learning rate.
      hyper: initial hyperparameters.
      epochs: in which a rollout is learned from.
      policy: what the outputs mean.
      value_loss: (values, what they were when acting, targets), each [B] -> [B].
      advantage: of actions, as `generalized`.
    """

    network: Network
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: PPOHyperparameters
    epochs: Epochs = Epochs(4, 4)  # noqa: RUF009
    policy: StochasticPolicy = dataclasses.field(default_factory=CategoricalPolicy)
    value_loss: ValueLoss = squared
    advantage: Advantage = generalized

    @property
    def updates_per_rollout(self) -> int:
        """See `OnPolicyAgent.updates_per_rollout`."""
        return self.epochs.updates

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`."""
        params = init_params(self.network, key, example_observation(self.observation_spec))
        return LearnerState.start(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`: none."""
        del num_envs
        return ()

    def _outputs(self, params: PyTree, observation: jax.Array, mode: str, key: jax.Array) -> Any:
        return self.network.apply(params, observation, mode, rngs={SAMPLES: key})

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, Acted]:
        """See `Agent.act`: a sample of the policy."""
        network_key, draw_key = streams(key, "network", "draw")
        outputs, value, _ = self._outputs(state.params, timestep.observation, "act", network_key)
        drawn = self.policy.draw(outputs, draw_key)
        return self.policy.action(drawn), memory, Acted(outputs, drawn, value)

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the policy's mode."""
        outputs, _, _ = self._outputs(state.params, timestep.observation, "exploit", key)
        return self.policy.mode(outputs), memory

    def lessons(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> Lesson:
        """A rollout as what is to be learned from it, [T * E, ...]."""
        hyper = state.hyper
        acted: Acted = rollout.record
        outputs, value, _ = self._outputs(state.params, rollout.following.observation, "act", key)
        next_outputs, next_value = jax.tree.map(
            lambda kept, last: jnp.concatenate([kept[1:], last[None]]), (acted.outputs, acted.value), (outputs, value)
        )
        reward = jnp.clip(hyper.reward_scale * rollout.arrived("reward"), -hyper.reward_clip, hyper.reward_clip)
        discount = hyper.discount * (1.0 - rollout.arrived("terminated"))
        trace = hyper.trace * (1.0 - rollout.arrived("truncated"))
        returns = lambda_return(reward, discount, next_value, trace)
        later = jnp.concatenate([returns[1:], next_value[-1:]])
        then = discount * jnp.where(rollout.arrived("truncated"), next_value, later)
        lesson = Lesson(
            observation=rollout.timestep.observation,
            drawn=acted.drawn,
            weight=1.0 - rollout.timestep.last,
            log_probability=self.policy.log_probability(acted.outputs, acted.drawn),
            value=acted.value,
            advantage=self.advantage(acted.value, returns, reward, then),
            value_target=returns,
            reward=reward,
            discount=discount,
            next_observation=rollout.arrived("observation"),
            next_outputs=next_outputs,
        )
        return flat(lesson)

    def update(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> tuple[LearnerState, Metrics]:
        """See `OnPolicyAgent.update`."""
        lessons_key, epochs_key = streams(key, "lessons", "epochs")
        lessons = self.lessons(state, rollout, lessons_key)
        behaviour = state.params

        def learn(state: LearnerState, now: tuple[Lesson, jax.Array]) -> tuple[LearnerState, Metrics]:
            lesson, key = now
            descent = jax.grad(self.objective, has_aux=True)
            gradient, metrics = descent(state.params, behaviour, state.hyper, lesson, key)
            return state.descend(self.optimizer, gradient), metrics

        return self.epochs.learn(learn, state, lessons, epochs_key)

    def objective(
        self, params: PyTree, behaviour: PyTree, hyper: PPOHyperparameters, lesson: Lesson, key: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """The clipped surrogate, the values' regression, the entropy bonus, and the extra loss (eq. 7 and 9)."""
        network_key, entropy_key, extra_key = streams(key, "network", "entropy", "extra loss")
        outputs, value, extra = self._outputs(params, lesson.observation, "learn", network_key)
        log_probability, entropies = self.policy.weigh(outputs, lesson.drawn, entropy_key)
        ratio = jnp.exp(log_probability - lesson.log_probability)
        clipped = jnp.clip(ratio, 1.0 - hyper.clip, 1.0 + hyper.clip)
        advantage = normalized(lesson.advantage, lesson.weight)
        gain = jnp.mean(lesson.weight * jnp.minimum(ratio * advantage, clipped * advantage))
        of_values = jnp.mean(lesson.weight * self.value_loss(value, lesson.value, lesson.value_target))
        entropy = jnp.mean(lesson.weight * entropies)
        of_extra = self.extra_loss(behaviour, hyper, lesson, extra, extra_key)
        loss = -gain + hyper.value_weight * of_values - hyper.entropy_weight * entropy + of_extra
        return loss, {"loss": loss, "value_loss": of_values, "entropy": entropy, "mean_value": jnp.mean(value)}

    def extra_loss(
        self, behaviour: PyTree, hyper: PPOHyperparameters, lesson: Lesson, extra: Any, key: jax.Array
    ) -> jax.Array:
        """What else is learned; nothing here."""
        del behaviour, hyper, lesson, extra, key
        return jnp.zeros(())


@dataclasses.dataclass(frozen=True)
class PGRainbow(PPO):
    """PPO with discrete actions, implicit quantiles of each one's return, and a critic that is told them.

    The quantiles regress one-step targets from the parameters that the rollout was made with, under its policy.

    Attributes:
      representation: of the quantiles.
    """

    representation: ImplicitQuantile = dataclasses.field(default_factory=ImplicitQuantile)

    def extra_loss(
        self, behaviour: PyTree, hyper: PPOHyperparameters, lesson: Lesson, extra: Any, key: jax.Array
    ) -> jax.Array:
        """See `PPO.extra_loss`: the quantile regression."""
        _, _, following = self._outputs(behaviour, lesson.next_observation, "target", key)
        next_policy = jax.nn.softmax(lesson.next_outputs)
        target = self.representation.target(lesson.reward, lesson.discount, following, next_policy)
        losses = self.representation.loss(chosen(extra, lesson.drawn), jax.lax.stop_gradient(target))
        return hyper.quantile_weight * jnp.mean(lesson.weight * losses)
