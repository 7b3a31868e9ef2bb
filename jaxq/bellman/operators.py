"""Bellman operators: which weights over the actions of the next state make its value.

An operator is a function `(q_online, q_target) -> weights`, each [..., A]; a representation of the return backs up the
mixture (or the mean) that the weights describe. `q_online` are the learner's values of the next state, `q_target` the
target network's.
"""

import jax
import jax.numpy as jnp


def _greedy(q: jax.Array) -> jax.Array:
    return jax.nn.one_hot(jnp.argmax(q, axis=-1), q.shape[-1], dtype=q.dtype)


def maximum(q_online: jax.Array, q_target: jax.Array) -> jax.Array:
    """Q-learning (Watkins, 1989): the target's own greedy action. [..., A] -> [..., A]."""
    del q_online
    return _greedy(q_target)


def double(q_online: jax.Array, q_target: jax.Array) -> jax.Array:
    """Double Q-learning (van Hasselt et al., 2016, eq. 4): the action is the learner's, its value the target's."""
    del q_target
    return _greedy(q_online)
