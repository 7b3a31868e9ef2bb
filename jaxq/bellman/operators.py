"""Bellman operators: what of the next state's actions is backed up, and what is added to the reward.

An operator is a pytree whose numbers are leaves. From the action values of the learner and of the target network it
gives the weights with which a representation mixes the next state's actions, a bonus inside the discounted value, and a
bonus to the reward.
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.bellman.arithmetic import value_of
from jaxq.bellman.games import solve_matrix_game
from jaxq.hyperparameters import BelowOne, Hyperparameters, Negative, Positive, Share


def greedy(q: jax.Array) -> jax.Array:
    """One-hot of the best action, [..., A] -> [..., A]."""
    return jax.nn.one_hot(jnp.argmax(q, axis=-1), q.shape[-1], dtype=q.dtype)


class Operator(Hyperparameters):
    """Base of all operators; `weights` is theirs, and no bonus unless they say otherwise."""

    @property
    def adds_to_rewards(self) -> bool:
        """Whether it has a bonus."""
        kind = type(self)
        return kind.next_bonus is not Operator.next_bonus or kind.reward_bonus is not Operator.reward_bonus

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """Probabilities of the next state's actions [B, A], from the learner's and the target's values there."""
        raise NotImplementedError

    def bonus(self, q_target: jax.Array, action: jax.Array, discount: jax.Array, next_q_target: jax.Array) -> jax.Array:
        """[B] all that is added to the reward of a step.

        Args:
          q_target: [B, A] target values of the state that was left.
          action: [B] taken there.
          discount: [B] of the value that follows.
          next_q_target: [B, A] target values of the state arrived at.
        """
        return self.reward_bonus(q_target, action) + discount * self.next_bonus(next_q_target)

    def next_bonus(self, q_target: jax.Array) -> jax.Array:
        """[B] what is added to the next state's value, from its target values [B, A]."""
        return jnp.zeros(q_target.shape[:-1], q_target.dtype)

    def reward_bonus(self, q_target: jax.Array, action: jax.Array) -> jax.Array:
        """[B] what is added to the reward, from the target values [B, A] of the state that was left by `action`."""
        del action
        return jnp.zeros(q_target.shape[:-1], q_target.dtype)


class Maximum(Operator):
    """Q-learning (Watkins, 1989): the target's own greedy action."""

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """See `Operator.weights`."""
        del q_online
        return greedy(q_target)


class Double(Operator):
    """Double Q-learning (van Hasselt et al., 2016, eq. 4): the action is the learner's, its value the target's."""

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """See `Operator.weights`."""
        del q_target
        return greedy(q_online)


class Soft(Operator):
    """Entropy-regularized backup (Haarnoja et al., 2017): `Σ π (q - τ log π) = τ log Σ exp(q / τ)`, π = softmax(q / τ).

    Attributes:
      temperature: τ > 0.
    """

    temperature: Positive

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """See `Operator.weights`."""
        del q_online
        return jax.nn.softmax(q_target / self.temperature, axis=-1)

    def next_bonus(self, q_target: jax.Array) -> jax.Array:
        """See `Operator.next_bonus`: τ times the policy's entropy."""
        log_policy = jax.nn.log_softmax(q_target / self.temperature, axis=-1)
        return -self.temperature * jnp.sum(jnp.exp(log_policy) * log_policy, axis=-1)


class Expected(Operator):
    """Expected Sarsa (van Seijen et al., 2009) for the ε-greedy policy of the target's values.

    Attributes:
      epsilon: probability of a uniformly random action.
    """

    epsilon: Share

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """See `Operator.weights`."""
        del q_online
        return (1.0 - self.epsilon) * greedy(q_target) + self.epsilon / q_target.shape[-1]


class Munchausen(Soft):
    """Munchausen RL (Vieillard et al., 2020, eq. 2): `r + α [τ log π(a|s)]_{l0}^0` and the soft backup.

    Attributes:
      temperature: τ, 0.03 in the paper.
      scale: α, 0.9 in the paper.
      floor: l0, -1 in the paper.
    """

    scale: BelowOne = 0.9
    floor: Negative = -1.0

    def reward_bonus(self, q_target: jax.Array, action: jax.Array) -> jax.Array:
        """See `Operator.reward_bonus`."""
        log_policy = jax.nn.log_softmax(q_target / self.temperature, axis=-1)
        return self.scale * jnp.clip(self.temperature * value_of(log_policy, action), self.floor, 0.0)


class AdvantageLearning(Maximum):
    """Advantage learning (Bellemare et al., Increasing the Action Gap, 2016, eq. 6): `r - α (max q(s, ·) - q(s, a))`.

    Attributes:
      scale: α in [0, 1).
    """

    scale: BelowOne = 0.9

    def reward_bonus(self, q_target: jax.Array, action: jax.Array) -> jax.Array:
        """See `Operator.reward_bonus`."""
        return -self.scale * (jnp.max(q_target, axis=-1) - value_of(q_target, action))


class Mellowmax(Operator):
    """Mellowmax (Asadi and Littman, 2017): `log(mean exp(ω q)) / ω`, the value; its weights are those of softmax(ω q).

    Attributes:
      sharpness: ω > 0.
    """

    sharpness: Positive

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """See `Operator.weights`."""
        del q_online
        return jax.nn.softmax(self.sharpness * q_target, axis=-1)

    def next_bonus(self, q_target: jax.Array) -> jax.Array:
        """See `Operator.next_bonus`: what the mellow maximum lies above the mean under its weights."""
        value = jax.nn.logsumexp(self.sharpness * q_target, axis=-1) - jnp.log(q_target.shape[-1])
        weights = self.weights(q_target, q_target)
        return value / self.sharpness - jnp.sum(weights * q_target, axis=-1)


class Minimax(Operator):
    """Minimax-Q (Littman, 1994): the value of the zero-sum stage game that the next state's values make.

    Actions are pairs, `i * columns + j`; the weights are the product of both players' equilibrium strategies.

    Attributes:
      rows: the maximizing player's actions.
    """

    rows: int = struct.field(pytree_node=False)

    def strategies(self, q: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Equilibrium strategies of both players, [..., A] -> [..., rows] and [..., columns]."""
        games = q.reshape(-1, self.rows, q.shape[-1] // self.rows)
        _, row, column = jax.vmap(solve_matrix_game)(games)
        return row.reshape(*q.shape[:-1], -1), column.reshape(*q.shape[:-1], -1)

    def weights(self, q_online: jax.Array, q_target: jax.Array) -> jax.Array:
        """See `Operator.weights`."""
        del q_online
        row, column = self.strategies(q_target)
        return (row[..., :, None] * column[..., None, :]).reshape(q_target.shape)
