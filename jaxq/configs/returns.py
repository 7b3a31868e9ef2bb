"""How returns are represented."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax

from jaxq.bellman import Distributional, RiskSensitive, Scalar, Support
from jaxq.bellman.risk import CPW, CVaR, Distortion, Entropic, Power, RiskMeasure, Wang
from jaxq.configs.axis import Axis
from jaxq.errors import InputError, require
from jaxq.networks import ImplicitQuantileHead

RiskName = Literal["neutral", "cvar", "wang", "cpw", "power", "entropic"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Huber(Axis):
    """A scalar return."""

    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""

    def make_scalar(self) -> Scalar:
        """The representation.

        Raises:
          InputError: for a threshold that is not positive.
        """
        return Scalar(self.huber_threshold)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Atoms(Axis):
    """A return over fixed atoms."""

    v_min: float = -10.0
    """Lowest atom of the support."""
    v_max: float = 10.0
    """Highest atom of the support."""
    num_atoms: int = 51
    """Atoms of the support."""

    def make_support(self) -> Support:
        """The atoms.

        Raises:
          InputError: for numbers that they do not allow.
        """
        return Support(self.v_min, self.v_max, self.num_atoms)

    def largest_scaled_return(self) -> float:
        """How large returns may be, on either side, to which rewards are scaled: what the support holds on both.

        Raises:
          InputError: if it ends on one side of zero.
        """
        for name, value in (("v_min", -self.v_min), ("v_max", self.v_max)):
            allowed = "on its side of zero, since scaled returns may be on either"
            require(value > 0, name, getattr(self, name), allowed)
        return min(-self.v_min, self.v_max)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantileHuber(Axis):
    """The loss of a return by quantiles."""

    huber_threshold: float = 1.0
    """Where the quantile loss turns from square to linear; 0 for the plain quantile loss."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fractions(QuantileHuber):
    """A return by quantiles at sampled fractions."""

    num_fractions: int = 64
    """Fractions sampled for predictions and for targets."""
    num_act_fractions: int = 32
    """Fractions sampled to choose an action."""

    def make_head(self, num_actions: int, hidden: int, **further: Any) -> ImplicitQuantileHead:
        """The head that samples them, with so many units in its hidden layer; `further` as of the head."""
        return ImplicitQuantileHead(num_actions, hidden, self.num_fractions, self.num_act_fractions, **further)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Risk(Axis):
    """What a return is worth to who knows its distribution."""

    risk: RiskName = "neutral"
    """What a distribution is worth."""
    risk_level: float | None = None
    """Its number: η of cvar (0.25 unless given), of wang (-0.75) and power (-2), which are averse where it is negative,
    and of cpw (0.71); β of entropic (1), which seeks risk where it is negative."""

    def valued(self, representation: Distributional) -> Distributional:
        """The representation, its actions valued as the configuration asks.

        Raises:
          InputError: for a number that the measure does not allow.
        """
        measure = self._measure()
        return representation if measure is None else RiskSensitive(representation, measure)

    def make_distortion(self) -> Callable[[jax.Array], jax.Array] | None:
        """Where in the distribution the measure looks, if it is one that distorts probabilities.

        Raises:
          InputError: for a number that the measure does not allow.
        """
        measure = self._measure()
        return measure.fractions if isinstance(measure, Distortion) else None

    def _measure(self) -> RiskMeasure | None:
        if self.risk == "neutral":
            return None
        # Of those that the IQN paper plays with, averse ones and the one whose both tails weigh less.
        kinds: dict[str, tuple[Callable[[float], RiskMeasure], float]] = {
            "cvar": (CVaR, 0.25),
            "wang": (Wang, -0.75),
            "cpw": (CPW, 0.71),
            "power": (Power, -2.0),
            "entropic": (Entropic, 1.0),
        }
        kind, usual = kinds[self.risk]
        try:
            return kind(usual if self.risk_level is None else self.risk_level)
        except InputError as error:
            raise InputError(f"risk_level, for the measure {self.risk}: {error}", "risk_level") from None
