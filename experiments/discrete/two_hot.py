"""DQN with cross-entropy to a two-hot target (Farebrother et al., Stop Regressing, 2024)."""

import dataclasses

from jaxq.bellman import TwoHot
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import ATOMS, AtomsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, ATOMS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(AtomsConfig, QLearningConfig):
    """The fields of two_hot beside those of all Q-learning."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = TwoHot(config.support)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
