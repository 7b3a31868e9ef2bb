"""DQN with cross-entropy to a Gaussian histogram, HL-Gauss (Farebrother et al., Stop Regressing, 2024)."""

import dataclasses

from jaxq.bellman import HLGauss, Support
from jaxq.networks import ActionValueHead, ActionValueNetwork, torso_for
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.q_learning import PRESETS, QLearningConfig, hyperparameters, make_discrete_environments, q_learning_agent
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of hl_gauss beside those of all Q-learning."""

    v_min: float = -10.0
    """Lowest atom of the support."""
    v_max: float = 10.0
    """Highest atom of the support."""
    num_atoms: int = 51
    """Atoms of the support."""
    smoothing: float = 0.75
    """Width of the Gaussian in bin widths."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = HLGauss(Support(config.v_min, config.v_max, config.num_atoms), config.smoothing)
    network = ActionValueNetwork(
        torso_for(training.observation_spec, config.hidden_widths), ActionValueHead(num_actions, representation.width)
    )
    agent = q_learning_agent(config, training, network, representation, hyperparameters(config))
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
