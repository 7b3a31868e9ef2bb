"""C51 (Bellemare, Dabney and Munos, A Distributional Perspective on Reinforcement Learning, 2017)."""

import dataclasses

from jaxq.bellman import Categorical
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import ATOMS, AtomsConfig, RiskConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, ATOMS, {"atari": {"learning_rate": 2.5e-4, "adam_epsilon": 0.01 / 32}})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RiskConfig, AtomsConfig, QLearningConfig):
    """The fields of c51: those of all Q-learning, and the atoms."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = config.valued(Categorical(config.support))
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
