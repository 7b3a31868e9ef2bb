"""Products of values, rewards and probabilities, in float32 on every platform.

GPUs multiply matrices in TF32 and TPUs in bfloat16 unless they are told otherwise, and `MixedPrecision` tells GPUs to
take bfloat16 too. Networks bear that; a return of 100 would be known to 0.05, or to 0.4.
"""

import functools

import jax
import jax.numpy as jnp

exact_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
exact_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def mixture(weights: jax.Array, predictions: jax.Array) -> jax.Array:
    """The predictions of actions, weighted: [..., A], [..., A, W] -> [..., W]."""
    return exact_einsum("...a,...aw->...w", weights, predictions)


def value_of(values: jax.Array, choice: jax.Array) -> jax.Array:
    """The values of choices: finite [..., A], [...] int -> [...].

    A sum with the one-hot choice: its gradient is a product, where that of a gather is a scatter.
    """
    return jnp.sum(values * jax.nn.one_hot(choice, values.shape[-1], dtype=values.dtype), axis=-1)


def chosen(predictions: jax.Array, choice: jax.Array) -> jax.Array:
    """The predictions of choices: [..., A, W], [...] int -> [..., W].

    By a product as of `value_of`.
    """
    one_hot = jax.nn.one_hot(choice, predictions.shape[-2], dtype=predictions.dtype)
    return exact_einsum("...aw,...a->...w", predictions, one_hot)
