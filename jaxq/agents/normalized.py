"""Agents to whom observations and rewards are shown normalized, by running statistics of all there was."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import AgentWrapper, OffPolicyAgent, observed
from jaxq.envs.base import ArraySpec
from jaxq.errors import require
from jaxq.hyperparameters import require_in
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

    def after(
        self, batch: PyTree, counts: jax.Array | None = None, largest_count: float = float("inf")
    ) -> "RunningStatistics":
        """With a batch of observations more (Chan et al., 1983, eq. 2.1: the moments of a union).

        Args:
          batch: [B, ...].
          counts: [B] bool, those that are to count; all unless given.
          largest_count: what has been seen counts for at most so many observations, so that what is old fades.
        """
        if counts is None:
            counts = jnp.ones(jax.tree.leaves(batch)[0].shape[0], bool)
        size = jnp.sum(counts)
        count = self.count + size
        share = size / count

        def moments(mean: jax.Array, variance: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            if not jnp.issubdtype(x.dtype, jnp.floating):
                return mean, variance
            each = (counts / jnp.maximum(size, 1)).reshape(-1, *(1,) * (x.ndim - 1))
            own_mean = jnp.sum(each * x, axis=0)
            own_variance = jnp.sum(each * (x - own_mean) ** 2, axis=0)
            away = own_mean - mean
            between = share * (1.0 - share) * away**2
            return mean + share * away, (1.0 - share) * variance + share * own_variance + between

        both = jax.tree.map(moments, self.mean, self.variance, batch)
        mean, variance = jax.tree.transpose(jax.tree.structure(self.mean), jax.tree.structure((0, 0)), both)
        return RunningStatistics(jnp.minimum(count, largest_count), mean, variance)


@dataclasses.dataclass(frozen=True)
class InputWrapper(AgentWrapper):
    """Base of agents that are another one which is shown time steps otherwise, when it acts and when it learns.

    Their states have a `base`, the other's state. What they hold is part of it: each member of a population has its
    own, it is saved with the rest, and nothing but training moves it. What is replayed is seen as things stand when it
    is learned from. After rollouts things move when the rollout has been learned from, so that it is seen as it was
    when it was acted on.
    """

    def act(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Agent.act`."""
        return self.base.act(state.base, memory, self.shown(state, timestep), key)

    def exploit(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`."""
        return self.base.exploit(state.base, memory, self.shown(state, timestep), key)

    def watch(
        self, state: Any, memory: Any, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """See `OffPolicyAgent.watch`."""
        agent: OffPolicyAgent = self.base
        return agent.watch(state.base, memory, self.shown(state, timestep), action, key)

    def observe(self, state: Any, memory: Any, timestep: TimeStep) -> tuple[PyTree, PyTree]:
        """See `Agent.observe`: shown to the other agent, if it looks."""
        base, memory = observed(self.base, state.base, memory, self.shown(state, timestep))
        return state.replace(base=base), memory

    def update(self, state: Any, batch: Any, key: jax.Array) -> Any:
        """See `OffPolicyAgent.update` and `OnPolicyAgent.update`."""
        base, *told = self.base.update(state.base, self.learned_from(state, batch), key)
        return state.replace(base=base), *told

    def shown(self, state: Any, timestep: TimeStep) -> TimeStep:
        """A time step [..., *] as the other agent is shown it."""
        raise NotImplementedError

    def learned_from(self, state: Any, batch: Any) -> Any:
        """A batch as the other agent learns from it."""
        if isinstance(batch, Rollout):
            shown = functools.partial(self.shown, state)
            return batch.replace(timestep=shown(batch.timestep), following=shown(batch.following))
        return self.replayed(state, batch)

    def replayed(self, state: Any, batch: Transition | Segment) -> Any:
        """The same for what comes from replay."""
        raise NotImplementedError


class NormalizedState(struct.PyTreeNode):
    """State of a `Normalized` agent.

    Attributes:
      base: of the agent.
      statistics: of the observations.
    """

    base: PyTree
    statistics: RunningStatistics


@dataclasses.dataclass(frozen=True)
class Normalized(InputWrapper):
    """An agent that is shown `(o - mean) / sqrt(variance + ε)`, clipped, in place of observations o of floats.

    Every observation counts that is shown in training, also the one that an environment of EnvPool's, which cannot be
    reset from inside a program, repeats where physics blew up.

    Attributes:
      epsilon: ε.
      largest: normalized numbers are clipped to ± this; infinity for not at all.
    """

    epsilon: float = 1e-8
    largest: float = float("inf")

    def __post_init__(self) -> None:
        require(self.epsilon > 0, "epsilon", self.epsilon, "positive")
        require(self.largest > 0, "largest", self.largest, "positive")

    def init(self, key: jax.Array) -> NormalizedState:
        """See `Agent.init`."""
        return NormalizedState(self.base.init(key), RunningStatistics.start(self.observation_spec))

    def observe(self, state: NormalizedState, memory: PyTree, timestep: TimeStep) -> tuple[NormalizedState, PyTree]:
        """See `Agent.observe`."""
        state, memory = super().observe(state, memory, timestep)
        return state.replace(statistics=state.statistics.after(timestep.observation)), memory

    def normalized(self, statistics: RunningStatistics, observation: PyTree) -> PyTree:
        """Observations [..., *] as the agent is shown them."""

        def one(x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
            if not jnp.issubdtype(x.dtype, jnp.floating):
                return x
            return jnp.clip((x - mean) * jax.lax.rsqrt(variance + self.epsilon), -self.largest, self.largest)

        return jax.tree.map(one, observation, statistics.mean, statistics.variance)

    def shown(self, state: NormalizedState, timestep: TimeStep) -> TimeStep:
        """See `InputWrapper.shown`."""
        return timestep.replace(observation=self.normalized(state.statistics, timestep.observation))

    def replayed(self, state: NormalizedState, batch: Transition | Segment) -> Any:
        """See `InputWrapper.replayed`."""
        shown = functools.partial(self.normalized, state.statistics)
        if isinstance(batch, Segment):
            return batch.replace(observation=shown(batch.observation))
        return batch.replace(observation=shown(batch.observation), next_observation=shown(batch.next_observation))


@dataclasses.dataclass(frozen=True)
class NormalizedAsSeen(Normalized):
    """As `Normalized`, for rollouts of one step, but each observation counts before it is acted on.

    So does Gymnasium's `NormalizeObservation`. Of N observations none is then further than about √N deviations from
    their mean, where one that does not count yet may be anywhere. What is learned from are the same numbers that were
    acted on, and the observation that followed, which counts too. Evaluations count nothing.
    """

    def act(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Agent.act`."""
        return super().act(self._with(state, timestep.observation), memory, timestep, key)

    def learned_from(self, state: NormalizedState, batch: Any) -> Any:
        """See `InputWrapper.learned_from`.

        Raises:
          InputError: if the rollout has more steps.
        """
        steps = batch.timestep.first.shape[0]
        require(steps == 1, "rollout_steps", steps, "1, where an observation counts before it is acted on")
        now = self._with(state, jax.tree.map(lambda leaf: leaf[0], batch.timestep.observation))
        then = self._with(now, batch.following.observation)
        return batch.replace(timestep=self.shown(now, batch.timestep), following=self.shown(then, batch.following))

    @staticmethod
    def _with(state: NormalizedState, observation: PyTree) -> NormalizedState:
        return state.replace(statistics=state.statistics.after(observation))


class ScaledRewardsState(struct.PyTreeNode):
    """State of a `ScaledRewards` agent.

    Attributes:
      base: of the agent.
      statistics: of discounted sums of rewards G.
      largest: [] the largest |G| so far.
    """

    base: PyTree
    statistics: RunningStatistics
    largest: jax.Array


class ScaledRewardsMemory(struct.PyTreeNode):
    """Memory of a `ScaledRewards` agent.

    Attributes:
      base: of the agent.
      returns: [E] G, the discounted sum of each environment's rewards so far.
      ended: [E] bool, the newest of them was an episode's last.
    """

    base: PyTree
    returns: jax.Array
    ended: jax.Array


@dataclasses.dataclass(frozen=True)
class ScaledRewards(InputWrapper):
    """An agent whose rewards are divided by `max(sqrt(Var[G] + ε), max |G| / g_max)`, nothing being subtracted.

    G is the discounted sum of an environment's rewards up to a step, `G <- γ (1 - done) G + r`, and variance and
    maximum are over all steps of all its environments. So SimBaV2 (Lee et al., 2025) and FlashSAC (2026) keep returns
    within a support; without `g_max` this is the division by the deviation that is customary with PPO (Gymnasium's
    `NormalizeReward`). As in their code `done` is that of the step which brings r: what came before it is forgotten at
    an episode's last step, whose own reward goes on into the next episode. Nothing goes on from an episode that was
    broken off, as by physics that are no longer finite. The step that begins an episode has no reward and counts for
    nothing.

    Rewards of several channels are divided by one number, that of their sum.

    Attributes:
      discount: γ.
      g_max: the largest |G| after scaling; infinity for no such bound.
      epsilon: ε.
    """

    discount: float = 0.99
    g_max: float = float("inf")
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_in(0.0, 1.0, discount=self.discount)
        require(self.g_max > 0, "g_max", self.g_max, "positive")
        require(self.epsilon > 0, "epsilon", self.epsilon, "positive")

    def init(self, key: jax.Array) -> ScaledRewardsState:
        """See `Agent.init`."""
        return ScaledRewardsState(self.base.init(key), RunningStatistics.start(ArraySpec(())), jnp.float32(0))

    def init_memory(self, num_envs: int) -> ScaledRewardsMemory:
        """See `Agent.init_memory`."""
        return ScaledRewardsMemory(self.base.init_memory(num_envs), jnp.zeros(num_envs), jnp.zeros(num_envs, bool))

    def act(
        self, state: ScaledRewardsState, memory: ScaledRewardsMemory, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, ScaledRewardsMemory, PyTree]:
        """See `Agent.act`."""
        action, base, record = super().act(state, memory.base, timestep, key)
        return action, memory.replace(base=base), record

    def exploit(
        self, state: ScaledRewardsState, memory: ScaledRewardsMemory, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, ScaledRewardsMemory]:
        """See `Agent.exploit`."""
        action, base = super().exploit(state, memory.base, timestep, key)
        return action, memory.replace(base=base)

    def watch(
        self,
        state: ScaledRewardsState,
        memory: ScaledRewardsMemory,
        timestep: TimeStep,
        action: jax.Array,
        key: jax.Array,
    ) -> tuple[ScaledRewardsMemory, PyTree]:
        """See `OffPolicyAgent.watch`."""
        base, record = super().watch(state, memory.base, timestep, action, key)
        return memory.replace(base=base), record

    def observe(
        self, state: ScaledRewardsState, memory: ScaledRewardsMemory, timestep: TimeStep
    ) -> tuple[ScaledRewardsState, ScaledRewardsMemory]:
        """See `Agent.observe`."""
        state, base = super().observe(state, memory.base, timestep)
        counts = ~timestep.first
        returns = self.discount * (1.0 - timestep.last) * memory.returns + timestep.total_reward
        returns = jnp.where(counts, returns, jnp.where(memory.ended, memory.returns, 0.0))
        state = state.replace(
            statistics=state.statistics.after(returns, counts),
            largest=jnp.maximum(state.largest, jnp.max(jnp.where(counts, jnp.abs(returns), 0.0))),
        )
        return state, ScaledRewardsMemory(base, returns, timestep.last)

    def scale(self, state: ScaledRewardsState) -> jax.Array:
        """What rewards are divided by, []."""
        return jnp.maximum(jnp.sqrt(state.statistics.variance + self.epsilon), state.largest / self.g_max)

    def shown(self, state: ScaledRewardsState, timestep: TimeStep) -> TimeStep:
        """See `InputWrapper.shown`."""
        return timestep.replace(reward=timestep.reward / self.scale(state))

    def learned_from(self, state: ScaledRewardsState, batch: Any) -> Any:
        """See `InputWrapper.learned_from`."""
        if isinstance(batch, Rollout):
            batch = batch.replace(memory=batch.memory.base)
        return super().learned_from(state, batch)

    def replayed(self, state: ScaledRewardsState, batch: Transition | Segment) -> Any:
        """See `InputWrapper.replayed`."""
        if isinstance(batch, Segment):
            return batch.replace(reward=batch.reward / self.scale(state))
        return batch.replace(rewards=batch.rewards / self.scale(state))
