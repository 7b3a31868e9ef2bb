"""Proto-value networks (Farebrother et al., Scaling Representation Learning with Auxiliary Tasks, 2023).

The torso learns the successor measure of random sets of states; a linear value function stands on it.
"""

import dataclasses

from jaxq.agents import AuxiliaryQLearning, random_indicators
from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork, RandomFeatures
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of proto_values beside those of all Q-learning."""

    num_tasks: int = 64
    """Auxiliary tasks."""
    coverage: float = 0.05
    """Share of states that a random set holds."""
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions))
    base = q_learning_agent(config, training, network, Scalar(config.huber_threshold))
    agent = AuxiliaryQLearning(
        base,
        RandomFeatures(config.torso(training), config.num_tasks),
        num_actions,
        config.num_tasks,
        task=random_indicators,
        coverage=config.coverage,
        learns_from_values=False,
    )
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
