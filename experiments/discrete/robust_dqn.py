"""Robust losses (Patterson, Liao and White, Robust Losses for Learning Value Functions, 2022).

Saddle-point Huber or absolute Bellman errors with gradient corrections, and no target network; with `--error squared`
it is QRC.
"""

import dataclasses
from typing import Literal

from jaxq.agents import SaddlePointQLearning
from jaxq.bellman import Scalar
from jaxq.configs import Q_LEARNING, Discount, Exploration, Layers, NStep, Operator, QLearner, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Operator, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of robust_dqn, which has no target network."""

    error: Literal["squared", "huber", "absolute"] = "huber"
    """The Bellman error that is minimized."""
    huber_threshold: float = 1.0
    """Where the Huber error turns from square to linear."""
    penalty: float = 1.0
    """β, on the square of the correction's weights."""


PRESETS = presets(Config, Q_LEARNING, everywhere={"operator": "max", "n_step": 1})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions))
    base = config.make_q_learner(training, network, Scalar(), targets=())
    threshold = config.huber_threshold
    agent = SaddlePointQLearning(base, num_actions, config.error, threshold, config.penalty)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
