"""How agents with discrete actions explore."""

import dataclasses
from typing import Any, Literal

from jaxq.agents import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonZGreedy
from jaxq.agents.exploration import Exploration as Strategy
from jaxq.configs.axis import Axis
from jaxq.errors import named, require, warn

FALLING = {"epsilon": EpsilonGreedy, "epsilon_z": EpsilonZGreedy, "boltzmann": Boltzmann}
# Of the field that falls, whatever it is called.
FLAGS = {
    f"{number}{end}": f"epsilon{end or '_initial'}"
    for number in ("epsilon", "temperature")
    for end in ("", "_final", "_steps")
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epsilon(Axis):
    """Exploration that falls."""

    epsilon_initial: float = 1.0
    """Exploration after the warm-up; of boltzmann the temperature."""
    epsilon_final: float = 0.05
    """Exploration in the end; of boltzmann the temperature."""
    epsilon_steps: int | float = 10_000
    """Steps of each seed over which exploration falls; as a fraction (0.1, 1.0) a share of those after the warm-up."""

    def make_falling(self, kind: Any, **further: Any) -> Any:
        """A strategy of a kind that has `decaying`, whose other fields are `further`.

        Raises:
          InputError: for numbers that it does not allow.
        """
        with named(**FLAGS):
            return kind.decaying(*self.falling(), **further)

    def falling(self) -> tuple[float, float, float]:
        """From where, to where, and in how many steps; of a run that has fewer it warns.

        Raises:
          InputError: for a fraction that is none.
        """
        own: Any = self
        after_warmup = max(own.total_steps - getattr(own, "warmup_steps", 0), 1)
        steps = self.epsilon_steps
        if isinstance(steps, float):
            require(0 < steps <= 1, "epsilon_steps", steps, "a whole number of steps, or a share of the run in (0, 1]")
            return self.epsilon_initial, self.epsilon_final, max(steps * after_warmup, 1.0)
        if steps > after_warmup and self.epsilon_initial != self.epsilon_final:
            end = self.epsilon_initial + after_warmup / steps * (self.epsilon_final - self.epsilon_initial)
            warn(
                f"epsilon_steps is {steps:,}, more than the run's {after_warmup:,} steps after its warm-up: "
                f"exploration ends at {end:.3g} and not at {self.epsilon_final:g}"
            )
        return self.epsilon_initial, self.epsilon_final, steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exploration(Epsilon):
    """A choice of strategies."""

    exploration: Literal["epsilon", "epsilon_z", "ladder", "boltzmann"] = "epsilon"
    """ε-greedy, the same with held actions, with an ε for each environment, or a softmax of the values."""
    ladder_base: float = 0.4
    """ε of the first environment of a ladder; the last one's is its eighth power."""

    def make_exploration(self) -> Strategy:
        """The strategy.

        Raises:
          InputError: for numbers that it does not allow.
        """
        if self.exploration == "ladder":
            with named(base="ladder_base"):
                return EpsilonLadder(self.ladder_base)
        return self.make_falling(FALLING[self.exploration])
