"""Replay."""

import dataclasses

from jaxq.configs.axis import Axis


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
