"""Agents for whom what their rewards cost counts little at first."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.normalized import InputWrapper
from jaxq.errors import require
from jaxq.hyperparameters import OF_THE_RUN
from jaxq.types import PyTree, Segment, TimeStep, Transition


class RisingCostsState(struct.PyTreeNode):
    """State of a `RisingCosts` agent.

    Attributes:
      base: of the agent.
      steps: [] uint32, steps of its environments so far, as far as they are counted.
    """

    base: PyTree
    steps: jax.Array = struct.field(metadata=OF_THE_RUN)


@dataclasses.dataclass(frozen=True)
class RisingCosts(InputWrapper):
    """An agent that learns from `gains + w costs`, w rising from its first value to 1 by equal factors.

    Robots whose rewards are cut off at zero, as MuJoCo Playground's, are paid nothing while they fall about, and what
    they are paid for standing still is then all that is learned. Where costs count little at first, movement pays, and
    is made cheaper later: the penalty curriculum of those who train such robots for the real world (Hwangbo et al.,
    Learning agile and dynamic motor skills for legged robots, 2019, whose factor never quite comes to 1). By equal
    factors it stays small as long as there is no gait.

    Rewards are of two channels: gains, and costs as numbers below zero (`costs_apart` of EnvPool's environments). In
    the end their sum is learned from: the environment's own reward before it is cut off. Rewards without channels, as
    those of evaluations, stay as they are. What is replayed is weighed as things stand when it is learned from.

    Attributes:
      initial_cost_weight: w before the first step.
      cost_steps: of all environments of a member, after which w is 1.
    """

    initial_cost_weight: float = 0.05
    cost_steps: int = 10_000_000

    def __post_init__(self) -> None:
        initial, steps = self.initial_cost_weight, self.cost_steps
        require(0.0 < initial <= 1.0, "initial_cost_weight", initial, "in (0, 1]")
        require(0 < steps < 2**31, "cost_steps", steps, "positive and below 2^31")

    def init(self, key: jax.Array) -> RisingCostsState:
        """See `Agent.init`."""
        return RisingCostsState(self.base.init(key), jnp.uint32(0))

    def observe(self, state: RisingCostsState, memory: PyTree, timestep: TimeStep) -> tuple[RisingCostsState, PyTree]:
        """See `Agent.observe`."""
        state, memory = super().observe(state, memory, timestep)
        return state.replace(steps=jnp.minimum(state.steps + timestep.first.shape[0], self.cost_steps)), memory

    def weight(self, state: RisingCostsState) -> jax.Array:
        """w, []."""
        return self.initial_cost_weight ** (1.0 - state.steps / self.cost_steps)

    def weighed(self, state: RisingCostsState, reward: jax.Array, axes: int) -> jax.Array:
        """Rewards as the agent is shown them, [...].

        Args:
          state: of this agent.
          reward: [...], or [..., 2], gains and costs.
          axes: how many `...` stands for.

        Raises:
          InputError: for other channels.
        """
        if reward.ndim == axes:
            return reward
        require(reward.shape[-1] == 2, "channels of rewards", reward.shape[-1], "2, gains and costs")
        return reward[..., 0] + self.weight(state) * reward[..., 1]

    def shown(self, state: RisingCostsState, timestep: TimeStep) -> TimeStep:
        """See `InputWrapper.shown`."""
        return timestep.replace(reward=self.weighed(state, timestep.reward, timestep.first.ndim))

    def replayed(self, state: RisingCostsState, batch: Transition | Segment) -> Any:
        """See `InputWrapper.replayed`."""
        if isinstance(batch, Segment):
            return batch.replace(reward=self.weighed(state, batch.reward, axes=2))
        return batch.replace(rewards=self.weighed(state, batch.rewards, axes=2))
