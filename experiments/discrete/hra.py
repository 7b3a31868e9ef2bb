"""HRA (van Seijen et al., Hybrid Reward Architecture for Reinforcement Learning, 2017): one head a reward component.

The components are the environment's own where its rewards are vectors (`tabular/VectorMaze`), else gains and losses.
"""

import dataclasses

from jaxq.bellman import HybridReward, Scalar, as_given, gains_and_losses
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of hra beside those of all Q-learning."""

    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    channels = as_given if training.reward_shape else gains_and_losses
    count = training.reward_shape[0] if training.reward_shape else 2
    representation = HybridReward((Scalar(config.huber_threshold),) * count, (1.0,) * count)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation, channels=channels)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
