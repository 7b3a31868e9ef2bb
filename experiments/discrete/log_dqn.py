"""LogDQN (van Seijen et al., Using a Logarithmic Mapping to Enable Lower Discount Factors in RL, 2019)."""

import dataclasses

from jaxq.bellman import Decomposed, Logarithmic, Mapped, Scalar, by_sign
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

# The paper's discount, lower than others can use.
PRESETS = merged(DEFAULTS, everywhere(discount=0.96))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of log_dqn beside those of all Q-learning."""

    log_scale: float = 0.5
    """c, the factor of the logarithm."""
    log_horizon: float = 100.0
    """k: the offset inside the logarithm is γ^k, so about so many steps back can still be told apart."""
    averaging_rate: float = 0.1
    """β_reg, the share of a step that is averaged in the space of returns."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    mapping = Logarithmic(config.log_scale, config.discount**config.log_horizon)
    channel = Mapped(Scalar(), mapping, config.averaging_rate)
    representation = Decomposed((channel, channel), (1.0, -1.0))
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation, channels=by_sign)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
