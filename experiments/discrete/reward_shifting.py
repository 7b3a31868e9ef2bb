"""Reward shifting (Sun et al., Exploit Reward Shifting in Value-Based Deep RL, 2022): optimists and pessimists explore.

Each member of an ensemble learns from rewards shifted by a constant of its own; a negative one is an optimistic start.
One shift alone is `dqn.py --reward-shift`.
"""

import dataclasses

from jaxq.agents import EnsembleQLearning
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.errors import require
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of reward_shifting; each member's shift comes on top of that of all."""

    shifts: tuple[float, ...] = (-0.1, 0.0, 0.1)
    """Added to the rewards of each member, and to the shift of all."""
    mask_probability: float = 1.0
    """A member learns from a transition with this probability."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    base = config.make_q_learner(training, network, representation)
    require(bool(config.shifts), "shifts", config.shifts, "one or more numbers")
    agent = EnsembleQLearning(base, len(config.shifts), config.mask_probability, config.shifts)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
