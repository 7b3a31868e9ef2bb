"""DQN on Retrace(λ) targets (Munos et al., Safe and Efficient Off-Policy Reinforcement Learning, 2016).

From sequences of replay, corrected for how likely each action was when it was taken; as in the paper they are of 16
steps and λ is 1.
"""

import dataclasses

from jaxq.agents import RetraceHyperparameters, RetraceQLearning
from jaxq.configs import (
    Q_LEARNING,
    Discount,
    Exploration,
    Huber,
    Layers,
    Operator,
    QLearner,
    Sequences,
    Targets,
    presets,
)
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Sequences, Huber, Operator, Targets, Exploration, Layers, Discount, QLearner):
    """The axes of retrace_dqn."""

    sequence_length: int = 16
    trace: float = 1.0
    """λ of the returns."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    everywhere={"operator": "max"},
    classic={"batch_size": 16},
    atari={"batch_size": 8},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = RetraceQLearning(
        network=network,
        observation_spec=training.observation_spec,
        optimizer=config.make_optimizer(),
        hyper=config.make_hyperparameters(kind=RetraceHyperparameters, trace=config.trace),
        representation=representation,
    )
    return config.make_training(agent, training, evaluation, config.make_sequences(training, config.sequence_length))


if __name__ == "__main__":
    main(Config, PRESETS, build)
