"""LogDQN (van Seijen et al., Using a Logarithmic Mapping to Enable Lower Discount Factors in RL, 2019).

The discount is the paper's, lower than others can use. As in the authors' code gains begin at a value of one and losses
at none, and where rewards are clipped no return is larger than that of the largest at every step. There the last layer
of losses begins at zero, all that is mapped has twice the digits, and the optimizer's step is ten times as long, since
a tenth of it is kept, the averaging rate. Adam's step does not depend on that, but for its ε, which on Atari is a tenth
of the other agents'; theirs is a centred RMSProp.
"""

import dataclasses
import math

from jaxq.bellman import Decomposed, Logarithmic, Mapped, Scalar, by_sign
from jaxq.configs import Q_LEARNING, Discount, Exploration, Layers, NStep, PlainOperator, QLearner, Targets, presets
from jaxq.errors import named, require
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(PlainOperator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of log_dqn."""

    log_scale: float = 0.5
    """c, the factor of the logarithm."""
    log_horizon: float = 100.0
    """k: the offset inside the logarithm is γ^k, so about so many steps back can still be told apart."""
    averaging_rate: float = 0.1
    """β_reg, the share of a step that is averaged in the space of returns."""


PRESETS = presets(Config, Q_LEARNING, everywhere={"discount": 0.96}, atari={"adam_epsilon": 1.5e-5})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    require(config.reward_clip > 0, "reward_clip", config.reward_clip, "positive")
    require(config.discount > 0, "discount", config.discount, "positive")
    largest_reward = config.reward_clip + abs(config.reward_shift)  # which is added to what is clipped
    largest = largest_reward / (1.0 - config.discount) if config.discount < 1 else math.inf
    offset = config.discount**config.log_horizon
    require(offset > 0, "log_horizon", config.log_horizon, f"less: {config.discount:g} to the power of it is zero")
    with named(scale="log_scale"):
        mappings = [Logarithmic(config.log_scale, offset, min(begun, 0.5 * largest), largest) for begun in (1.0, 0.0)]
    channels = tuple(Mapped(Scalar(1.0), mapping, config.averaging_rate) for mapping in mappings)
    representation = Decomposed(channels, (1.0, -1.0))
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation, channels=by_sign)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
