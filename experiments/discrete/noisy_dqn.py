"""NoisyNet-DQN (Fortunato et al., Noisy Networks for Exploration, 2018): noise on the dense layers explores."""

import dataclasses

from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, everywhere(epsilon_initial=0.0, epsilon_final=0.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of noisy_dqn beside those of all Q-learning."""

    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = Scalar(config.huber_threshold)
    torso, hidden = config.split_torso(training)
    network = ActionValueNetwork(torso, ActionValueHead(num_actions, noisy=True, hidden=hidden))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
