"""Bootstrapped DQN (Osband et al., Deep Exploration via Bootstrapped DQN, 2016): one of K networks for an episode.

One step in twenty is random besides, from first to last. Evaluated is the best action by the mean of all, where the
paper counts votes.
"""

import dataclasses

from jaxq.agents import EnsembleQLearning
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of bootstrapped_dqn; whom an episode follows is the exploration."""

    members: int = 5
    """K, networks; 10 heads on a shared torso in the paper."""
    mask_probability: float = 1.0
    """A member learns from a transition with this probability."""


PRESETS = presets(Config, Q_LEARNING, everywhere={"epsilon_initial": 0.05, "epsilon_final": 0.05})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    base = config.make_q_learner(training, network, representation)
    agent = EnsembleQLearning(base, config.members, config.mask_probability, (0.0,) * config.members)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
