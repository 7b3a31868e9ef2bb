"""Minimax-DQN (Littman, Markov Games as a Framework for Multi-Agent RL, 1994; Fan et al., 2020), for zero-sum games.

Actions are pairs; the next state's value is that of the stage game that its action values make. Both players explore
and learn in one network. The return of an evaluation, where both play the greedy pair, says little: the values do.
"""

import dataclasses

from jaxq.bellman import operators
from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, Layers, NStep, QLearner, Targets, presets
from jaxq.errors import require
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of minimax_dqn."""

    env: str = "tabular/MarkovGame"
    rows: int = 3
    """Actions of the maximizing player; action i * columns + j is the pair (i, j)."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    everywhere={"total_steps": 50_000, "epsilon_final": 1.0, "n_step": 1, "discount": 0.9},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    divides = num_actions % config.rows == 0
    require(divides, "rows", config.rows, f"a divisor of the {num_actions} actions of {config.env}")
    representation = config.make_scalar()
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation, operator=operators.Minimax(config.rows))
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
