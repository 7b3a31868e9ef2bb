"""Zero-sum matrix games, solved exactly inside a compiled program."""

import jax
import jax.numpy as jnp

_TOLERANCE = 1e-6


def solve_matrix_game(payoff: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Value and equilibrium of a zero-sum game by the simplex method with Bland's rule, which cannot cycle.

    With payoffs made positive, the columns' strategy is the solution of `max Σ y, P y <= 1, y >= 0`, scaled to a sum of
    one; the rows' is that of the dual (von Neumann; Dantzig, Linear Programming and Extensions, 1963, chapter 13).

    Args:
      payoff: [R, C] to the row player.

    Returns:
      The value [], the rows' strategy [R] and the columns' [C].
    """
    rows, columns = payoff.shape
    low, high = jnp.min(payoff), jnp.max(payoff)
    spread = jnp.maximum(high - low, 1e-12)
    positive = 1.0 + (payoff - low) / spread
    # Columns: y, slacks, right-hand side; the last row holds the reduced costs.
    body = jnp.concatenate([positive, jnp.eye(rows), jnp.ones((rows, 1))], axis=1)
    costs = jnp.concatenate([-jnp.ones(columns), jnp.zeros(rows + 1)])
    tableau = jnp.concatenate([body, costs[None]])
    basis = columns + jnp.arange(rows)

    def improvable(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        tableau, _, count = carry
        # Bland's rule ends after finitely many pivots; rounding could stretch that, so they are counted too.
        return (tableau[-1, :-1] < -_TOLERANCE).any() & (count < 20 * (rows + columns))

    def pivot(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        tableau, basis, count = carry
        entering = jnp.argmax(tableau[-1, :-1] < -_TOLERANCE)
        column = tableau[:-1, entering]
        # Where several constraints bind at once, rounding leaves right-hand sides a little below zero.
        right = jnp.maximum(tableau[:-1, -1], 0.0)
        ratio = jnp.where(column > _TOLERANCE, right / jnp.maximum(column, _TOLERANCE), jnp.inf)
        tied = ratio <= jnp.min(ratio) + _TOLERANCE
        leaving = jnp.argmin(jnp.where(tied, basis, rows + columns))
        row = tableau[leaving] / tableau[leaving, entering]
        tableau = (tableau - tableau[:, entering][:, None] * row).at[leaving].set(row)
        return tableau, basis.at[leaving].set(entering), count + 1

    tableau, basis, _ = jax.lax.while_loop(improvable, pivot, (tableau, basis, jnp.int32(0)))
    y = jnp.zeros(columns + rows).at[basis].set(tableau[:-1, -1], unique_indices=True)[:columns]
    x = jnp.maximum(tableau[-1, columns:-1], 0.0)
    total = jnp.sum(y)
    return (1.0 / total - 1.0) * spread + low, x / jnp.sum(x), y / total
