"""What every Q-learning experiment shares beside its composition: fields, published defaults by domain, and assembly.

Defaults by domain. atari: the Nature paper's schedule with Adam, as in DQN Zoo and Dopamine. minatar: Young and Tian
(MinAtar, 2019) with Adam, over parallel environments. classic: double targets of ten steps and a step size that falls
to zero over a replay of the whole run, found here: plain one-step DQN does not settle on CartPole.
"""

import dataclasses
from typing import Any, Literal

import optax

from jaxq.agents import (
    HardUpdate,
    IteratedQLearning,
    LinearSchedule,
    PolyakUpdate,
    QLearning,
    QLearningHyperparameters,
    WindowShift,
    flatten_small,
)
from jaxq.bellman import Representation, operators
from jaxq.envs import Environment
from jaxq.errors import require
from jaxq.runs.discrete import DiscreteConfig, exploration
from jaxq.runs.off_policy import OffPolicyConfig
from jaxq.types import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class QLearningConfig(OffPolicyConfig, DiscreteConfig):
    """The fields of an agent with discrete actions that learns by Q-learning."""

    learning_rate: float = 1e-3
    """Step size of Adam at the first update."""
    learning_rate_final: float | None = None
    """Step size at the end of the run, falling linearly; None keeps it constant."""
    adam_epsilon: float = 1e-8
    """Added to the root of Adam's second moment."""
    target_period: int = 500
    """Updates between two copies to the target network."""
    target_rate: float | None = None
    """Share by which the target network follows in every update, in place of copies."""
    operator: Literal["max", "double", "expected", "soft", "munchausen", "advantage", "mellowmax"] = "max"
    """What of the next state's actions is backed up; double takes the learner's action and the target's value."""
    temperature: float = 0.03
    """τ of the soft and munchausen operators, 1/ω of mellowmax, ε of expected."""
    bonus_scale: float = 0.9
    """α of the munchausen and advantage operators."""
    bonus_floor: float = -1.0
    """l0 of munchausen, below which the log-policy is clipped."""
    reward_shift: float = 0.0
    """Added to every reward that is learned from; a negative one makes the start optimistic."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChainConfig(QLearningConfig):
    """The fields of a chain of value functions that learn by Q-learning."""

    links: int
    """K, value functions in the chain."""
    sync_period: int = 10
    """D, updates between two copies of the learners to the targets after them; at most target_period."""
    share_torso: bool = True
    """Whether the chain has its convolutions (or first layers) in common, as in the paper, or a network each."""

    def chain_of(self, base: QLearning) -> IteratedQLearning:
        """The chain whose links learn as `base` does.

        Raises:
          InputError: for numbers that it does not allow.
        """
        window = WindowShift.every(self.target_period, self.sync_period)
        return IteratedQLearning(base, self.links, window, self.share_torso)


# D = 10 is the authors' code's where T = 200; on Atari theirs are of 6,000 and 30 steps, an update coming every fourth.
CHAIN = {"atari": {"target_period": 1_500, "sync_period": 8}}

DEFAULTS: dict[str, dict[str, Any]] = {
    "classic": {
        "total_steps": 200_000,
        "num_envs": 4,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "learning_rate_final": 0.0,
        "replay_capacity": 200_000,
        "n_step": 10,
        "operator": "double",
        "target_period": 500,
        "epsilon_steps": 40_000,
        "epsilon_final": 0.1,
    },
    "minatar": {
        "total_steps": 2_000_000,
        "num_envs": 16,
        "batch_size": 32,
        "learning_rate": 2.5e-4,
        "warmup_steps": 5_000,
        "target_period": 500,
        "epsilon_steps": 200_000,
        "epsilon_final": 0.02,
    },
    "atari": {
        "total_steps": 10_000_000,
        "num_envs": 4,
        "batch_size": 32,
        "learning_rate": 6.25e-5,
        "adam_epsilon": 1.5e-4,
        "warmup_steps": 20_000,
        "replay_capacity": 1_000_000,
        "target_period": 2_000,
        "epsilon_final": 0.01,
        "epsilon_steps": 250_000,
        "reward_clip": 1.0,
        "eval_episodes": 4,
        "checkpoint_minutes": 60.0,
    },
}


def operator_of(config: QLearningConfig) -> operators.Operator:
    """The Bellman operator that the configuration asks for.

    Raises:
      InputError: for numbers that it does not allow.
    """
    tau, alpha = config.temperature, config.bonus_scale
    if config.operator == "expected":
        require(0 <= tau <= 1, "temperature", tau, "in [0, 1], being the ε of the expected operator")
    elif config.operator in ("soft", "munchausen", "mellowmax"):
        require(0 < tau < float("inf"), "temperature", tau, "positive and finite")
    if config.operator in ("munchausen", "advantage"):
        require(0 <= alpha < 1, "bonus_scale", alpha, "in [0, 1)")
        require(config.bonus_floor < 0, "bonus_floor", config.bonus_floor, "negative")
    match config.operator:
        case "max":
            return operators.Maximum()
        case "double":
            return operators.Double()
        case "expected":
            return operators.Expected(tau)
        case "soft":
            return operators.Soft(tau)
        case "munchausen":
            return operators.Munchausen(tau, alpha, config.bonus_floor)
        case "advantage":
            return operators.AdvantageLearning(alpha)
        case "mellowmax":
            return operators.Mellowmax(1.0 / tau)


def hyperparameters(config: QLearningConfig, operator: operators.Operator | None = None) -> QLearningHyperparameters:
    """The agent's numbers; `operator` replaces the one that the configuration asks for."""
    target: HardUpdate | PolyakUpdate = HardUpdate.every(config.target_period)
    if config.target_rate is not None:
        target = PolyakUpdate.at_rate(config.target_rate)
    final_rate = config.learning_rate if config.learning_rate_final is None else config.learning_rate_final
    return QLearningHyperparameters(
        learning_rate=LinearSchedule(config.learning_rate, final_rate, config.total_updates),
        exploration=exploration(config),
        target=target,
        operator=operator or operator_of(config),
        discount=config.discount,
        reward_clip=config.reward_clip,
        reward_shift=config.reward_shift,
    )


def q_learning_agent(
    config: QLearningConfig,
    environment: Environment,
    network: Network,
    representation: Representation,
    operator: operators.Operator | None = None,
    **settings: Any,
) -> QLearning:
    """The Q-learning agent of these objects, with the optimizer and the numbers that the configuration asks for.

    `settings` replace any field of `QLearning`.
    """
    return QLearning(
        **{
            "network": network,
            "observation_spec": environment.observation_spec,
            "optimizer": adam(config),
            "hyper": hyperparameters(config, operator),
            "representation": representation,
            **settings,
        }
    )


def adam(config: QLearningConfig) -> optax.GradientTransformation:
    """The optimizer, made without a learning rate.

    Raises:
      InputError: for numbers that it does not allow.
    """
    require(config.adam_epsilon > 0, "adam_epsilon", config.adam_epsilon, "positive")
    return flatten_small(optax.scale_by_adam(eps=config.adam_epsilon))
