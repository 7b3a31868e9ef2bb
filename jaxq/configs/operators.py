"""What of the next state's actions is backed up."""

import dataclasses
from typing import Literal

from jaxq.bellman import operators
from jaxq.configs.axis import Axis
from jaxq.errors import require

GREEDY: dict[str, type[operators.Maximum] | type[operators.Double]] = {
    "max": operators.Maximum,
    "double": operators.Double,
}


def _expected(epsilon: float) -> operators.Expected:
    require(0 <= epsilon <= 1, "policy_epsilon", epsilon, "in [0, 1]")
    return operators.Expected(epsilon)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GreedyOperator(Axis):
    """A choice of Bellman operators that back up one action, for returns of which those of several have no mean."""

    operator: Literal["max", "double"] = "max"
    """What of the next state's actions is backed up; double takes the learner's action and the target's value."""

    def make_operator(self) -> operators.Operator:
        """The operator."""
        return GREEDY[self.operator]()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainOperator(Axis):
    """A choice of Bellman operators that add nothing to rewards, for returns of several channels."""

    operator: Literal["max", "double", "expected"] = "max"
    """What of the next state's actions is backed up; double takes the learner's action and the target's value."""
    policy_epsilon: float = 0.05
    """ε of the expected operator, whose policy is ε-greedy."""

    def make_operator(self) -> operators.Operator:
        """The operator.

        Raises:
          InputError: for numbers that it does not allow.
        """
        return _expected(self.policy_epsilon) if self.operator == "expected" else GREEDY[self.operator]()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator(Axis):
    """A choice of all Bellman operators."""

    operator: Literal["max", "double", "expected", "soft", "munchausen", "advantage", "mellowmax"] = "max"
    """What of the next state's actions is backed up; double takes the learner's action and the target's value."""
    policy_epsilon: float = 0.05
    """ε of the expected operator, whose policy is ε-greedy."""
    temperature: float = 0.03
    """τ of the soft and munchausen operators, 1/ω of mellowmax."""
    bonus_scale: float = 0.9
    """α of the munchausen and advantage operators."""
    bonus_floor: float = -1.0
    """l0 of munchausen, below which the log-policy is clipped."""

    def make_operator(self) -> operators.Operator:
        """The operator.

        Raises:
          InputError: for numbers that it does not allow.
        """
        match self.operator:
            case "max" | "double":
                return GREEDY[self.operator]()
            case "expected":
                return _expected(self.policy_epsilon)
            case "soft":
                return operators.Soft(self._positive_temperature)
            case "munchausen":
                require(self.bonus_floor < 0, "bonus_floor", self.bonus_floor, "negative")
                return operators.Munchausen(self._positive_temperature, self._share, self.bonus_floor)
            case "advantage":
                return operators.AdvantageLearning(self._share)
            case "mellowmax":
                return operators.Mellowmax(1.0 / self._positive_temperature)

    @property
    def _positive_temperature(self) -> float:
        require(0 < self.temperature < float("inf"), "temperature", self.temperature, "positive and finite")
        return self.temperature

    @property
    def _share(self) -> float:
        require(0 <= self.bonus_scale < 1, "bonus_scale", self.bonus_scale, "in [0, 1)")
        return self.bonus_scale
