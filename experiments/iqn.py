"""IQN (Dabney et al., Implicit Quantile Networks for Distributional Reinforcement Learning, 2018)."""

import dataclasses

from jaxq.bellman import ImplicitQuantile
from jaxq.networks import ActionValueNetwork, torso_for
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import FractionsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FractionsConfig, QLearningConfig):
    """The fields of iqn beside those of all Q-learning."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = ImplicitQuantile(config.huber_threshold)
    torso = torso_for(training.observation_spec, config.hidden_widths)
    network = ActionValueNetwork(torso, config.head(num_actions))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
