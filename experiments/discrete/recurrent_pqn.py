"""PQN with a memory (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024), a GRU after the torso.

For what one observation does not show, as in `--env gymnax/MemoryChain-bsuite`.
"""

import dataclasses
from typing import ClassVar

from jaxq.agents import RecurrentLambdaQLearning
from jaxq.bellman import Scalar
from jaxq.networks import GRU, ActionValueHead, RecurrentActionValueNetwork
from jaxq.runs import clean_errors, on_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.lambda_q_learning import DEFAULTS, LambdaQConfig, lambda_q_agent
from jaxq.training import OnPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(LambdaQConfig):
    """The fields of recurrent_pqn beside those of pqn."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("burn_in",)

    layer_norm: bool = True
    recurrent_width: int = 128
    """Units of the GRU."""
    burn_in: int = 0
    """Steps at the start of each rollout that only warm up the memory, which acting has left there."""


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    network = RecurrentActionValueNetwork(
        config.torso(training), ActionValueHead(num_actions), GRU(config.recurrent_width)
    )
    agent = lambda_q_agent(config, training, network, Scalar(), kind=RecurrentLambdaQLearning, burn_in=config.burn_in)
    return on_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
