"""Orchestrated value mapping (Fatemi and Tavakoli, Orchestrated Value Mapping for Reinforcement Learning, 2022).

Small rewards are learned through a logarithm, large ones as they are, and losses through one of their own. That is one
member of the paper's family and none of its authors' configurations, which cut each channel off at its end; as in
those, rewards are not clipped before they are split, and the discount is theirs. Their averaging is of channels that
are not mapped too, and what they back up is bounded. Their optimizer is a centred RMSProp with a step ten times as
long, as a tenth of it is kept; Adam's depends on that by its ε alone, which on Atari is a tenth of the other agents'.
"""

import dataclasses

from jaxq.bellman import Decomposed, Identity, Logarithmic, Mapped, Scalar, by_sign_and_size
from jaxq.configs import Q_LEARNING, Discount, Exploration, Layers, NStep, PlainOperator, QLearner, Targets, presets
from jaxq.errors import named
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(PlainOperator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of orchestrated_dqn."""

    large_reward: float = 1.5
    """Rewards at least this large have a channel of their own, which is not mapped."""
    log_scale: float = 0.5
    """Factor of the logarithms."""
    log_offset: float = 0.01687
    """Offset inside the logarithms."""
    averaging_rate: float = 0.1
    """Share of a step that is averaged in the space of returns."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    everywhere={"discount": 0.96, "reward_clip": float("inf")},
    atari={"adam_epsilon": 1.5e-5},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    with named(scale="log_scale", offset="log_offset"):
        logarithm = Mapped(Scalar(1.0), Logarithmic(config.log_scale, config.log_offset), config.averaging_rate)
    channels = by_sign_and_size(config.large_reward)
    representation = Decomposed((logarithm, Mapped(Scalar(1.0), Identity()), logarithm), (1.0, 1.0, -1.0))
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation, channels=channels)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
