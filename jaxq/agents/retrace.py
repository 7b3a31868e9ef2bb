"""Q-learning from replayed sequences, corrected for what behaviour was: Retrace(λ).

Munos et al., Safe and Efficient Off-Policy Reinforcement Learning, 2016. How likely each action was when it was taken
is recorded beside it.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.base import LearnerState
from jaxq.agents.decompositions import Undivided
from jaxq.agents.exploration import Stochastic
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.bellman import ScalarTarget, as_given, retrace_return
from jaxq.bellman.arithmetic import chosen, value_of
from jaxq.errors import require
from jaxq.hyperparameters import Share
from jaxq.keys import streams
from jaxq.types import Metrics, PyTree, Segment, TimeStep

SMALLEST = 1e-8  # probability of an action, to divide by


class RetraceHyperparameters(QLearningHyperparameters):
    """The numbers of the agent; each is a leaf of its state.

    Attributes:
      trace: λ in [0, 1], 1 in the paper.
    """

    trace: Share = 1.0


@dataclasses.dataclass(frozen=True)
class RetraceQLearning(QLearning):
    """Q-learning on Retrace targets, of which every step of a sequence has its own.

    The target policy is the operator's on the target network's values: greedy for `Maximum`, ε-greedy for `Expected`,
    a softmax for `Soft`. An operator's bonuses are added step by step.

    Attributes:
      hyper: initial hyperparameters; the exploration is one whose probabilities are known.
      representation: of the return; one that learns a scalar target.
    """

    hyper: RetraceHyperparameters
    representation: ScalarTarget

    def __post_init__(self) -> None:
        super().__post_init__()
        exploration = self.hyper.exploration
        known = isinstance(exploration, Stochastic)
        require(known, "exploration", type(exploration).__name__, "one whose probabilities are known: not held actions")
        whole = self.actions == Undivided()
        require(whole, "actions", type(self.actions).__name__, "undivided, whose probabilities are those of one choice")
        require(self.channels is as_given, "channels", self.channels, "those of the rewards as they are given")

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, jax.Array]:
        """See `OffPolicyAgent.act`; recorded is the probability of the action taken, [E]."""
        network_key, explore_key = streams(key, "network", "explore")
        values = self.representation.value(self.predict(state.params, timestep.observation, "act", network_key))
        exploration: Stochastic = state.hyper.exploration
        action, after = exploration.select(memory, values, timestep, explore_key)
        return action, after, value_of(exploration.probabilities(memory, values), action)

    def watch(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """See `OffPolicyAgent.watch`: every action is as likely as any other."""
        predictions = self.predict(state.params, timestep.observation, "act", key)  # for their shape alone
        return memory, jnp.full(action.shape, 1.0 / predictions.shape[1])

    def update(  # type: ignore[override]
        self, state: LearnerState, batch: Segment, key: jax.Array
    ) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`; a sequence's importance weight and priority are one number."""
        hyper: Any = state.hyper
        target_key, online_key, learn_key = streams(key, "target", "next action", "learn")
        length, size = batch.final.shape

        def values(params: PyTree, key: jax.Array) -> jax.Array:  # [L + 1, B, A]
            predictions = self._over_time(params, batch.observation, "act", key)
            return self.representation.value(predictions)

        q = values(state.target_params, target_key)
        policy = hyper.operator.weights(values(state.params, online_key)[1:], q[1:])
        ended = batch.terminated | batch.truncated
        discount = hyper.discount * (1.0 - batch.terminated)
        reward = hyper.learned(batch.reward) + hyper.operator.bonus(q[:-1], batch.action, discount, q[1:])
        # Of the action after the last step nothing is known, and that after an episode's end was ignored.
        next_action = jnp.concatenate([batch.action[1:], batch.action[-1:]])
        going_on = jnp.concatenate([~ended[:-1], jnp.zeros_like(ended[-1:])])
        likely = jnp.concatenate([batch.record[1:], batch.record[-1:]])
        ratio = going_on * value_of(policy, next_action) / jnp.maximum(likely, SMALLEST)
        next_values = jnp.sum(policy * q[1:], axis=-1)
        returns = retrace_return(reward, discount, value_of(q[1:], next_action), next_values, ratio, hyper.trace)
        target = jax.lax.stop_gradient(self.representation.encode(returns.ravel()))
        counts = 1.0 - batch.final

        def loss(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            predictions = self._over_time(params, jax.tree.map(lambda x: x[:-1], batch.observation), "learn", learn_key)
            prediction = chosen(predictions, batch.action).reshape(length * size, -1)
            losses = counts * self.representation.loss(prediction, target).reshape(length, size)
            priority = counts * self.representation.priority(prediction, target).reshape(length, size)
            value = jnp.mean(batch.weight * losses.mean(axis=0))
            mean_q = jnp.mean(self.representation.value(prediction))
            return value, ({"loss": value, "mean_q": mean_q}, priority.mean(axis=0))

        gradient, (metrics, priority) = jax.grad(loss, has_aux=True)(state.params)
        return state.descend(self.optimizer, gradient).follow(), metrics, priority

    def _over_time(self, params: PyTree, observation: PyTree, mode: Any, key: jax.Array) -> jax.Array:
        """Predictions of observations [T, B, ...]: [T, B, A, W]."""
        steps, size = jax.tree.leaves(observation)[0].shape[:2]
        flat = jax.tree.map(lambda x: x.reshape(steps * size, *x.shape[2:]), observation)
        predictions = self.predict(params, flat, mode, key)
        return predictions.reshape(steps, size, *predictions.shape[1:])
