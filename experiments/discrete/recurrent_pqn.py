"""PQN with a memory (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024), a GRU after the torso.

For what one observation does not show, as in `--env gymnax/MemoryChain-bsuite`. In the authors' code the GRU is told
the last action too, returns are computed anew in every minibatch, and the four steps before a rollout are gone over
again; here returns are those of the rollout, and a burn-in takes its steps from it. Numbers are those of `pqn`; for
MemoryChain theirs are a constant step size of 1e-3, ε of 0.01, rollouts of 128 steps and a GRU of 256 units.
"""

import dataclasses
from typing import ClassVar

from jaxq.agents import RecurrentLambdaQLearning
from jaxq.bellman import Scalar
from jaxq.configs import LAMBDA_Q_LEARNING, LambdaQLearner, Layers, presets
from jaxq.networks import GRU, ActionValueHead, RecurrentActionValueNetwork
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Layers, LambdaQLearner):
    """The axes of recurrent_pqn."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("burn_in",)

    layer_norm: bool = True
    recurrent_width: int = 128
    """Units of the GRU."""
    burn_in: int = 0
    """Steps at the start of each rollout that only warm up the memory, which acting has left there."""


PRESETS = presets(Config, LAMBDA_Q_LEARNING)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    network = RecurrentActionValueNetwork(
        config.make_torso(training), ActionValueHead(num_actions), GRU(config.recurrent_width)
    )
    agent = config.make_lambda_q_learner(
        training, network, Scalar(), kind=RecurrentLambdaQLearning, burn_in=config.burn_in
    )
    return config.make_training(agent, training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
