"""Exact ground: small MDPs as arrays, and their solutions by dynamic programming. Plain numpy, and nothing learns here.

The oracle of the tests, and the environments of `tabular/`.
"""

from jaxq.tabular.mdps import MDP, MDPS, chain, cliff, gamble, garnet, gridworld, markov_game, vector_maze
from jaxq.tabular.solutions import (
    best_expected_utility,
    matrix_game_value,
    minimax_values,
    optimal_values,
    return_distributions,
    static_cvar,
)

__all__ = [
    "MDP",
    "MDPS",
    "best_expected_utility",
    "chain",
    "cliff",
    "gamble",
    "garnet",
    "gridworld",
    "markov_game",
    "matrix_game_value",
    "minimax_values",
    "optimal_values",
    "return_distributions",
    "static_cvar",
    "vector_maze",
]
