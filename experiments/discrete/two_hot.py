"""DQN with cross-entropy to a two-hot target (Farebrother et al., Stop Regressing, 2024)."""

import dataclasses

from jaxq.bellman import TwoHot
from jaxq.configs import (
    ATOMS,
    Q_LEARNING,
    Atoms,
    Discount,
    Exploration,
    Layers,
    NStep,
    Operator,
    QLearner,
    Targets,
    presets,
)
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Atoms, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of two_hot."""


PRESETS = presets(Config, Q_LEARNING, ATOMS)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = TwoHot(config.make_support())
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
