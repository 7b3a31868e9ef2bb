"""What every Q-learning experiment shares beside its composition: fields, published defaults by domain, and assembly.

Defaults by domain. atari: the Nature paper's schedule with Adam, as in DQN Zoo and Dopamine. minatar: Young and Tian
(MinAtar, 2019) with Adam, over parallel environments. classic: double targets of ten steps and a step size that falls
to zero over a replay of the whole run, found here: plain one-step DQN does not settle on CartPole.
"""

import dataclasses
from typing import Any

import optax

from jaxq.agents import HardUpdate, LinearSchedule, QLearning, QLearningHyperparameters, flatten_small
from jaxq.bellman import Representation, operators
from jaxq.envs import Environment
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
    double: bool = False
    """Double Q-learning: the learner's greedy action, the target network's value."""


DEFAULTS: dict[str, dict[str, Any]] = {
    "classic": {
        "total_steps": 200_000,
        "num_envs": 4,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "learning_rate_final": 0.0,
        "replay_capacity": 200_000,
        "n_step": 10,
        "double": True,
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


def hyperparameters(config: QLearningConfig, operator: operators.Operator | None = None) -> QLearningHyperparameters:
    """The agent's numbers; `operator` replaces the maximum, or its double, that the configuration asks for."""
    final_rate = config.learning_rate if config.learning_rate_final is None else config.learning_rate_final
    if operator is None:
        operator = operators.Double() if config.double else operators.Maximum()
    return QLearningHyperparameters(
        learning_rate=LinearSchedule(config.learning_rate, final_rate, config.total_updates),
        exploration=exploration(config),
        target=HardUpdate.every(config.target_period),
        operator=operator,
        discount=config.discount,
        reward_clip=config.reward_clip,
    )


def q_learning_agent(
    config: QLearningConfig,
    environment: Environment,
    network: Network,
    representation: Representation,
    operator: operators.Operator | None = None,
) -> QLearning:
    """The Q-learning agent of these objects, with the optimizer and the numbers that the configuration asks for."""
    return QLearning(
        network=network,
        observation_spec=environment.observation_spec,
        optimizer=flatten_small(optax.scale_by_adam(eps=config.adam_epsilon)),
        hyper=hyperparameters(config, operator),
        representation=representation,
    )
