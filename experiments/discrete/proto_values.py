"""Proto-value networks (Farebrother et al., Scaling Representation Learning with Auxiliary Tasks, 2023).

The torso learns the successor measure of random sets of states; a linear value function stands on it. The authors learn
a far larger torso offline first, and the value function on it after that; here both are learned at once, from what the
agent does. Their sets hold a hundredth of the states in the configuration that is public, and their reward is the
present state's, ours the next one's.
"""

import dataclasses

from jaxq.agents import AuxiliaryQLearning, random_indicators
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork, RandomFeatures
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of proto_values."""

    num_tasks: int = 64
    """Auxiliary tasks."""
    coverage: float = 0.05
    """Share of states that a random set holds."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions))
    base = config.make_q_learner(training, network, config.make_scalar())
    agent = AuxiliaryQLearning(
        base,
        RandomFeatures(config.make_torso(training), config.num_tasks),
        num_actions,
        config.num_tasks,
        task=random_indicators,
        coverage=config.coverage,
        learns_from_values=False,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
