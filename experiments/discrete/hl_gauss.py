"""DQN with cross-entropy to a Gaussian histogram, HL-Gauss (Farebrother et al., Stop Regressing, 2024)."""

import dataclasses

from jaxq.bellman import HLGauss
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import ATOMS, AtomsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, ATOMS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(AtomsConfig, QLearningConfig):
    """The fields of hl_gauss beside those of all Q-learning."""

    smoothing: float = 0.75
    """Width of the Gaussian in bin widths."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = HLGauss(config.support, config.smoothing)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
