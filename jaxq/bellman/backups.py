"""The Bellman backup: an operator's choice of the next state's actions, backed up in a representation of the return."""

import jax

from jaxq.bellman.base import Representation
from jaxq.bellman.operators import Operator


def backup(
    representation: Representation,
    operator: Operator,
    reward: jax.Array,
    discount: jax.Array,
    next_prediction: jax.Array,
    next_q_online: jax.Array,
    q_target: jax.Array,
    action: jax.Array,
) -> jax.Array:
    """The target that `reward + discount * next` and the operator's bonuses make, [B, T].

    Of a window of n steps the bonuses of the first action and of the last state are known here, and those of the steps
    between are not: n-step soft and Munchausen backups leave them out, as published ones do (Vieillard et al., 2020,
    their code; BTR with n = 3). Who has all the states of a segment adds them to the rewards step by step, by
    `Operator.bonus`, and makes the target itself.

    Args:
      representation: of the return.
      operator: the Bellman operator.
      reward, discount: [B] or [B, C], and [B], as of `n_step_return`.
      next_prediction: [B, A, W] by the target, of the state after the window.
      next_q_online: [B, A] the learner's values there.
      q_target: [B, A] the target's values of the state where the window begins.
      action: [B] taken there.
    """
    next_q_target = representation.value(next_prediction)
    if operator.adds_to_rewards:
        reward = reward + operator.bonus(q_target, action, discount, next_q_target)
    return representation.target(reward, discount, next_prediction, operator.weights(next_q_online, next_q_target))
