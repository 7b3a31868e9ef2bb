"""What of the next state's actions is backed up."""

import dataclasses
from typing import Literal

from jaxq.bellman import operators
from jaxq.configs.axis import Axis
from jaxq.errors import named
from jaxq.hyperparameters import FINITE, POSITIVE, require_in

OperatorName = Literal["max", "double", "expected", "soft", "munchausen", "advantage", "mellowmax"]

GREEDY: dict[str, type[operators.Maximum] | type[operators.Double]] = {
    "max": operators.Maximum,
    "double": operators.Double,
}


def _expected(epsilon: float) -> operators.Expected:
    with named(epsilon="policy_epsilon"):
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

    operator: OperatorName = "max"
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
        with named(scale="bonus_scale", floor="bonus_floor"):
            match self.operator:
                case "max" | "double":
                    return GREEDY[self.operator]()
                case "expected":
                    return _expected(self.policy_epsilon)
                case "soft":
                    return operators.Soft(self.temperature)
                case "munchausen":
                    return operators.Munchausen(self.temperature, self.bonus_scale, self.bonus_floor)
                case "advantage":
                    return operators.AdvantageLearning(self.bonus_scale)
                case "mellowmax":
                    require_in(POSITIVE, FINITE, temperature=self.temperature)
                    return operators.Mellowmax(1.0 / self.temperature)
