"""What every experiment with discrete actions shares: its environments, its exploration, its kind of head."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn

from jaxq import envs
from jaxq.agents import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonZGreedy
from jaxq.agents.exploration import Exploration
from jaxq.bellman import Distributional, RiskSensitive, Support
from jaxq.bellman.risk import CPW, CVaR, Entropic, Power, RiskMeasure, Wang
from jaxq.envs import Environment
from jaxq.errors import InputError
from jaxq.networks import ImplicitQuantileHead, Torso, split_torso, torso_for
from jaxq.runs.config import RunConfig
from jaxq.runs.environments import make_environments


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscreteConfig(RunConfig):
    """The fields of an agent with discrete actions."""

    exploration: Literal["epsilon", "epsilon_z", "ladder", "boltzmann"] = "epsilon"
    """ε-greedy, the same with held actions, with an ε for each environment, or a softmax of the values."""
    epsilon_initial: float = 1.0
    """Exploration after the warm-up; of boltzmann the temperature."""
    epsilon_final: float = 0.05
    """Exploration in the end; of boltzmann the temperature."""
    epsilon_steps: int = 10_000
    """Steps of each seed over which exploration falls."""
    ladder_base: float = 0.4
    """ε of the first environment of a ladder; the last one's is its eighth power."""
    reward_clip: float = float("inf")
    """Rewards are clipped to plus or minus this."""
    hidden_widths: tuple[int, ...] = (64, 64)
    """Hidden layers for vector observations; images get the network of their domain's paper."""
    layer_norm: bool = False
    """Normalize every layer of the torso before its activation."""
    life_loss: bool = False
    """Atari: a lost life ends the episode in training; evaluation always plays full games."""

    def split_torso(self, environment: Environment) -> tuple[nn.Module, int]:
        """The torso without its last dense layer, and that layer's units for the head; 0 where it has none.

        Where a method's streams, noise or quantile embedding begin after the convolutions, or a chain of heads has
        the rest in common.
        """
        return split_torso(self.torso(environment))

    def torso(self, environment: Environment) -> Torso:
        """The torso for an environment's observations."""
        return torso_for(environment.observation_spec, self.hidden_widths, self.layer_norm)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AtomsConfig:
    """The fields of a return over fixed atoms."""

    v_min: float = -10.0
    """Lowest atom of the support."""
    v_max: float = 10.0
    """Highest atom of the support."""
    num_atoms: int = 51
    """Atoms of the support."""

    @property
    def support(self) -> Support:
        """The atoms."""
        return Support(self.v_min, self.v_max, self.num_atoms)


# Supports by domain. Discounted returns of CartPole reach 1 / (1 - γ) and those of MinAtar stay below 20; the atoms lie
# around zero because a network begins at their middle. For Atari's clipped rewards C51's own support serves.
ATOMS = {
    "classic": {"v_min": -100.0, "v_max": 100.0, "num_atoms": 101},
    "minatar": {"v_min": -20.0, "v_max": 20.0, "num_atoms": 101},
    "atari": {"v_min": -10.0, "v_max": 10.0},
}


# The optimizer of QR-DQN, IQN, FQF, Munchausen-DQN and MD3QN on Atari.
FINE_STEPS: dict[str, dict[str, Any]] = {"atari": {"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32}}
# IQN's paper finds 8 samples nearly as good as 64; on small images they are what an update's time goes into.
SAMPLED_QUANTILES: dict[str, dict[str, Any]] = {**FINE_STEPS, "minatar": {"num_fractions": 8, "num_act_fractions": 8}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FractionsConfig:
    """The fields of a return by quantiles at sampled fractions."""

    num_fractions: int = 64
    """Fractions sampled for predictions and for targets."""
    num_act_fractions: int = 32
    """Fractions sampled to choose an action."""
    huber_threshold: float = 1.0
    """Where the quantile loss turns from square to linear."""

    def head(self, num_actions: int, hidden: int) -> ImplicitQuantileHead:
        """The head that samples them, with so many units in its hidden layer."""
        return ImplicitQuantileHead(num_actions, hidden, self.num_fractions, self.num_act_fractions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RiskConfig:
    """The fields of an agent that knows the return's distribution, and so can value it otherwise than by its mean."""

    risk: Literal["neutral", "cvar", "wang", "cpw", "power", "entropic"] = "neutral"
    """What a distribution is worth."""
    risk_level: float = 0.25
    """Its number: η of cvar, wang, cpw and power, β of entropic."""

    def valued(self, representation: Distributional) -> Distributional:
        """The representation, its actions valued as the configuration asks.

        Raises:
          InputError: for a number that the measure does not allow.
        """
        if self.risk == "neutral":
            return representation
        kinds: dict[str, Callable[[float], RiskMeasure]] = {
            "cvar": CVaR,
            "wang": Wang,
            "cpw": CPW,
            "power": Power,
            "entropic": Entropic,
        }
        try:
            measure = kinds[self.risk](self.risk_level)
        except InputError as error:
            raise InputError(f"risk_level, for the measure {self.risk}: {error}") from None
        return RiskSensitive(representation, measure)


def make_discrete_environments(config: DiscreteConfig) -> tuple[Environment, Environment, int]:
    """Training and evaluation environments, and the number of their actions.

    Raises:
      InputError: if the actions are not discrete.
    """
    atari = envs.domain(config.env) == "atari"
    training, evaluation = make_environments(config, **({"episodic_life": config.life_loss} if atari else {}))
    return training, evaluation, envs.require_discrete(training).num_actions


def exploration(config: DiscreteConfig) -> Exploration:
    """The strategy that the configuration asks for.

    Raises:
      InputError: for numbers that it does not allow.
    """
    decay = (config.epsilon_initial, config.epsilon_final, config.epsilon_steps)
    match config.exploration:
        case "epsilon":
            return EpsilonGreedy.decaying(*decay)
        case "epsilon_z":
            return EpsilonZGreedy.decaying(*decay)
        case "ladder":
            return EpsilonLadder.of(config.ladder_base, 7.0)
        case "boltzmann":
            return Boltzmann.decaying(*decay)
