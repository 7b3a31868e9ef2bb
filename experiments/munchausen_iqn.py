"""Munchausen IQN (Vieillard, Pietquin and Geist, Munchausen Reinforcement Learning, 2020)."""

import dataclasses

from jaxq.bellman import ImplicitQuantile, operators
from jaxq.networks import ActionValueNetwork, torso_for
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import FractionsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FractionsConfig, QLearningConfig):
    """The fields of munchausen_iqn beside those of all Q-learning."""

    temperature: float = 0.03
    """τ, of the soft policy."""
    munchausen_scale: float = 0.9
    """α, of the log-policy added to the reward."""
    munchausen_floor: float = -1.0
    """l0, below which that is clipped."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = ImplicitQuantile(config.huber_threshold)
    torso = torso_for(training.observation_spec, config.hidden_widths)
    network = ActionValueNetwork(torso, config.head(num_actions))
    operator = operators.Munchausen(config.temperature, config.munchausen_scale, config.munchausen_floor)
    agent = q_learning_agent(config, training, network, representation, operator)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
