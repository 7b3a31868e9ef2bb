"""How the parameters that targets are computed with follow those that learn."""

import dataclasses

from jaxq.agents import HardUpdate, IteratedQLearning, PolyakUpdate, QLearning, SoftWindow, WindowShift
from jaxq.configs.axis import Axis
from jaxq.errors import named


@dataclasses.dataclass(frozen=True, kw_only=True)
class Targets(Axis):
    """Copies, or an average that follows."""

    target_period: int = 500
    """Updates between two copies to the target network."""
    target_rate: float | None = None
    """Share by which the target network follows in every update, in place of copies."""

    def make_targets(self) -> HardUpdate | PolyakUpdate:
        """The schedule.

        Raises:
          InputError: for numbers that it does not allow.
        """
        with named(rate="target_rate", period="target_period"):
            return HardUpdate(self.target_period) if self.target_rate is None else PolyakUpdate(self.target_rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Averaging(Axis):
    """An average that follows."""

    target_rate: float = 0.005
    """τ, the share by which the target follows whenever it moves: in each update unless the method has it otherwise."""

    def make_average(self) -> PolyakUpdate:
        """The average of one network.

        Raises:
          InputError: for a share that it does not allow.
        """
        with named(rate="target_rate"):
            return PolyakUpdate(self.target_rate)

    def make_targets(self) -> PolyakUpdate:
        """The schedule of the critics.

        Raises:
          InputError: for a share that it does not allow.
        """
        return self.make_average()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain(Axis):
    """A chain of value functions, each learning the backup of the one before it."""

    links: int
    """K, value functions in the chain."""
    target_period: int = 500
    """T, updates between two shifts of the chain."""
    sync_period: int = 10
    """D, updates between two copies of the learners to the targets after them; at most target_period."""
    share_torso: bool = True
    """Whether the chain has its convolutions (or first layers) in common, as in the paper, or a network each."""

    def make_targets(self) -> WindowShift:
        """The schedule.

        Raises:
          InputError: for numbers that it does not allow.
        """
        with named(period="target_period"):
            return WindowShift(self.target_period, self.sync_period)

    def make_chain(self, base: QLearning) -> IteratedQLearning:
        """The chain whose links learn as `base` does.

        Raises:
          InputError: for numbers that it does not allow.
        """
        return IteratedQLearning(base, self.links, self.make_targets(), self.share_torso)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftChain(Averaging):
    """A chain of critics, each learning the backup of the one before it."""

    links: int = 4
    """K, critics (each an ensemble) in the chain."""
    sync_period: int = 1
    """D, updates between two copies of the learners to the targets after them."""

    def make_targets(self) -> SoftWindow:  # type: ignore[override]
        """The schedule.

        Raises:
          InputError: for numbers that it does not allow.
        """
        with named(rate="target_rate"):
            return SoftWindow(self.target_rate, self.sync_period)
