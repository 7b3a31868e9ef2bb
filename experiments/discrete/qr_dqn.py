"""QR-DQN (Dabney et al., Distributional Reinforcement Learning with Quantile Regression, 2018)."""

import dataclasses

from jaxq.bellman import Quantile
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import FINE_STEPS, RiskConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, FINE_STEPS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RiskConfig, QLearningConfig):
    """The fields of qr_dqn beside those of all Q-learning."""

    num_quantiles: int = 200
    """Quantiles of the return."""
    huber_threshold: float = 1.0
    """Where the quantile loss turns from square to linear; 0 for the plain quantile loss."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = config.valued(Quantile(config.num_quantiles, config.huber_threshold))
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
