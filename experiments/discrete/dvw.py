"""DVW (Kitamura et al., Regularization and Variance-Weighted Regression Achieves Minimax Optimality, 2023).

Munchausen DQN whose regression weighs every target by the inverse of its learned variance.
"""

import dataclasses

from jaxq.agents import VarianceWeightedQLearning
from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, everywhere(operator="munchausen"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of dvw beside those of all Q-learning."""

    smallest_variance: float = 0.1
    """Variances below this count as this."""
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    values, variance = (ActionValueNetwork(config.torso(training), ActionValueHead(num_actions)) for _ in range(2))
    base = q_learning_agent(config, training, values, Scalar(config.huber_threshold))
    agent = VarianceWeightedQLearning(base, variance, config.smallest_variance)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
