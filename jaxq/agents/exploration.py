"""Exploration of agents with discrete actions: how action values become behaviour.

A strategy is a pytree whose numbers are leaves, so that a population can explore in as many ways as it has members.
What it must remember from step to step is made by `init` and handed on by `select`.
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.schedules import LinearSchedule
from jaxq.errors import require
from jaxq.types import TimeStep


class EpsilonGreedy(struct.PyTreeNode):
    """Uniformly random with probability ε, else greedy.

    Attributes:
      epsilon: ε by environment steps of the member, counted from the end of the warm-up.
    """

    epsilon: LinearSchedule

    @classmethod
    def decaying(cls, initial: float, final: float, steps: float) -> "EpsilonGreedy":
        """ε falling linearly over so many environment steps.

        Raises:
          InputError: unless both ends are in [0, 1] and there is at least one step.
        """
        require(0 <= initial <= 1, "epsilon_initial", initial, "in [0, 1]")
        require(0 <= final <= 1, "epsilon_final", final, "in [0, 1]")
        require(steps >= 1, "epsilon_steps", steps, "at least 1")
        return cls(LinearSchedule(initial, final, steps))

    def init(self, num_envs: int) -> jax.Array:
        """Steps taken so far: none."""
        del num_envs
        return jnp.int32(0)

    def select(
        self, steps: jax.Array, values: jax.Array, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Actions [E] for values [E, A]."""
        del timestep
        num_envs, num_actions = values.shape
        epsilon = self.epsilon.at(steps)
        # One uniform number decides both whether to explore and, rescaled, which action to take.
        u = jax.random.uniform(key, (num_envs,))
        at_random = jnp.minimum((u / jnp.maximum(epsilon, 1e-9) * num_actions).astype(jnp.int32), num_actions - 1)
        return jnp.where(u < epsilon, at_random, jnp.argmax(values, axis=-1).astype(jnp.int32)), steps + num_envs
