"""Rainbow (Hessel et al., Combining Improvements in Deep Reinforcement Learning, 2018).

C51 with double targets, prioritized replay, n-step returns, dueling streams and noisy layers in place of ε-greedy.
"""

import dataclasses

from jaxq.bellman import Categorical, Support, operators
from jaxq.networks import ActionValueNetwork, DuelingHead, torso_for
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.q_learning import PRESETS, QLearningConfig, hyperparameters, make_discrete_environments, q_learning_agent
from jaxq.training import OffPolicy

# Exploration is the noise's alone.
NOISY = {"epsilon_initial": 0.0, "epsilon_final": 0.0, "n_step": 3, "priority_exponent": 0.5}
RAINBOW_PRESETS = {domain: {**preset, **NOISY} for domain, preset in PRESETS.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of rainbow beside those of all Q-learning."""

    v_min: float = -10.0
    """Lowest atom of the support."""
    v_max: float = 10.0
    """Highest atom of the support."""
    num_atoms: int = 51
    """Atoms of the support."""
    stream_width: int = 128
    """Units of the hidden layer of either stream."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = Categorical(Support(config.v_min, config.v_max, config.num_atoms))
    network = ActionValueNetwork(
        torso_for(training.observation_spec, config.hidden_widths),
        DuelingHead(num_actions, representation.width, config.stream_width, noisy=True),
    )
    hyper = hyperparameters(config, operators.Double())
    agent = q_learning_agent(config, training, network, representation, hyper)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, RAINBOW_PRESETS))
