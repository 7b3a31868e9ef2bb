"""Itakura-Saito loss (Udovichenko et al., Risk-Averse Reinforcement Learning with Itakura-Saito Loss, 2025)."""

import dataclasses

from jaxq.bellman import ItakuraSaito
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of itakura_saito beside those of all Q-learning."""

    risk_aversion: float = 0.5
    """β of the exponential utility; negative seeks risk."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = ItakuraSaito(config.risk_aversion)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
