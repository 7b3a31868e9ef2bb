"""IQN (Dabney et al., Implicit Quantile Networks for Distributional Reinforcement Learning, 2018)."""

import dataclasses

from jaxq.bellman import ImplicitQuantile
from jaxq.networks import ActionValueNetwork, ImplicitQuantileHead, torso_for
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.q_learning import PRESETS, QLearningConfig, hyperparameters, make_discrete_environments, q_learning_agent
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of iqn beside those of all Q-learning."""

    num_fractions: int = 64
    """Fractions sampled for predictions and for targets."""
    num_act_fractions: int = 32
    """Fractions sampled to choose an action."""
    huber_threshold: float = 1.0
    """Where the quantile loss turns from square to linear."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = ImplicitQuantile(config.huber_threshold)
    torso = torso_for(training.observation_spec, config.hidden_widths)
    head = ImplicitQuantileHead(num_actions, 128, config.num_fractions, config.num_act_fractions)
    network = ActionValueNetwork(torso, head)
    agent = q_learning_agent(config, training, network, representation, hyperparameters(config))
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
