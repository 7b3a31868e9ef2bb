"""Uniform replay of sequences."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.replay.uniform import FINAL, TERMINATED, TRUNCATED, ReplayState, UniformReplay
from jaxq.types import Segment


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
