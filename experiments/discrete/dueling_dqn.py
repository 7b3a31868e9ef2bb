"""Dueling DQN (Wang et al., Dueling Network Architectures for Deep Reinforcement Learning, 2016).

With double targets, gradients clipped at a norm of 10, and the gradient into the torso scaled by 1/√2 (section 4.2).
"""

import dataclasses

from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueNetwork, DuelingHead
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of dueling_dqn."""


PRESETS = presets(Config, Q_LEARNING, everywhere={"operator": "double", "max_gradient_norm": 10.0})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    torso, hidden = config.make_split_torso(training)
    head = DuelingHead(num_actions, representation.width, hidden, torso_gradient=0.5**0.5)
    agent = config.make_q_learner(training, ActionValueNetwork(torso, head), representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
