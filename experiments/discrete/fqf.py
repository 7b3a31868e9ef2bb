"""FQF (Yang et al., Fully Parameterized Quantile Function for Distributional Reinforcement Learning, 2019).

Fractions learn by the centred RMSProp of the authors' code, from a gradient summed over the batch, and without the
entropy that it can add. The code's later remedies for a late fall of returns, a bound of 0.98 on the largest share or a
penalty of the proposal's weights, are not here.
"""

import dataclasses

import optax

from jaxq.agents import except_for
from jaxq.bellman import FullyParameterizedQuantile
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
from jaxq.errors import require
from jaxq.networks import FRACTIONS, ActionValueNetwork, FullyParameterizedHead
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Risk, QuantileHuber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of fqf."""

    num_quantiles: int = 32
    """Quantiles, at fractions that are learned."""
    fraction_rate: float = 5e-5
    """Step size of the fractions' RMSProp, as a share of the learning rate; 2.5e-9 over 5e-5 in the paper."""


PRESETS = presets(Config, Q_LEARNING, BY_LIVES, atari={"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.valued(FullyParameterizedQuantile(config.num_quantiles, config.huber_threshold))
    torso, hidden = config.make_split_torso(training)
    network = ActionValueNetwork(torso, FullyParameterizedHead(num_actions, hidden, config.num_quantiles))
    require(config.fraction_rate >= 0, "fraction_rate", config.fraction_rate, "0 or more")
    slowly = optax.chain(
        optax.scale(float(config.batch_size)),  # the sum of what the loss has the mean of
        optax.scale_by_stddev(0.95, 1e-5),
        optax.zero_nans(),  # by rounding a variance may come out below zero, and its root be no number
        optax.scale(config.fraction_rate),
    )
    optimizer = except_for(FRACTIONS, slowly, config.make_optimizer())
    agent = config.make_q_learner(training, network, representation, optimizer=optimizer)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
