"""Stock-augmented QR-DQN (Pires et al., Optimizing Return Distributions with Distributional Dynamic Programming, 2025).

Observations know the discounted reward so far, and actions are greedy on a functional of the whole return: its mean
unless told otherwise. Where rewards are never negative no return falls short of a stock of zero, so that `--utility
shortfall` wants a stock of minus what is aimed at.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from jaxq.bellman import Quantile, StockAugmented
from jaxq.bellman.risk import ExpectedUtility
from jaxq.configs import (
    Q_LEARNING,
    Discount,
    Exploration,
    Layers,
    NStep,
    Operator,
    QLearner,
    QuantileHuber,
    Targets,
    presets,
)
from jaxq.envs import WithStock
from jaxq.networks import ActionValueHead, StockNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy

UTILITIES = {
    "neutral": lambda x: x,
    "shortfall": lambda x: jnp.minimum(x, 0.0),
    "homeostasis": lambda x: -jnp.abs(x),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QuantileHuber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of stock_qr_dqn."""

    utility: Literal["neutral", "shortfall", "homeostasis"] = "neutral"
    """Of c + G: itself, what it falls short of zero (with the right stock this maximizes CVaR), or how near to zero."""
    initial_stock: float = 0.0
    """c at the start of an episode; minus the return that is aimed at."""
    num_quantiles: int = 51
    """Quantiles of the return to come."""


PRESETS = presets(Config, Q_LEARNING, everywhere={"discount": 0.997})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    settings = (config.discount, config.initial_stock, config.reward_clip, config.reward_shift)
    training, evaluation = (WithStock(environment, *settings) for environment in (training, evaluation))
    quantiles = Quantile(config.num_quantiles, config.huber_threshold)
    representation = StockAugmented(quantiles, ExpectedUtility(UTILITIES[config.utility]))
    network = StockNetwork(config.make_torso(training), ActionValueHead(num_actions, quantiles.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
