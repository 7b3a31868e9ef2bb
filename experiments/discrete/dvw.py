"""DVW (Kitamura et al., Regularization and Variance-Weighted Regression Achieves Minimax Optimality, 2023).

Munchausen DQN whose regression weighs every target by the inverse of its learned variance. Errors are squared, as in
the authors' code for MinAtar, which updates four times as often as the agents here do on MinAtar, and copies the target
network every 1,000 steps (`--target-period 64`).
"""

import dataclasses

from jaxq.agents import VarianceWeightedQLearning
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of dvw."""

    huber_threshold: float | None = None
    smallest_variance: float = 0.1
    """Added to variances."""
    smallest_weight: float = 0.1
    """Weights, whose mean is one, count as this where they are below it."""


PRESETS = presets(Config, Q_LEARNING, everywhere={"operator": "munchausen"})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    values, variance = (ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions)) for _ in range(2))
    base = config.make_q_learner(training, values, config.make_scalar())
    agent = VarianceWeightedQLearning(base, variance, config.smallest_variance, config.smallest_weight)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
