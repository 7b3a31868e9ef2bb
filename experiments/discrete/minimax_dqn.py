"""Minimax-DQN (Littman, Markov Games as a Framework for Multi-Agent RL, 1994; Fan et al., 2020), for zero-sum games.

Actions are pairs; the next state's value is that of the stage game that its action values make. Both players explore
and learn in one network. The return of an evaluation, where both play the greedy pair, says little: the values do.
"""

import dataclasses

from jaxq.bellman import Scalar, operators
from jaxq.errors import require
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, everywhere(total_steps=50_000, epsilon_final=1.0, n_step=1, discount=0.9))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of minimax_dqn beside those of all Q-learning."""

    env: str = "tabular/MarkovGame"
    rows: int = 3
    """Actions of the maximizing player; action i * columns + j is the pair (i, j)."""
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    divides = config.rows >= 1 and num_actions % config.rows == 0
    require(divides, "rows", config.rows, f"a divisor of the {num_actions} actions of {config.env}")
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions))
    operator = operators.Minimax(config.rows)
    agent = q_learning_agent(config, training, network, Scalar(config.huber_threshold), operator)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
