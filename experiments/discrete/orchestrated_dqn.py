"""Orchestrated value mapping (Fatemi and Tavakoli, Orchestrated Value Mapping for Reinforcement Learning, 2022).

Small rewards are learned through a logarithm, large ones as they are, and losses through one of their own.
"""

import dataclasses

from jaxq.bellman import Decomposed, Identity, Logarithmic, Mapped, Scalar, by_sign_and_size
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of orchestrated_dqn beside those of all Q-learning."""

    large_reward: float = 1.5
    """Rewards at least this large have a channel of their own, which is not mapped."""
    log_scale: float = 0.5
    """Factor of the logarithms."""
    log_offset: float = 0.02
    """Offset inside the logarithms."""
    averaging_rate: float = 0.1
    """Share of a step that is averaged in the space of returns."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    logarithm = Mapped(Scalar(), Logarithmic(config.log_scale, config.log_offset), config.averaging_rate)
    channels = by_sign_and_size(config.large_reward)
    representation = Decomposed((logarithm, Mapped(Scalar(), Identity()), logarithm), (1.0, 1.0, -1.0))
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation, channels=channels)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
