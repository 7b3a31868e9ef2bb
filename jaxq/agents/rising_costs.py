"""Agents for whom what their rewards cost counts little at first."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.normalized import AgentAround
from jaxq.errors import require
from jaxq.types import PyTree, Segment, TimeStep, Transition


class RisingCostsState(struct.PyTreeNode):
    """State of a `RisingCosts` agent.

    Attributes:
      base: of the agent.
      steps: [] uint32, steps of its environments so far, as far as they are counted.
    """

    base: PyTree
    steps: jax.Array


@dataclasses.dataclass(frozen=True)
class RisingCosts(AgentAround):
    """An agent that learns from `gains + w costs`, w rising from `initial` to 1 by equal factors in `steps` steps.

    Robots whose rewards are cut off at zero, as MuJoCo Playground's, are paid nothing while they fall about, and what
    they are paid for standing still is then all that is learned. Where costs count little at first, movement pays, and
    is made cheaper later: the penalty curriculum of those who train such robots for the real world (Hwangbo et al.,
    Learning agile and dynamic motor skills for legged robots, 2019, whose factor never quite comes to 1). By equal
    factors it stays small as long as there is no gait.

    Rewards are of two channels, gains and costs, which are negative (`costs_apart` of EnvPool's environments). In the
    end their sum is learned from: the environment's own reward before it is cut off. Rewards of one channel, as those
    of evaluations, stay as they are. What is replayed is weighed as things stand when it is learned from.

    Attributes:
      initial: w before the first step.
      steps: of all environments of a member, after which w is 1.
    """

    initial: float = 0.05
    steps: int = 10_000_000

    def __post_init__(self) -> None:
        require(0.0 < self.initial <= 1.0, "initial", self.initial, "in (0, 1]")
        require(0 < self.steps < 2**31, "steps", self.steps, "positive and below 2^31")

    def init(self, key: jax.Array) -> RisingCostsState:
        """See `Actor.init`."""
        return RisingCostsState(self.base.init(key), jnp.uint32(0))

    def observe(self, state: RisingCostsState, memory: PyTree, timestep: TimeStep) -> tuple[RisingCostsState, PyTree]:
        """See `Actor.observe`."""
        state, memory = super().observe(state, memory, timestep)
        steps = jnp.minimum(state.steps + timestep.first.shape[0], self.steps)
        return state.replace(steps=steps.astype(jnp.uint32)), memory

    def weight(self, state: RisingCostsState) -> jax.Array:
        """w, []."""
        return self.initial ** (1.0 - state.steps / self.steps)

    def weighed(self, state: RisingCostsState, reward: jax.Array) -> jax.Array:
        """Rewards [..., 2] as the agent is shown them, [...]."""
        return reward[..., 0] + self.weight(state) * reward[..., 1]

    def shown(self, state: RisingCostsState, timestep: TimeStep) -> TimeStep:
        """See `AgentAround.shown`."""
        if timestep.reward.ndim == timestep.first.ndim:
            return timestep
        return timestep.replace(reward=self.weighed(state, timestep.reward))

    def replayed(self, state: RisingCostsState, batch: Transition | Segment) -> Any:
        """See `AgentAround.replayed`."""
        if isinstance(batch, Segment):
            return batch.replace(reward=self.weighed(state, batch.reward))
        return batch.replace(rewards=self.weighed(state, batch.rewards))
