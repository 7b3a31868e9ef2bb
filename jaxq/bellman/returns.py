"""Multi-step returns: what a window of rewards and the value after it amount to."""

import jax
import jax.numpy as jnp

from jaxq.bellman.arithmetic import exact_einsum, value_of


def n_step_return(
    rewards: jax.Array, steps: jax.Array, terminated: jax.Array, discount: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The rewards of an n-step window, discounted, and the discount of the value that follows it.

    The n-step target is `G + Γ v(s_{t+m})` with `G = Σ_{i<m} γ^i r_{t+i+1}` and `Γ = γ^m (1 - terminated)`
    (Sutton and Barto, Reinforcement Learning, 2nd ed., eq. 7.1, cut off at the episode's end).

    Args:
      rewards: [B, n] or, for rewards of C channels, [B, n, C]; zero beyond the episode's end.
      steps: [B] m, the number of rewards that count.
      terminated: [B] whether the state after the window is terminal.
      discount: γ, a scalar in [0, 1].

    Returns:
      G, [B] or [B, C], and Γ, [B].
    """
    powers = discount ** jnp.arange(rewards.shape[1], dtype=rewards.dtype)
    return exact_einsum("bn...,n->b...", rewards, powers), discount ** steps.astype(rewards.dtype) * (
        1.0 - terminated.astype(rewards.dtype)
    )


def before_end(ended: jax.Array, axis: int) -> jax.Array:
    """Whether a step belongs to the episode that the first one is of: no step before it ended that.

    Args:
      ended: bool, whether each step ended its episode, for whichever reason.
      axis: of time.
    """
    return jnp.cumsum(ended, axis=axis) - ended == 0


def cut_at_end(
    rewards: jax.Array, terminated: jax.Array, ended: jax.Array, n_step: jax.Array | int | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What of a run of n steps belongs to the window that begins with it: all up to the first end of an episode.

    Args:
      rewards: [B, n] or [B, n, C].
      terminated, ended: [B, n] whether each step ended its episode by termination, and for whichever reason.
      n_step: steps that count at most, which may be traced; n unless given.

    Returns:
      The rewards, zero beyond the end; [B] int32 in 1 .. n, how many count; [B] whether the window ends terminated.
    """
    counts = before_end(ended, axis=1)
    if n_step is not None:
        counts &= jnp.arange(counts.shape[1]) < n_step
    kept = counts.reshape(*counts.shape, *(1,) * (rewards.ndim - 2))
    return (
        jnp.where(kept, rewards, jnp.zeros_like(rewards)),
        counts.sum(axis=1).astype(jnp.int32),
        (terminated & counts).any(axis=1),
    )


def segment_returns(
    rewards: jax.Array, terminated: jax.Array, ended: jax.Array, discount: jax.Array, n_step: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """n-step returns of every step of a segment, cut short at an episode's end and at the segment's.

    Args:
      rewards, terminated, ended: [L, B]; `ended` for whichever reason.
      discount: γ.
      n_step: n.

    Returns:
      Returns G, discounts Γ of the value that follows (zero where terminal), each [L, B], and how many steps later
      that value is, [L, B] int32 in 1 .. n.
    """
    length, size = ended.shape

    def windows(x: jax.Array) -> jax.Array:  # [L, B] -> [L * B, n]
        later = [jnp.concatenate([x[i:], jnp.zeros_like(x[:i])]) for i in range(min(n_step, length))]
        return jnp.stack(later, axis=-1).reshape(length * size, -1)

    ended = ended.at[-1].set(True)
    cut, steps, terminal = cut_at_end(windows(rewards), windows(terminated), windows(ended))
    found = (*n_step_return(cut, steps, terminal, discount), steps)
    total, following, steps = (x.reshape(length, size) for x in found)
    return total, following, steps


def lambda_return(
    rewards: jax.Array, discounts: jax.Array, next_values: jax.Array, trace: jax.Array | float
) -> jax.Array:
    """λ-returns, `G_t = r_{t+1} + γ_{t+1} ((1 - λ) v_{t+1} + λ G_{t+1})`.

    Sutton and Barto, 2nd ed., eq. 12.2, made recursive.

    With `next_values` the maxima of action values these are the returns of Peng's Q(λ) (Peng and Williams, 1996), which
    PQN learns from.

    Args:
      rewards: [T, ...] r_{t+1}.
      discounts: [T, ...] γ_{t+1}, zero where s_{t+1} is terminal.
      next_values: [T, ...] v_{t+1}, the value of s_{t+1}; the return after the last step is its value.
      trace: λ in [0, 1], a scalar or [T, ...]; zero where an episode was cut off, so that its return ends in the value.

    Returns:
      [T, ...].
    """
    trace = jnp.broadcast_to(trace, rewards.shape)

    def step(following: jax.Array, now: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        reward, discount, value, share = now
        result = reward + discount * ((1.0 - share) * value + share * following)
        return result, result

    return jax.lax.scan(step, next_values[-1], (rewards, discounts, next_values, trace), reverse=True)[1]


def watkins_cut(q: jax.Array, action: jax.Array) -> jax.Array:
    """Where Watkins's Q(λ) (Watkins, 1989) goes on: 1 if the action was greedy, else 0. [..., A], [...] -> [...]."""
    return (value_of(q, action) >= jnp.max(q, axis=-1)).astype(q.dtype)


def peng_cut(q: jax.Array, action: jax.Array) -> jax.Array:
    """Peng's Q(λ) (Peng and Williams, 1996) goes on whatever the action was: 1. [..., A], [...] -> [...]."""
    del action
    return jnp.ones(q.shape[:-1], q.dtype)


def retrace_return(
    rewards: jax.Array,
    discounts: jax.Array,
    next_q_taken: jax.Array,
    next_values: jax.Array,
    next_ratios: jax.Array,
    trace: jax.Array | float,
) -> jax.Array:
    """Retrace(λ) targets (Munos et al., Safe and Efficient Off-Policy Reinforcement Learning, 2016, eq. 3 and 4).

    `G_t = r_{t+1} + γ_{t+1} (v_{t+1} + c_{t+1} (G_{t+1} - q_{t+1}))` with `c = λ min(1, π/μ)`.

    Args:
      rewards, discounts: [T, ...] as of `lambda_return`.
      next_q_taken: [T, ...] q(s_{t+1}, a_{t+1}); the last one begins the recursion, so the last target is one-step.
      next_values: [T, ...] Σ_a π(a|s_{t+1}) q(s_{t+1}, a).
      next_ratios: [T, ...] π(a_{t+1}|s_{t+1}) / μ(a_{t+1}|s_{t+1}).
      trace: λ in [0, 1].

    Returns:
      [T, ...].
    """
    cut = trace * jnp.minimum(1.0, next_ratios)

    def step(following: jax.Array, now: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        reward, discount, q, value, c = now
        result = reward + discount * (value + c * (following - q))
        return result, result

    return jax.lax.scan(step, next_q_taken[-1], (rewards, discounts, next_q_taken, next_values, cut), reverse=True)[1]
