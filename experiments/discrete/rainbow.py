"""Rainbow (Hessel et al., Combining Improvements in Deep Reinforcement Learning, 2018).

C51 with double targets, prioritized replay, n-step returns, dueling streams and noisy layers in place of ε-greedy.
"""

import dataclasses

from jaxq.bellman import Categorical, operators
from jaxq.networks import ActionValueNetwork, DuelingHead
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import ATOMS, AtomsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

# Exploration is the noise's alone.
NOISY = everywhere(epsilon_initial=0.0, epsilon_final=0.0, n_step=3, priority_exponent=0.5)
PRESETS = merged(DEFAULTS, ATOMS, NOISY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(AtomsConfig, QLearningConfig):
    """The fields of rainbow: those of all Q-learning, and the atoms."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = Categorical(config.support)
    torso, hidden = config.split_torso(training)
    network = ActionValueNetwork(torso, DuelingHead(num_actions, representation.width, hidden, noisy=True))
    agent = q_learning_agent(config, training, network, representation, operators.Double())
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
