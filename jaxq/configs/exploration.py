"""How agents with discrete actions explore."""

import dataclasses
from typing import Literal

from jaxq.agents import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonZGreedy
from jaxq.agents.exploration import Exploration as Strategy
from jaxq.configs.axis import Axis


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epsilon(Axis):
    """Exploration that falls."""

    epsilon_initial: float = 1.0
    """Exploration after the warm-up; of boltzmann the temperature."""
    epsilon_final: float = 0.05
    """Exploration in the end; of boltzmann the temperature."""
    epsilon_steps: int = 10_000
    """Steps of each seed over which exploration falls."""


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
        decay = (self.epsilon_initial, self.epsilon_final, self.epsilon_steps)
        match self.exploration:
            case "epsilon":
                return EpsilonGreedy.decaying(*decay)
            case "epsilon_z":
                return EpsilonZGreedy.decaying(*decay)
            case "boltzmann":
                return Boltzmann.decaying(*decay)
