"""Returns and lengths of training episodes, tracked on the device."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.lanes import by_lane
from jaxq.types import TimeStep, broken_off


class EpisodeStatistics(struct.PyTreeNode):
    """Running episodes of a flat batch, and sums over those that ended since the last report.

    Attributes:
      current_return: [N * E] rewards so far of the running episode, which is a whole one: of a game, and not of a life.
      current_length: [N * E] its steps so far.
      finished_return, finished_length, finished: [N * E] sums over ended episodes, and their number; those that were
        broken off count with what they came to.
      non_finite: [N * E] steps lost because what came of them was not finite.
    """

    current_return: jax.Array
    current_length: jax.Array
    finished_return: jax.Array
    finished_length: jax.Array
    finished: jax.Array
    non_finite: jax.Array

    @classmethod
    def start(cls, batch: int) -> "EpisodeStatistics":
        """Nothing seen yet."""
        return cls(*(jnp.zeros(batch, jnp.float32) for _ in range(6)))

    def with_fresh_episodes(self) -> "EpisodeStatistics":
        """The same where all running episodes are given up, and others begin."""
        nothing = jnp.zeros_like(self.current_return)
        return self.replace(current_return=nothing, current_length=nothing)

    def observe(self, timestep: TimeStep, following: TimeStep, over: jax.Array) -> "EpisodeStatistics":
        """Take in one step of every environment, from one TimeStep to the next; `over` is as of `Environment.over`."""
        lost = broken_off(timestep, following)
        current_return = self.current_return + following.total_reward  # of a first none
        current_length = self.current_length + ~following.first
        ended = (over | (lost & (current_length > 0))).astype(jnp.float32)
        return EpisodeStatistics(
            current_return * (1.0 - ended),
            current_length * (1.0 - ended),
            self.finished_return + ended * current_return,
            self.finished_length + ended * current_length,
            self.finished + ended,
            self.non_finite + lost,
        )

    def report(self, members: int) -> tuple["EpisodeStatistics", dict[str, jax.Array]]:
        """Means by member over the episodes ended since the last report (NaN if none), and the sums set back."""
        total = by_lane(self, members)
        episodes = total.finished.sum(axis=1)
        metrics = {
            "episode_return": total.finished_return.sum(axis=1) / episodes,
            "episode_length": total.finished_length.sum(axis=1) / episodes,
            "episodes": episodes,
            "non_finite_steps": total.non_finite.sum(axis=1),
        }
        zeros = jnp.zeros_like(self.finished)
        return self.replace(finished_return=zeros, finished_length=zeros, finished=zeros, non_finite=zeros), metrics
