"""What becomes of a population's members between chunks."""

import dataclasses
from typing import Literal

from jaxq.configs.axis import Axis
from jaxq.errors import require
from jaxq.training.controllers import Controller, Halving, PopulationBased


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controlled(Axis):
    """A choice of controllers; the numbers in which a population's members differ are what they change."""

    controller: Literal["none", "pbt", "halving"] = "none"
    """pbt replaces the worst members by copies of the best with perturbed numbers, halving by new members; who is worst
    is told by the returns of training since the last decision."""
    turn_evaluations: int = 1
    """Evaluations after which the controller decides."""
    turn_fraction: float | None = None
    """Share that it replaces: of all members by pbt (0.2 unless given), by halving of those that have come as far (0.5,
    after 1, 2, 4, ... turns)."""
    perturbation: float = 1.2
    """By how much pbt multiplies or divides a number."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in dataclasses.fields(Controlled):
            value, chosen = getattr(self, field.name), self.controller
            obeyed = chosen == "pbt" or (chosen == "halving" and field.name != "perturbation")
            allowed = f"left out with --controller {chosen}, beside which it has no effect"
            require(obeyed or field.name == "controller" or value == field.default, field.name, value, allowed)

    def make_controller(self) -> Controller | None:
        """The controller.

        Raises:
          InputError: for numbers that it does not allow.
        """
        # What is left out, the controller has of its own.
        share = {} if self.turn_fraction is None else {"fraction": self.turn_fraction}
        match self.controller:
            case "none":
                return None
            case "pbt":
                return PopulationBased(**share, factor=self.perturbation, period=self.turn_evaluations)
            case "halving":
                return Halving(**share, period=self.turn_evaluations)
