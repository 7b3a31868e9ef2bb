"""PQN (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024).

Q-learning without replay or target network: λ-returns over parallel environments, and a layer-normalized network.
"""

import dataclasses

from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, on_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.lambda_q_learning import DEFAULTS, LambdaQConfig, lambda_q_agent
from jaxq.training import OnPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(LambdaQConfig):
    """The fields of pqn."""

    layer_norm: bool = True


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions))
    agent = lambda_q_agent(config, training, network, Scalar())
    return on_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
