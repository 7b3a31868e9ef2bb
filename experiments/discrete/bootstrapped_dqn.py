"""Bootstrapped DQN (Osband et al., Deep Exploration via Bootstrapped DQN, 2016): one of K networks for an episode."""

import dataclasses

from jaxq.agents import EnsembleQLearning
from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

# Whom an episode follows is the exploration.
PRESETS = merged(DEFAULTS, everywhere(epsilon_initial=0.05))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of bootstrapped_dqn beside those of all Q-learning."""

    members: int = 5
    """K, networks; 10 heads on a shared torso in the paper."""
    mask_probability: float = 1.0
    """A member learns from a transition with this probability."""
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = Scalar(config.huber_threshold)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    base = q_learning_agent(config, training, network, representation)
    agent = EnsembleQLearning(base, config.members, config.mask_probability, (0.0,) * config.members)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
