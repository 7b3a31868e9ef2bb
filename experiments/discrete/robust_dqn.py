"""Robust losses (Patterson, Liao and White, Robust Losses for Learning Value Functions, 2022).

Saddle-point Huber or absolute Bellman errors with gradient corrections, and no target network; with `--error squared`
it is QRC.
"""

import dataclasses
from typing import Literal

from jaxq.agents import SaddlePointQLearning
from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, hyperparameters, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, everywhere(operator="max"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of robust_dqn beside those of all Q-learning."""

    error: Literal["squared", "huber", "absolute"] = "huber"
    """The Bellman error that is minimized."""
    huber_threshold: float = 1.0
    """Where the Huber error turns from square to linear."""
    penalty: float = 1.0
    """On the square of the correction."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    values, correction = (ActionValueNetwork(config.torso(training), ActionValueHead(num_actions)) for _ in range(2))
    hyper = hyperparameters(config).replace(target=None)
    base = q_learning_agent(config, training, values, Scalar(), hyper=hyper)
    agent = SaddlePointQLearning(base, correction, config.error, config.huber_threshold, config.penalty)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
