"""Stacks of the last few frames, so that a single frame's motion can be seen."""

import jax
import jax.numpy as jnp

from jaxq.envs.base import Environment, ObservationSpec
from jaxq.types import PyTree, TimeStep


class FrameStack(Environment):
    """Observations become the last `frames` of the episode on a new last axis, oldest first, zero before its start.

    The spec says so (`ObservationSpec.frames`), and replay then stores each frame once and stacks when it samples.
    """

    def __init__(self, environment: Environment, frames: int):
        self.environment = environment
        self.frames = frames
        self.name = environment.name
        self.num_envs = environment.num_envs
        self.action_spec = environment.action_spec
        self.max_episode_steps = environment.max_episode_steps
        self.resumable = environment.resumable
        single = environment.observation_spec
        self.observation_spec = ObservationSpec((*single.shape, frames), single.dtype, frames)

    def reset(self, keys: jax.Array) -> tuple[PyTree, TimeStep]:
        """See `Environment.reset`."""
        state, timestep = self.environment.reset(keys)
        batch = timestep.first.shape[0]
        empty = jnp.zeros((batch, *self.observation_spec.shape), self.observation_spec.dtype)
        return self._push(state, empty, timestep)

    def step(self, state: PyTree, action: jax.Array) -> tuple[PyTree, TimeStep]:
        """See `Environment.step`."""
        inner, stack = state
        inner, timestep = self.environment.step(inner, action)
        first = timestep.first.reshape(-1, *(1,) * (stack.ndim - 1))
        return self._push(inner, jnp.where(first, jnp.zeros_like(stack), stack), timestep)

    def _push(self, inner: PyTree, stack: jax.Array, timestep: TimeStep) -> tuple[PyTree, TimeStep]:
        stack = jnp.concatenate([stack[..., 1:], timestep.observation[..., None]], axis=-1)
        return (inner, stack), timestep.replace(observation=stack)
