"""DQN with cross-entropy to a Gaussian histogram, HL-Gauss (Farebrother et al., Stop Regressing, 2024)."""

import dataclasses

from jaxq.bellman import HLGauss
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
    """The axes of hl_gauss."""

    smoothing: float = 0.75
    """Width of the Gaussian in bin widths."""


PRESETS = presets(Config, Q_LEARNING, ATOMS)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = HLGauss(config.make_support(), config.smoothing)
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
