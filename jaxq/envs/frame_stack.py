"""Stacks of the last few frames, so that a single frame's motion can be seen."""

import jax
import jax.numpy as jnp

from jaxq.envs.base import ArraySpec, Environment, Wrapper, select
from jaxq.types import PyTree, TimeStep


class FrameStack(Wrapper):
    """Observations become the last `frames` of the episode on a new last axis, oldest first, zero before its start.

    The spec says so (`ArraySpec.frames`), and replay then stores each frame once and stacks when it samples.
    """

    def __init__(self, environment: Environment, frames: int):
        super().__init__(environment)
        self.frames = frames
        self.observation_spec = jax.tree.map(
            lambda spec: ArraySpec((*spec.shape, frames), spec.dtype, frames), environment.observation_spec
        )

    def reset(self, keys: jax.Array) -> tuple[PyTree, TimeStep]:
        """See `Environment.reset`."""
        state, timestep = self.environment.reset(keys)
        batch = timestep.first.shape[0]
        empty = jax.tree.map(lambda spec: jnp.zeros((batch, *spec.shape), spec.dtype), self.observation_spec)
        return self._push(state, empty, timestep)

    def step(self, state: PyTree, action: jax.Array) -> tuple[PyTree, TimeStep]:
        """See `Environment.step`."""
        inner, stacks = state
        inner, timestep = self.environment.step(inner, action)
        return self._push(inner, select(timestep.first, jax.tree.map(jnp.zeros_like, stacks), stacks), timestep)

    def over(self, state: PyTree, timestep: TimeStep) -> jax.Array:
        """See `Environment.over`."""
        return self.environment.over(state[0], timestep)

    def _push(self, inner: PyTree, stacks: PyTree, timestep: TimeStep) -> tuple[PyTree, TimeStep]:
        stacks = jax.tree.map(
            lambda stack, frame: jnp.concatenate([stack[..., 1:], frame[..., None]], axis=-1),
            stacks,
            timestep.observation,
        )
        return (inner, stacks), timestep.replace(observation=stacks)
