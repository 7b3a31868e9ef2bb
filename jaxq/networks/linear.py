"""The one matrix product of layers, and the dense layers: plain, and noisy.

A kernel's rows are its units, [O, I]. Its gradient is a product over the batch, the first axis of slopes and of inputs,
which XLA computes faster on the CPU with the narrower of the two on the left. Most layers, and all that are large, have
fewer units than inputs. `python -m benchmarks.products` measures layers kept either way.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.keys import streams
from jaxq.networks.modes import SAMPLES, Mode

_NARROW = 64  # inputs so few go on the left, and the result, small as it is, is transposed


@jax.custom_vjp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x kernelᵀ`: [..., I], [O, I] -> [..., O]."""
    return x @ kernel.T


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel.T, (x, kernel)


def _backward(kept: tuple[jax.Array, jax.Array], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    return slope @ kernel, _over_batch(slope.reshape(-1, slope.shape[-1]), x.reshape(-1, x.shape[-1]))


def _over_batch(slope: jax.Array, x: jax.Array) -> jax.Array:
    """`slopeᵀ x`, the gradient of the kernel: [B, O], [B, I] -> [O, I]."""
    # The barriers keep XLA from turning the products round where a transposition follows.
    if x.shape[1] <= min(_NARROW, slope.shape[1]):
        return jax.lax.optimization_barrier(x.T @ slope).T
    return jax.lax.optimization_barrier(slope.T @ x)


product.defvjp(_forward, _backward)

# Variance 1 / I for kernels [O, I].
lecun_normal = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
# A third of that, uniformly within ± 1 / √I: as PyTorch's do. What is squashed in the end begins far less saturated.
uniform_fan_in = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform", in_axis=-1, out_axis=-2)
# Variance 2 / (I + O), uniformly (Glorot and Bengio, 2010).
glorot_uniform = nn.initializers.glorot_uniform(in_axis=-1, out_axis=-2)


def uniform_within(limit: float) -> Callable[..., jax.Array]:
    """Parameters that begin uniformly in ± `limit`."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def largest_singular_value(matrix: jax.Array, steps: int = 8) -> jax.Array:
    """Of a matrix [m, n], by the power method; differentiable, its singular vectors held fixed."""
    fixed = jax.lax.stop_gradient(matrix)
    right = jnp.ones(matrix.shape[1]) / matrix.shape[1] ** 0.5
    for _ in range(steps):
        left = fixed @ right
        left = left / (jnp.linalg.norm(left) + 1e-12)
        right = fixed.T @ left
        right = right / (jnp.linalg.norm(right) + 1e-12)
    return left @ matrix @ right + 1e-12


class Dense(nn.Module):
    """A linear layer, with the parameters of `nn.Dense` but for its kernel, which is transposed. [..., I] -> [..., O].

    Attributes:
      features: O.
      kernel_init, bias_init: how its kernel [O, I] and its bias begin; the bias at zero unless given, and with None
        uniformly within ± 1 / √I, as PyTorch's do.
      spectral_norm: whether the kernel is divided by its largest singular value, as of `Conv`.
    """

    features: int
    kernel_init: Callable[..., jax.Array] = lecun_normal
    bias_init: Callable[..., jax.Array] | None = nn.initializers.zeros
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        kernel = self.param("kernel", self.kernel_init, (self.features, x.shape[-1]))
        if self.spectral_norm:
            kernel = kernel / largest_singular_value(kernel)
        bias_init = uniform_within(x.shape[-1] ** -0.5) if self.bias_init is None else self.bias_init
        return product(x, kernel) + self.param("bias", bias_init, (self.features,))


# Of so many units: layers as PyTorch's begin, in which some authors leave them so, and as by Glorot and Bengio.
pytorch_dense = functools.partial(Dense, kernel_init=uniform_fan_in, bias_init=None)
glorot_dense = functools.partial(Dense, kernel_init=glorot_uniform)


def orthogonal_dense(scale: float = 1.0) -> Callable[..., Dense]:
    """What makes layers, of so many units, whose kernels begin as `scale` times an orthogonal matrix."""
    return functools.partial(Dense, kernel_init=nn.initializers.orthogonal(scale))


class NoisyDense(nn.Module):
    """A linear layer with factorized Gaussian noise on its parameters (Fortunato et al., 2018, eq. 9 to 11).

    Initialized as in its section 3.2 with σ0 = 0.5; without noise when exploiting.

    Attributes:
      features: output units.
      initial_noise: σ0.
    """

    features: int
    initial_noise: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = "learn") -> jax.Array:
        """[B, F] -> [B, features]; one draw of noise for the batch, from the stream `samples`."""
        inputs = x.shape[-1]
        bound = inputs**-0.5

        def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

        constant = nn.initializers.constant(self.initial_noise * bound)
        kernel = self.param("kernel", uniform, (self.features, inputs))
        bias = self.param("bias", uniform, (self.features,))
        kernel_noise = self.param("kernel_noise", constant, (self.features, inputs))
        bias_noise = self.param("bias_noise", constant, (self.features,))
        if mode == "exploit":
            return product(x, kernel) + bias

        def draw(key: jax.Array, size: int) -> jax.Array:
            noise = jax.random.normal(key, (size,))
            return jnp.sign(noise) * jnp.sqrt(jnp.abs(noise))

        in_key, out_key = streams(self.make_rng(SAMPLES), "noise in", "noise out")
        noise_in, noise_out = draw(in_key, inputs), draw(out_key, self.features)
        # (x ∘ ε_in) W_σ ∘ ε_out is x (W_σ ∘ ε_out ε_inᵀ)ᵀ without that matrix ever being made.
        noisy = product(x * noise_in, kernel_noise) * noise_out + bias_noise * noise_out
        return product(x, kernel) + bias + noisy
