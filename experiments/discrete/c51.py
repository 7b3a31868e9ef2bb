"""C51 (Bellemare, Dabney and Munos, A Distributional Perspective on Reinforcement Learning, 2017).

On MinAtar the target network is copied every 64 updates, 1,024 steps, as MinAtar's authors do every 1,000; our other
agents do every 500 updates. A network begins with distributions as wide as their support, which every copy narrows by
the discount: after the 124 copies of a million steps a third of the width would still be there, and in it the few
rewards of Freeway do not show.
"""

import dataclasses

from jaxq.bellman import Categorical
from jaxq.configs import (
    ATOMS,
    BY_LIVES,
    Q_LEARNING,
    Atoms,
    Discount,
    Exploration,
    Layers,
    NStep,
    Operator,
    QLearner,
    Risk,
    Targets,
    presets,
)
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Risk, Atoms, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of c51."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    BY_LIVES,
    ATOMS,
    minatar={"target_period": 64},
    atari={"learning_rate": 2.5e-4, "adam_epsilon": 0.01 / 32},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.valued(Categorical(config.make_support()))
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
