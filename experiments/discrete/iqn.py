"""IQN (Dabney et al., Implicit Quantile Networks for Distributional Reinforcement Learning, 2018).

The next state's action is chosen by the samples that are then backed up; Dopamine draws others for the choice.
"""

import dataclasses

from jaxq.bellman import ImplicitQuantile
from jaxq.networks import ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import SAMPLED_QUANTILES, FractionsConfig, RiskConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, SAMPLED_QUANTILES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RiskConfig, FractionsConfig, QLearningConfig):
    """The fields of iqn beside those of all Q-learning."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = config.valued(ImplicitQuantile(config.huber_threshold))
    torso, hidden = config.split_torso(training)
    network = ActionValueNetwork(torso, config.head(num_actions, hidden))
    agent = q_learning_agent(config, training, network, representation)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
