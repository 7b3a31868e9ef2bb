"""Returns and lengths of training episodes, tracked on the device."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.lanes import by_lane
from jaxq.types import TimeStep


class EpisodeStatistics(struct.PyTreeNode):
    """Running episodes of a flat batch, and sums over those that ended since the last report.

    Attributes:
      current_return: [N * E] rewards so far of the running episode.
      current_length: [N * E] its steps so far.
      finished_return, finished_length, finished: [N * E] sums over ended episodes, and their number.
    """

    current_return: jax.Array
    current_length: jax.Array
    finished_return: jax.Array
    finished_length: jax.Array
    finished: jax.Array

    @classmethod
    def start(cls, batch: int) -> "EpisodeStatistics":
        """Nothing seen yet."""
        return cls(*(jnp.zeros(batch, jnp.float32) for _ in range(5)))

    def observe(self, timestep: TimeStep) -> "EpisodeStatistics":
        """Take in one step of every environment."""
        going_on = 1.0 - timestep.first
        current_return = self.current_return * going_on + timestep.total_reward
        current_length = (self.current_length + 1.0) * going_on
        last = timestep.last.astype(jnp.float32)
        return EpisodeStatistics(
            current_return,
            current_length,
            self.finished_return + last * current_return,
            self.finished_length + last * current_length,
            self.finished + last,
        )

    def report(self, members: int) -> tuple["EpisodeStatistics", dict[str, jax.Array]]:
        """Means by member over the episodes ended since the last report (NaN if none), and the sums set back."""
        total = by_lane(self, members)
        episodes = total.finished.sum(axis=1)
        metrics = {
            "episode_return": total.finished_return.sum(axis=1) / episodes,
            "episode_length": total.finished_length.sum(axis=1) / episodes,
            "episodes": episodes,
        }
        zeros = jnp.zeros_like(self.finished)
        return self.replace(finished_return=zeros, finished_length=zeros, finished=zeros), metrics
