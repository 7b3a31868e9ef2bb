"""Layer normalization, with the reductions that suit the platform, and batch renormalization."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq import platforms
from jaxq.networks.modes import Mode

_EPSILON = 1e-6
# On the CPU, XLA sums over so narrow a last axis one element at a time, and a product with a vector is faster; over
# wider ones its own sums are.
_NARROW = 64


def _weighted_sum(x: jax.Array, weight: jax.Array, by_product: bool) -> jax.Array:
    """`Σ x weight` over the last axis, which is kept: [..., F], [F] -> [..., 1]."""
    if by_product:
        return (x.reshape(-1, x.shape[-1]) @ weight[:, None]).reshape(*x.shape[:-1], 1)
    return jnp.sum(x * weight, axis=-1, keepdims=True)


def _sum_over_batch(x: jax.Array) -> jax.Array:
    """[..., F] -> [F]: a product with a vector as well, of no fewer digits."""
    x = x.reshape(-1, x.shape[-1])
    return jnp.matmul(jnp.ones(x.shape[0], x.dtype), x, precision=jax.lax.Precision.HIGHEST)


def normalize(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """`scale (x - mean) / std + bias` over the last axis (Ba et al., Layer Normalization, 2016, eq. 3 and 4).

    Args:
      x: [..., F].
      scale, bias: [F].
    """
    return _normalized(x, scale, bias, x.shape[-1] <= _NARROW and platforms.on_cpu())


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalized(x: jax.Array, scale: jax.Array, bias: jax.Array, by_product: bool) -> jax.Array:
    # How it is summed is an argument: JAX may trace a function with derivatives of its own after its caller is done.
    return _forward(x, scale, bias, by_product)[0]


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, by_product: bool) -> Any:
    each = jnp.full(x.shape[-1], 1.0 / x.shape[-1], x.dtype)
    mean = _weighted_sum(x, each, by_product)
    variance = _weighted_sum(x * x, each, by_product) - mean * mean
    inverse = jax.lax.rsqrt(jnp.maximum(variance, 0.0) + _EPSILON)
    normal = (x - mean) * inverse
    return normal * scale + bias, (normal, inverse, scale)


def _backward(by_product: bool, kept: Any, slope: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    normal, inverse, scale = kept
    each = scale / scale.size
    # One product serves the gradients of scale and of x.
    aligned = slope * normal
    of_slope, of_aligned = (_weighted_sum(of, each, by_product) for of in (slope, aligned))
    of_x = inverse * (slope * scale - of_slope - normal * of_aligned)
    return of_x, _sum_over_batch(aligned), _sum_over_batch(slope)


_normalized.defvjp(_forward, _backward)


class LayerNorm(nn.Module):
    """`normalize`; the parameters are those of `nn.LayerNorm`, whose 1e-6 is below PyTorch's. [..., F] -> [..., F]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        return normalize(x, scale, bias)


class BatchRenorm(nn.Module):
    """Batch renormalization (Ioffe, 2017, algorithm 1), as CrossQ uses it (Bhatt et al., 2024). [B, F] -> [B, F].

    When learning, a batch is normalized by its own mean and variance, and then, so that the result is what the running
    statistics would have given, stretched by `r = σ_batch / σ` and moved by `d = (μ_batch - μ) / σ`, both clipped and
    without gradient; for the first `warmup` batches it is not, which is batch normalization. In all other modes the
    running statistics normalize. They are in the collection `statistics`, and learning moves them.

    The constants are those of CrossQ's authors' code: r and d may be 3 and 5 at once, without the paper's ramp.

    Attributes:
      mode: of the pass.
      momentum: what is kept of the running statistics at every batch.
      epsilon: added to variances.
      warmup: batches of plain batch normalization; infinity for nothing else.
      largest_stretch, largest_shift: r is kept in [1 / r_max, r_max], d in ± d_max.
    """

    mode: Mode
    momentum: float = 0.99
    epsilon: float = 1e-3
    warmup: float = 100_000
    largest_stretch: float = 3.0
    largest_shift: float = 5.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        size = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (size,))
        bias = self.param("bias", nn.initializers.zeros, (size,))
        mean = self.variable("statistics", "mean", jnp.zeros, (size,))
        variance = self.variable("statistics", "variance", jnp.ones, (size,))
        batches = self.variable("statistics", "batches", jnp.zeros, (), jnp.float32)
        if self.mode != "learn":
            return scale * (x - mean.value) * jax.lax.rsqrt(variance.value + self.epsilon) + bias
        own_mean, own_variance = jnp.mean(x, axis=0), jnp.var(x, axis=0)
        own_std, std = jnp.sqrt(own_variance + self.epsilon), jnp.sqrt(variance.value + self.epsilon)
        stretch = jnp.clip(own_std / std, 1.0 / self.largest_stretch, self.largest_stretch)
        shift = jnp.clip((own_mean - mean.value) / std, -self.largest_shift, self.largest_shift)
        renormalizes = batches.value >= self.warmup
        stretch = jax.lax.stop_gradient(jnp.where(renormalizes, stretch, 1.0))
        shift = jax.lax.stop_gradient(jnp.where(renormalizes, shift, 0.0))
        if not self.is_initializing():
            mean.value += (1.0 - self.momentum) * (jax.lax.stop_gradient(own_mean) - mean.value)
            variance.value += (1.0 - self.momentum) * (jax.lax.stop_gradient(own_variance) - variance.value)
            batches.value += 1.0
        return scale * ((x - own_mean) / own_std * stretch + shift) + bias
