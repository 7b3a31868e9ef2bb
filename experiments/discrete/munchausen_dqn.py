"""Munchausen DQN (Vieillard, Pietquin and Geist, Munchausen Reinforcement Learning, 2020)."""

import dataclasses

from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of munchausen_dqn: those of dqn, with another operator."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    everywhere={"operator": "munchausen"},
    atari={"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
