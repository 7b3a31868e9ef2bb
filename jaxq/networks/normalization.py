"""Layer normalization, with the reductions that suit the platform."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

_EPSILON = 1e-6
# On the CPU, XLA sums over so narrow a last axis one element at a time, where a product with a vector is three times
# faster; over wider ones its own sums are.
_NARROW = 64


def _mean(x: jax.Array) -> jax.Array:
    """Over the last axis, which is kept: [..., F] -> [..., 1]."""
    size = x.shape[-1]
    if size > _NARROW or jax.default_backend() != "cpu":
        return jnp.mean(x, axis=-1, keepdims=True)
    return (x.reshape(-1, size) @ jnp.full((size, 1), 1.0 / size, x.dtype)).reshape(*x.shape[:-1], 1)


@jax.custom_vjp
def normalize(x: jax.Array) -> jax.Array:
    """`(x - mean) / std` over the last axis (Ba et al., Layer Normalization, 2016, eq. 3). [..., F] -> [..., F]."""
    return _forward(x)[0]


def _forward(x: jax.Array) -> Any:
    mean = _mean(x)
    scale = jax.lax.rsqrt(jnp.maximum(_mean(x * x) - mean * mean, 0.0) + _EPSILON)
    out = (x - mean) * scale
    return out, (out, scale)


def _backward(kept: Any, slope: jax.Array) -> tuple[jax.Array]:
    out, scale = kept
    return (scale * (slope - _mean(slope) - out * _mean(slope * out)),)


normalize.defvjp(_forward, _backward)


class LayerNorm(nn.Module):
    """`normalize`, scaled and shifted; the parameters are those of `nn.LayerNorm`. [..., F] -> [..., F]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        return normalize(x) * scale + bias
