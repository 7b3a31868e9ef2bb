"""i-IQN: a chain of value functions (Vincent et al., Iterated Q-Network, 2024).

D = 10 is the authors' code's where T = 200; on Atari theirs are of 6,000 and 30 steps, an update coming every fourth.
The links have the torso in common, in the authors' code the embedding of fractions too; the loss is the sum over the
chain, theirs the mean.
"""

import dataclasses

from jaxq.bellman import ImplicitQuantile
from jaxq.configs import (
    FRACTIONS,
    Q_LEARNING,
    Chain,
    Discount,
    Exploration,
    Fractions,
    Layers,
    NStep,
    Operator,
    QLearner,
    presets,
)
from jaxq.networks import ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Fractions, Chain, Operator, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of i_iqn."""

    links: int = 3


PRESETS = presets(
    Config,
    Q_LEARNING,
    FRACTIONS,
    atari={"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32, "target_period": 1_500, "sync_period": 8},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = ImplicitQuantile(config.huber_threshold)
    torso, hidden = config.make_split_torso(training)
    network = ActionValueNetwork(torso, config.make_head(num_actions, hidden))
    agent = config.make_chain(config.make_q_learner(training, network, representation))
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
