"""Replay."""

import dataclasses

from jaxq import replay
from jaxq.configs.axis import Axis
from jaxq.envs import Environment
from jaxq.schedules import LinearSchedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay(Axis):
    """What is kept, and how it is drawn."""

    batch_size: int = 64
    """Transitions in an update."""
    replay_capacity: int = 100_000
    """Transitions that the replay of each seed holds."""
    priority_exponent: float | None = None
    """α of prioritized replay; None draws uniformly."""
    importance_exponent: float = 0.4
    """β of prioritized replay's importance weights at the first update."""
    importance_exponent_final: float = 1.0
    """β at the end of the run, which it reaches linearly."""

    def make_replay(self, environment: Environment, members: int, n_step: int, updates: float) -> replay.Replay:
        """The replay of transitions of n steps of one of so many members; the run has so many updates.

        Raises:
          InputError: for numbers that it does not allow.
        """
        ring = replay.UniformReplay.for_environment(environment, members, **self._sizes(n_step))
        return self._prioritized(ring, updates)

    def make_action_sequences(
        self, environment: Environment, members: int, n_step: int, action_steps: int, updates: float
    ) -> replay.Replay:
        """The same with the actions of so many steps in every transition."""
        sizes = {**self._sizes(n_step), "action_steps": action_steps}
        return self._prioritized(replay.ActionSequenceReplay.for_environment(environment, members, **sizes), updates)

    def make_sequences(self, environment: Environment, members: int, length: int, updates: float) -> replay.Replay:
        """The same of whole sequences of this length."""
        ring = replay.SequenceReplay.for_environment(environment, members, **self._sizes(length))
        return self._prioritized(ring, updates)

    def _sizes(self, n_step: int) -> dict[str, int]:
        return {"capacity": self.replay_capacity, "batch_size": self.batch_size, "n_step": n_step}

    def _prioritized(self, ring: replay.UniformReplay, updates: float) -> replay.Replay:
        if self.priority_exponent is None:
            return ring
        importance = LinearSchedule(self.importance_exponent, self.importance_exponent_final, updates)
        return replay.PrioritizedReplay(ring, self.priority_exponent, importance)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NStep(Axis):
    """The length of a return."""

    n_step: int = 1
    """Rewards in a return before it bootstraps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sequences(Axis):
    """The length of what is replayed."""

    sequence_length: int = 8
    """Steps of a sequence."""
