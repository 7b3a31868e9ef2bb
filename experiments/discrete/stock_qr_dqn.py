"""Stock-augmented QR-DQN (Pires et al., Optimizing Return Distributions with Distributional Dynamic Programming, 2025).

Observations know the discounted reward so far, and actions are greedy on a functional of the whole return.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from jaxq.bellman import Quantile, StockAugmented
from jaxq.bellman.risk import ExpectedUtility
from jaxq.envs import WithStock
from jaxq.networks import ActionValueHead, StockNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, everywhere(discount=0.997))
UTILITIES = {
    "neutral": lambda x: x,
    "shortfall": lambda x: jnp.minimum(x, 0.0),
    "homeostasis": lambda x: -jnp.abs(x),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of stock_qr_dqn beside those of all Q-learning."""

    utility: Literal["neutral", "shortfall", "homeostasis"] = "shortfall"
    """Of c + G: itself, what it falls short of zero (with the right stock this maximizes CVaR), or how near to zero."""
    initial_stock: float = 0.0
    """c at the start of an episode; minus the return that is aimed at."""
    num_quantiles: int = 51
    """Quantiles of the return to come."""
    huber_threshold: float = 1.0
    """Where the quantile loss turns from square to linear."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    plain, plain_evaluation, num_actions = make_discrete_environments(config)
    training, evaluation = (WithStock(e, config.discount, config.initial_stock) for e in (plain, plain_evaluation))
    quantiles = Quantile(config.num_quantiles, config.huber_threshold)
    representation = StockAugmented(quantiles, ExpectedUtility(UTILITIES[config.utility]))
    network = StockNetwork(config.torso(training), ActionValueHead(num_actions, quantiles.width))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
