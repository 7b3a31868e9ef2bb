"""IQN (Dabney et al., Implicit Quantile Networks for Distributional Reinforcement Learning, 2018).

The next state's action is chosen by the samples that are then backed up; Dopamine draws others for the choice. With
`--risk cvar` and the like actions are chosen by quantiles at distorted fractions, as in the paper, which here are
weighted by the intervals that they stand for and not averaged; the next state's by those that are backed up, so
weighted too, and with `--operator double` by distorted ones, as those of behaviour.
"""

import dataclasses

from jaxq.bellman import ImplicitQuantile
from jaxq.configs import (
    BY_LIVES,
    FRACTIONS,
    Q_LEARNING,
    Discount,
    Exploration,
    Fractions,
    Layers,
    NStep,
    Operator,
    QLearner,
    Risk,
    Targets,
    presets,
)
from jaxq.networks import ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Risk, Fractions, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of iqn."""


PRESETS = presets(Config, Q_LEARNING, BY_LIVES, FRACTIONS, atari={"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.valued(ImplicitQuantile(config.huber_threshold))
    torso, hidden = config.make_split_torso(training)
    head = config.make_head(num_actions, hidden, distortion=config.make_distortion())
    network = ActionValueNetwork(torso, head)
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
