"""i-IQN: a chain of value functions (Vincent et al., Iterated Q-Network, 2024)."""

import dataclasses

from jaxq.agents import IteratedQLearning, WindowShift
from jaxq.bellman import ImplicitQuantile
from jaxq.networks import ActionValueNetwork
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import FractionsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FractionsConfig, QLearningConfig):
    """The fields of i_iqn beside those of all Q-learning."""

    links: int = 3
    """K, value functions in the chain."""
    sync_period: int = 100
    """D, updates between two copies of the learners to the targets after them; at most target_period."""
    share_torso: bool = True
    """Whether the chain has one torso with a head each, or a network each."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = ImplicitQuantile(config.huber_threshold)
    torso = config.torso(training)
    network = ActionValueNetwork(torso, config.head(num_actions))
    base = q_learning_agent(config, training, network, representation)
    window = WindowShift.every(config.target_period, config.sync_period)
    agent = IteratedQLearning(base, config.links, window, config.share_torso)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
