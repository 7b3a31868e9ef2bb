"""Exact solutions of small MDPs by dynamic programming."""

import functools
from collections.abc import Callable

import numpy as np

from jaxq.errors import require
from jaxq.tabular.mdps import MDP


def optimal_values(
    mdp: MDP,
    discount: float,
    value: Callable[[np.ndarray], np.ndarray] = lambda q: q.max(axis=1),
    bonus: Callable[[np.ndarray], np.ndarray] = lambda q: np.zeros_like(q),
    sweeps: int = 100_000,
    tolerance: float = 1e-12,
) -> np.ndarray:
    """The fixed point of `q(s, a) = E[r + bonus(q)(s, a) + γ value(q)(s')]`, by value iteration.

    Args:
      mdp: with scalar rewards.
      discount: γ.
      value: [S, A] -> [S], the maximum unless given.
      bonus: [S, A] -> [S, A], none unless given.
      sweeps, tolerance: iteration ends at whichever comes first.

    Returns:
      [S, A]; rows of terminal states are zero.
    """
    q = np.zeros((mdp.num_states, mdp.num_actions))
    going_on = ~mdp.terminal[:, None]
    for _ in range(sweeps):
        v = np.where(mdp.terminal, 0.0, value(q))
        new = going_on * (mdp.expected_reward + bonus(q) + discount * mdp.transition @ v)
        if np.abs(new - q).max() < tolerance:
            return new
        q = new
    return q


def return_distributions(
    mdp: MDP, policy: np.ndarray, discount: float, grid: np.ndarray, sweeps: int = 2_000
) -> np.ndarray:
    """Distributions of the return of every state and action under a policy, by distributional dynamic programming.

    Masses are shared by the two grid points around them, so means are exact, and all is exact where returns fall on
    the grid (Bellemare, Dabney and Rowland, Distributional Reinforcement Learning, 2023, chapter 5).

    Args:
      mdp: with scalar rewards.
      policy: [S, A] probabilities.
      discount: γ.
      grid: [N] rising values that hold all returns.
      sweeps: of the iteration.

    Returns:
      [S, A, N] probabilities; those of terminal states are all at zero.
    """
    size = grid.size

    def place(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[M] values -> the grid point below each, and the share of the one above."""
        value = np.clip(value, grid[0], grid[-1])
        below = np.minimum(np.searchsorted(grid, value, side="right") - 1, size - 2)
        return below, (value - grid[below]) / (grid[below + 1] - grid[below])

    def project(below: np.ndarray, above: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """Masses [M] in their places -> [N]."""
        return np.bincount(below, masses * (1.0 - above), size) + np.bincount(below + 1, masses * above, size)

    states, actions = mdp.num_states, mdp.num_actions
    moves = {}
    for s, a, t in zip(*np.nonzero(mdp.transition), strict=True):
        moves[s, a, t] = place(mdp.reward[s, a, t] + (0.0 if mdp.terminal[t] else discount) * grid)
    zero = project(*place(np.zeros(1)), np.ones(1))
    out = np.broadcast_to(zero, (states, actions, size)).copy()
    for _ in range(sweeps):
        following = np.einsum("sa,san->sn", policy, out)
        new = np.zeros_like(out)
        for (s, a, t), places in moves.items():
            new[s, a] += project(*places, mdp.transition[s, a, t] * following[t])
        new[mdp.terminal] = zero
        if np.abs(new - out).max() < 1e-12:
            return new
        out = new
    return out


def best_expected_utility(
    mdp: MDP, discount: float, utility: Callable[[float], float], horizon: int
) -> tuple[float, dict[tuple[int, int, float], int]]:
    """The largest `E[u(G)]` over policies that know the reward so far, by stock-augmented dynamic programming.

    Exact: it walks every reachable (time, state, discounted reward so far), so it is for short horizons (Pires et al.,
    Optimizing Return Distributions with Distributional Dynamic Programming, 2025; Bäuerle and Ott, 2011).

    Args:
      mdp: with scalar rewards and a single first state.
      discount: γ.
      utility: u, of the discounted return G.
      horizon: steps after which an episode ends.

    Returns:
      The value at the start, and the best action by (time, state, discounted reward so far, rounded to 1e-9).
    """
    require(mdp.initial.max() == 1.0, "initial", mdp.initial.tolist(), "one state with probability 1")
    policy: dict[tuple[int, int, float], int] = {}

    @functools.cache
    def best(time: int, state: int, gained: float) -> float:
        if time == horizon or mdp.terminal[state]:
            return utility(gained)
        values = []
        for a in range(mdp.num_actions):
            following = np.nonzero(mdp.transition[state, a])[0]
            values.append(
                sum(
                    mdp.transition[state, a, t]
                    * best(time + 1, int(t), round(gained + discount**time * mdp.reward[state, a, t], 9))
                    for t in following
                )
            )
        policy[time, state, gained] = int(np.argmax(values))
        return max(values)

    return best(0, int(np.argmax(mdp.initial)), 0.0), policy


def static_cvar(mdp: MDP, discount: float, level: float, horizon: int, thresholds: np.ndarray) -> tuple[float, float]:
    """The largest CVaR of the return: `max_b b + max_π E[min(G - b, 0)] / level` (Rockafellar and Uryasev, 2000).

    Args:
      mdp, discount, horizon: as of `best_expected_utility`.
      level: of the CVaR, in (0, 1].
      thresholds: [M] values of b to try; exact if the returns are among them.

    Returns:
      The CVaR, and the b at which it is reached.
    """

    def at(b: float) -> float:
        return b + best_expected_utility(mdp, discount, lambda g: min(g - b, 0.0), horizon)[0] / level

    values = [at(float(b)) for b in thresholds]
    best = int(np.argmax(values))
    return values[best], float(thresholds[best])


def matrix_game_value(payoff: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and maximin strategy of a zero-sum matrix game [rows, columns], by linear programming."""
    import scipy.optimize  # here, as every script would wait for it, and only games are solved by it

    rows, columns = payoff.shape
    result = scipy.optimize.linprog(
        c=[*np.zeros(rows), -1.0],
        A_ub=np.hstack([-payoff.T, np.ones((columns, 1))]),
        b_ub=np.zeros(columns),
        A_eq=[[*np.ones(rows), 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    return float(result.x[-1]), result.x[:-1]


def minimax_values(mdp: MDP, discount: float, sweeps: int = 500) -> np.ndarray:
    """Action values [S, A] of a zero-sum Markov game in equilibrium, by Shapley's value iteration (1953)."""

    def stage_values(q: np.ndarray) -> np.ndarray:
        return np.array([matrix_game_value(stage.reshape(mdp.rows, -1))[0] for stage in q])

    return optimal_values(mdp, discount, stage_values, sweeps=sweeps, tolerance=1e-9)
