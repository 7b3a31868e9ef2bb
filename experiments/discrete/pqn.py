"""PQN (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024).

Q-learning without replay or target network: λ-returns over parallel environments, and a layer-normalized network.
Layers of images begin as all of ours do, theirs by He et al. (2015); MinAtar's planes of zeros and ones are seen as
they are, which theirs divide by 255; and returns begin with the value of the state after the last, where their code for
MinAtar begins with that of one later.
"""

import dataclasses

from jaxq.bellman import Scalar
from jaxq.configs import LAMBDA_Q_LEARNING, LambdaQLearner, Layers, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Layers, LambdaQLearner):
    """The axes of pqn."""

    layer_norm: bool = True


PRESETS = presets(Config, LAMBDA_Q_LEARNING)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions))
    agent = config.make_lambda_q_learner(training, network, Scalar())
    return config.make_training(agent, training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
