"""FQF (Yang et al., Fully Parameterized Quantile Function for Distributional Reinforcement Learning, 2019)."""

import dataclasses

import optax

from jaxq.agents import except_for
from jaxq.bellman import FullyParameterizedQuantile
from jaxq.errors import require
from jaxq.networks import FRACTIONS, ActionValueNetwork, FullyParameterizedHead
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import FINE_STEPS, RiskConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, adam, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, FINE_STEPS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RiskConfig, QLearningConfig):
    """The fields of fqf beside those of all Q-learning."""

    num_quantiles: int = 32
    """Quantiles, at fractions that are learned."""
    fraction_rate: float = 5e-5
    """Step size of the fractions' RMSProp, as a share of the learning rate; 2.5e-9 over 5e-5 in the paper."""
    huber_threshold: float = 1.0
    """Where the quantile loss turns from square to linear."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = config.valued(FullyParameterizedQuantile(config.num_quantiles, config.huber_threshold))
    torso, hidden = config.split_torso(training)
    network = ActionValueNetwork(torso, FullyParameterizedHead(num_actions, hidden, config.num_quantiles))
    require(config.fraction_rate >= 0, "fraction_rate", config.fraction_rate, "0 or more")
    slowly = optax.chain(optax.scale_by_rms(0.95, 1e-5), optax.scale(config.fraction_rate))
    optimizer = except_for(FRACTIONS, slowly, adam(config))
    agent = q_learning_agent(config, training, network, representation, optimizer=optimizer)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
