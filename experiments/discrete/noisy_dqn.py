"""NoisyNet-DQN (Fortunato et al., Noisy Networks for Exploration, 2018): noise on the dense layers explores."""

import dataclasses

from jaxq.agents import Greedy
from jaxq.configs import Q_LEARNING, Discount, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Layers, NStep, Discount, QLearner):
    """The axes of noisy_dqn; the noise is all its exploration."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    torso, hidden = config.make_split_torso(training)
    network = ActionValueNetwork(torso, ActionValueHead(num_actions, representation.width, noisy=True, hidden=hidden))
    agent = config.make_q_learner(training, network, representation, exploration=Greedy())
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
