"""HRA (van Seijen et al., Hybrid Reward Architecture for Reinforcement Learning, 2017): one head a reward component.

The components are the environment's own where its rewards are vectors (`tabular/VectorMaze`), else gains and losses.
"""

import dataclasses

from jaxq.bellman import HybridReward, as_given, gains_and_losses, operators
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of hra, in which each head backs up its own best action."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    channels = as_given if training.reward_shape else gains_and_losses
    count = training.reward_shape[0] if training.reward_shape else 2
    representation = HybridReward((config.make_scalar(),) * count, (1.0,) * count)
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    operator = operators.Maximum()
    agent = config.make_q_learner(training, network, representation, channels=channels, operator=operator)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
