"""Multi-step returns: what a window of rewards and the value after it amount to."""

import jax
import jax.numpy as jnp


def n_step_return(
    rewards: jax.Array, steps: jax.Array, terminated: jax.Array, discount: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The rewards of an n-step window, discounted, and the discount of the value that follows it.

    The n-step target is `G + Γ v(s_{t+m})` with `G = Σ_{i<m} γ^i r_{t+i+1}` and `Γ = γ^m (1 - terminated)`
    (Sutton and Barto, Reinforcement Learning, 2nd ed., eq. 7.1, cut off at the episode's end).

    Args:
      rewards: [B, n], zero beyond the episode's end.
      steps: [B] m, the number of rewards that count.
      terminated: [B] whether the state after the window is terminal.
      discount: γ, a scalar in [0, 1].

    Returns:
      G and Γ, each [B].
    """
    powers = discount ** jnp.arange(rewards.shape[1], dtype=rewards.dtype)
    return rewards @ powers, discount ** steps.astype(rewards.dtype) * (1.0 - terminated.astype(rewards.dtype))
