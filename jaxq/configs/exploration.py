"""How agents with discrete actions explore."""

import dataclasses
from typing import Any, Literal

from jaxq.agents import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonZGreedy
from jaxq.agents.exploration import Exploration as Strategy
from jaxq.configs.axis import Axis
from jaxq.errors import warn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epsilon(Axis):
    """Exploration that falls."""

    epsilon_initial: float = 1.0
    """Exploration after the warm-up; of boltzmann the temperature."""
    epsilon_final: float = 0.05
    """Exploration in the end; of boltzmann the temperature."""
    epsilon_steps: int = 10_000
    """Steps of each seed over which exploration falls."""

    def falling(self) -> tuple[float, float, int]:
        """From where, to where, and in how many steps; of a run that is shorter than that it warns."""
        own: Any = self
        if self.epsilon_steps > own.total_steps and self.epsilon_initial != self.epsilon_final:
            share = own.total_steps / self.epsilon_steps
            end = self.epsilon_initial + share * (self.epsilon_final - self.epsilon_initial)
            warn(
                f"epsilon_steps is {self.epsilon_steps:,}, more than the run's {own.total_steps:,} steps: "
                f"exploration ends at {end:.3g} and not at {self.epsilon_final:g}"
            )
        return self.epsilon_initial, self.epsilon_final, self.epsilon_steps


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
            return EpsilonLadder.of(self.ladder_base, 7.0)
        decay = self.falling()
        match self.exploration:
            case "epsilon":
                return EpsilonGreedy.decaying(*decay)
            case "epsilon_z":
                return EpsilonZGreedy.decaying(*decay)
            case "boltzmann":
                return Boltzmann.decaying(*decay)
