"""Uniform replay of sequences: of all that happened, or of transitions with the actions that followed."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.errors import require
from jaxq.replay.uniform import FINAL, TERMINATED, TRUNCATED, ReplayState, UniformReplay, ended_in
from jaxq.types import Segment, Transition


@dataclasses.dataclass(frozen=True)
class SequenceReplay(UniformReplay):
    """The ring of `UniformReplay`, which hands out whole `Segment`s of `n_step` steps in place of n-step transitions.

    Prioritized draws put themselves around it as around its base.
    """

    def window(self, state: ReplayState, row: jax.Array, env: jax.Array, weight: jax.Array) -> Segment:  # type: ignore[override]
        """The segments that start at these rows of the ring. All arguments [B]."""
        rows = (row + jnp.arange(self.n_step + 1)[:, None]) % self.rows  # [L + 1, B]
        envs = jnp.broadcast_to(env, rows.shape)
        seen = self._observation(state, rows.ravel(), envs.ravel())
        flags = state.flags[rows, envs]
        broken_off = (flags[1:] & FINAL != 0) & (flags[:-1] & TERMINATED == 0)
        flags = flags[:-1]
        return Segment(
            observation=jax.tree.map(lambda leaf: leaf.reshape(*rows.shape, *leaf.shape[1:]), seen),
            action=state.action[rows[:-1], envs[:-1]],
            reward=state.reward[rows[:-1], envs[:-1]],
            terminated=flags & TERMINATED != 0,
            truncated=(flags & TRUNCATED != 0) | broken_off,
            final=flags & FINAL != 0,
            weight=weight,
            index=row * self.num_envs + env,
            record=jax.tree.map(lambda ring: ring[rows[:-1], envs[:-1]], state.record),
        )


@dataclasses.dataclass(frozen=True)
class ActionSequenceReplay(UniformReplay):
    """The ring of `UniformReplay`, whose transitions hold the actions that were taken from their first step on.

    After an episode's end, or where it was broken off, its last action is repeated.

    Attributes:
      action_steps: T, how many actions.
    """

    action_steps: int = 1

    def __post_init__(self) -> None:
        require(self.action_steps >= 1, "action_steps", self.action_steps, "at least 1")
        super().__post_init__()

    @property
    def reach(self) -> int:
        """See `UniformReplay.reach`: the longer of return and actions."""
        return max(self.n_step, self.action_steps - 1)

    def window(self, state: ReplayState, row: jax.Array, env: jax.Array, weight: jax.Array) -> Transition:
        """See `UniformReplay.window`; `action` is [B, T, ...]."""
        steps = jnp.arange(self.action_steps)
        ended = ended_in(state.flags[(row[:, None] + steps) % self.rows, env[:, None]])
        last = jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1), self.action_steps - 1)
        rows = (row[:, None] + jnp.minimum(steps, last[:, None])) % self.rows
        return super().window(state, row, env, weight).replace(action=state.action[rows, env[:, None]])
