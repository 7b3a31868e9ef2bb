"""What rewards are worth to who learns from them."""

import dataclasses

from jaxq.configs.axis import Axis


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discount(Axis):
    """How the future counts."""

    discount: float = 0.99
    """γ, how much a reward one step later is worth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardClip(Axis):
    """A bound on rewards."""

    reward_clip: float = float("inf")
    """Rewards are clipped to plus or minus this."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardShift(Axis):
    """A constant on every reward."""

    reward_shift: float = 0.0
    """Added to every reward that is learned from; a negative one makes the start optimistic."""
