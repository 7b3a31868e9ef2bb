"""Networks whose weights and features lie on spheres: SimBaV2, and FlashSAC, which normalizes by batches.

What keeps them there is `on_spheres`, to which their parameters are brought back after every step of the optimizer.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import product
from jaxq.networks.modes import Mode
from jaxq.networks.normalization import BatchRenorm
from jaxq.networks.observations import flattened
from jaxq.types import PyTree

_SMALL = 1e-8


def unit(x: jax.Array) -> jax.Array:
    """Vectors [..., F] of length one."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), _SMALL)


def on_spheres(params: PyTree) -> PyTree:
    """Parameters with the weights of those layers that are bound to spheres back on them.

    Every unit of a `UnitDense` has weights of length one; scale and bias of a batch normalization have together, and
    the scale of an `RMSNorm` has by itself, the length √F that they begin with. All else stays as it is.

    Args:
      params: a tree of dictionaries, as flax makes them; its arrays may have further axes in front.
    """
    if not isinstance(params, Mapping):
        return params
    return {name: _projected(name, value) for name, value in params.items()}


def _projected(name: str, layer: Any) -> Any:
    match name.rsplit("_", 1)[0]:
        case "UnitDense":
            return {**layer, "kernel": unit(layer["kernel"])}
        case "BatchRenorm":
            squares = layer["scale"] ** 2 + layer["bias"] ** 2
            stretch = jax.lax.rsqrt(jnp.maximum(jnp.mean(squares, axis=-1, keepdims=True), _SMALL))
            return {key: value * stretch for key, value in layer.items()}
        case "RMSNorm":
            squares = jnp.mean(layer["scale"] ** 2, axis=-1, keepdims=True)
            return {**layer, "scale": layer["scale"] * jax.lax.rsqrt(jnp.maximum(squares, _SMALL))}
    return on_spheres(layer)


class UnitDense(nn.Module):
    """A linear layer without bias, whose units' weights have length one. [..., I] -> [..., O]."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        orthogonal = nn.initializers.orthogonal(1.0)
        kernel = self.param("kernel", lambda key, shape: unit(orthogonal(key, shape)), (self.features, x.shape[-1]))
        return product(x, kernel)


class UnitHead(nn.Module):
    """A `UnitDense` and a bias that begins at zero, after as many more as `hidden` says, each with a `Scaler`.

    [B, F] -> [B, O].
    """

    features: int
    hidden: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        for _ in range(self.hidden):
            x = Scaler()(UnitDense(x.shape[-1])(x))
        return UnitDense(self.features)(x) + self.param("bias", nn.initializers.zeros, (self.features,))


class Scaler(nn.Module):
    """A scale for each feature that begins at `initial` and learns as if it began at `scale`. [..., F] -> [..., F]."""

    initial: float = 1.0
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        scale = self.param("scale", nn.initializers.constant(self.scale), (x.shape[-1],))
        return x * scale * (self.initial / self.scale)


class SimBaV2Net(nn.Module):
    """Blocks that move features along a sphere (SimBaV2, Lee et al., 2025, section 4). [B, ...] -> [B, width].

    Attributes:
      width: of the embedding; blocks have a hidden layer four times as wide.
      blocks: how many.
      shift: what is put beside the input before it goes to its sphere, so that its length is not lost.
    """

    width: int = 512
    blocks: int = 2
    shift: float = 3.0

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = flattened(observation)
        x = unit(jnp.concatenate([x, jnp.full_like(x[:, :1], self.shift)], axis=-1))
        size = (2.0 / self.width) ** 0.5
        x = unit(Scaler(size, size)(UnitDense(self.width)(x)))
        for _ in range(self.blocks):
            hidden = Scaler(size / 2, size / 2)(UnitDense(4 * self.width)(x))
            # The authors keep zeros away, so that a block without an active unit has a direction.
            moved = unit(UnitDense(self.width)(nn.relu(hidden) + _SMALL))
            x = unit(x + Scaler(1.0 / (self.blocks + 1), self.width**-0.5)(moved - x))
        return x


class FlashNet(nn.Module):
    """Residual blocks of unit weights and batch normalization (FlashSAC, 2026, as coded). [B, ...] -> [B, width].

    Attributes:
      mode: of the pass.
      width: of the embedding; blocks have a hidden layer four times as wide.
      blocks: how many.
    """

    mode: Mode
    width: int = 256
    blocks: int = 2

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""

        def normalized(x: jax.Array) -> jax.Array:
            return BatchRenorm(self.mode, epsilon=1e-5, warmup=float("inf"))(x)

        x = UnitDense(self.width)(normalized(flattened(observation)))
        for _ in range(self.blocks):
            hidden = nn.relu(normalized(UnitDense(4 * self.width)(x)))
            x = x + nn.relu(normalized(UnitDense(self.width)(hidden)))
        return nn.RMSNorm(epsilon=1e-6)(x)
