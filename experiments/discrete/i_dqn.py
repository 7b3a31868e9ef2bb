"""i-DQN: a chain of value functions (Vincent et al., Iterated Q-Network, 2024)."""

import dataclasses

from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import CHAIN, DEFAULTS, ChainConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, CHAIN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ChainConfig):
    """The fields of i_dqn beside those of a chain."""

    links: int = 5
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = Scalar(config.huber_threshold)
    torso, hidden = config.split_torso(training)
    network = ActionValueNetwork(torso, ActionValueHead(num_actions, representation.width, hidden=hidden))
    agent = config.chain_of(q_learning_agent(config, training, network, representation))
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
