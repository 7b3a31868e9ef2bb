"""DQN whose torso also predicts the values of random rewards (Lyle et al., On the Effect of Auxiliary Tasks, 2021)."""

import dataclasses

from jaxq.agents import AuxiliaryQLearning, random_rewards
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork, RandomFeatures
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of random_rewards."""

    num_tasks: int = 64
    """Auxiliary tasks."""


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
        task=random_rewards,
        coverage=0.5,
        learns_from_values=True,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
