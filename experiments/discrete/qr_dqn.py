"""QR-DQN (Dabney et al., Distributional Reinforcement Learning with Quantile Regression, 2018)."""

import dataclasses

from jaxq.bellman import Quantile
from jaxq.configs import (
    BY_LIVES,
    Q_LEARNING,
    Discount,
    Exploration,
    Layers,
    NStep,
    Operator,
    QLearner,
    QuantileHuber,
    Risk,
    Targets,
    presets,
)
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Risk, QuantileHuber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of qr_dqn."""

    num_quantiles: int = 200
    """Quantiles of the return."""


PRESETS = presets(Config, Q_LEARNING, BY_LIVES, atari={"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.valued(Quantile(config.num_quantiles, config.huber_threshold))
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
