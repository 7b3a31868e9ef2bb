"""Reward shifting (Sun et al., Exploit Reward Shifting in Value-Based Deep RL, 2022): optimists and pessimists explore.

Each member of an ensemble learns from rewards shifted by a constant of its own; a negative one is an optimistic start.
One shift alone is `dqn.py --reward-shift`.
"""

import dataclasses

from jaxq.agents import EnsembleQLearning
from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of reward_shifting beside those of all Q-learning."""

    shifts: tuple[float, ...] = (-0.1, 0.0, 0.1)
    """Added to the rewards of each member."""
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
    agent = EnsembleQLearning(base, len(config.shifts), config.mask_probability, config.shifts)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
