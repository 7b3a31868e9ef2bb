"""Agents that see observations normalized by running statistics of all that their environments have shown."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import Agent, OnPolicyAgent
from jaxq.errors import require
from jaxq.types import PyTree, Rollout, Segment, TimeStep, Transition


class RunningStatistics(struct.PyTreeNode):
    """Mean and variance of what was seen so far, number by number.

    Attributes:
      count: float32, observations seen.
      mean, variance: a tree of arrays as one observation is; those that are not of floats stay as they begin.
    """

    count: jax.Array
    mean: PyTree
    variance: PyTree

    @classmethod
    def start(cls, spec: PyTree) -> "RunningStatistics":
        """Before the first observation of this spec, which it leaves as it is: zero and one, with next to no weight."""
        zeros = jax.tree.map(lambda array: jnp.zeros(array.shape), spec)
        return cls(jnp.float32(1e-4), zeros, jax.tree.map(jnp.ones_like, zeros))

    def after(self, batch: PyTree) -> "RunningStatistics":
        """With a batch of observations [B, ...] more (Chan et al., 1983, eq. 2.1: the moments of a union)."""
        size = jax.tree.leaves(batch)[0].shape[0]
        count = self.count + size
        share = size / count

        def moments(mean: jax.Array, variance: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            if not jnp.issubdtype(x.dtype, jnp.floating):
                return mean, variance
            away = jnp.mean(x, axis=0) - mean
            between = share * (1.0 - share) * away**2
            return mean + share * away, (1.0 - share) * variance + share * jnp.var(x, axis=0) + between

        both = jax.tree.map(moments, self.mean, self.variance, batch)
        mean, variance = jax.tree.transpose(jax.tree.structure(self.mean), jax.tree.structure((0, 0)), both)
        return RunningStatistics(count, mean, variance)


class NormalizedState(struct.PyTreeNode):
    """State of a `Normalized` agent.

    Attributes:
      base: of the agent.
      statistics: of the observations.
    """

    base: PyTree
    statistics: RunningStatistics


@dataclasses.dataclass(frozen=True)
class Normalized:
    """An agent that is shown `(o - mean) / sqrt(variance + ε)`, clipped, in place of observations o of floats.

    The statistics are of the agent's state: each member of a population has its own, they are saved with it, and
    nothing but training moves them. What is replayed is normalized as things stand when it is learned from. After
    rollouts they move when the rollout has been learned from, so that it is seen as it was when it was acted on.

    Attributes:
      base: the agent, off-policy or on-policy.
      epsilon: ε.
      largest: normalized numbers are clipped to ± this; infinity for not at all.
    """

    base: Any
    epsilon: float = 1e-8
    largest: float = float("inf")

    def __post_init__(self) -> None:
        require(self.epsilon > 0, "epsilon", self.epsilon, "positive")
        require(self.largest > 0, "largest", self.largest, "positive")

    @property
    def updates_per_rollout(self) -> int:
        """See `OnPolicyAgent.updates_per_rollout`."""
        agent: OnPolicyAgent = self.base
        return agent.updates_per_rollout

    def init(self, key: jax.Array) -> NormalizedState:
        """See `Actor.init`."""
        return NormalizedState(self.base.init(key), RunningStatistics.start(self.base.observation_spec))

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Actor.init_memory`."""
        return self.base.init_memory(num_envs)

    def normalized(self, statistics: RunningStatistics, observation: PyTree) -> PyTree:
        """Observations [..., *] as the agent is shown them."""

        def one(x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
            if not jnp.issubdtype(x.dtype, jnp.floating):
                return x
            return jnp.clip((x - mean) * jax.lax.rsqrt(variance + self.epsilon), -self.largest, self.largest)

        return jax.tree.map(one, observation, statistics.mean, statistics.variance)

    def _shown(self, state: NormalizedState, timestep: TimeStep) -> TimeStep:
        return timestep.replace(observation=self.normalized(state.statistics, timestep.observation))

    def act(
        self, state: NormalizedState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Actor.act`."""
        return self.base.act(state.base, memory, self._shown(state, timestep), key)

    def exploit(
        self, state: NormalizedState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Actor.exploit`."""
        return self.base.exploit(state.base, memory, self._shown(state, timestep), key)

    def watch(
        self, state: NormalizedState, memory: PyTree, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """See `Agent.watch`."""
        agent: Agent = self.base
        return agent.watch(state.base, memory, self._shown(state, timestep), action, key)

    def observe(self, state: NormalizedState, timestep: TimeStep) -> NormalizedState:
        """See `Actor.observe`."""
        return state.replace(statistics=state.statistics.after(timestep.observation))

    def update(self, state: NormalizedState, batch: Any, key: jax.Array) -> Any:
        """See `Agent.update` and `OnPolicyAgent.update`."""
        base, *told = self.base.update(state.base, self._learned_from(state, batch), key)
        return state.replace(base=base), *told

    def _learned_from(self, state: NormalizedState, batch: Transition | Segment | Rollout) -> Any:
        shown = functools.partial(self.normalized, state.statistics)
        match batch:
            case Rollout():
                timestep, following = self._shown(state, batch.timestep), self._shown(state, batch.following)
                return batch.replace(timestep=timestep, following=following)
            case Segment():
                return batch.replace(observation=shown(batch.observation))
        return batch.replace(observation=shown(batch.observation), next_observation=shown(batch.next_observation))
