"""Watkins's Q(λ) (Watkins, Learning from Delayed Rewards, 1989), over parallel environments.

As PQN, but traces end at actions that were not greedy.
"""

import dataclasses

from jaxq.bellman import Scalar, watkins_cut
from jaxq.configs import LAMBDA_Q_LEARNING, LambdaQLearner, Layers, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Layers, LambdaQLearner):
    """The axes of q_lambda."""

    layer_norm: bool = True


PRESETS = presets(Config, LAMBDA_Q_LEARNING)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions))
    agent = config.make_lambda_q_learner(training, network, Scalar(), cut=watkins_cut)
    return config.make_training(agent, training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
