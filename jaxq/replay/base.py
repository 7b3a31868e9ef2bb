"""The Replay contract. Its functions are written for one member of a population."""

from typing import Any, Protocol

import jax

from jaxq.types import PyTree, TimeStep, Transition


class Replay(Protocol):
    """What the off-policy loop needs of a replay. `E` is the number of environments of a member."""

    @property
    def batch_size(self) -> int:
        """B, transitions in a sample."""

    @property
    def capacity(self) -> int:
        """Transitions held."""

    @property
    def minimum_size(self) -> int:
        """Transitions a warm-up must add before the first sample."""

    @property
    def population_axes(self) -> Any:
        """Where the member axis of each leaf of the state is; None for leaves that all members share."""

    @property
    def environment_axes(self) -> Any:
        """Where the environments' axis of each leaf of a member's state is; None for leaves that have none."""

    def init(self, timestep: TimeStep, action: jax.Array, record: PyTree) -> PyTree:
        """An empty replay for time steps, actions and an agent's records like these, [E, ...]."""

    def add(self, state: Any, timestep: TimeStep, action: jax.Array, record: PyTree, following: TimeStep) -> PyTree:
        """Write what was seen, the action taken there, the agent's record of it, and what came of it: [E, ...]."""

    def seal(self, state: Any) -> PyTree:
        """Make the newest rows the ends of their episodes."""

    def renewed(self, state: Any) -> PyTree:
        """As an agent finds it that knows nothing: what was seen stays, what another thought of it does not."""

    def sample(self, state: Any, key: jax.Array) -> Transition:
        """A batch of transitions."""

    def update_priorities(self, state: Any, index: jax.Array, priority: jax.Array) -> PyTree:
        """Give sampled transitions [B] new priorities [B]."""
