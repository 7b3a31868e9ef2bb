"""Torsos: from an observation to features [B, F]."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.envs.base import ObservationSpec
from jaxq.networks.convolution import Conv, Implementation

Activation = Callable[[jax.Array], jax.Array]


def _unit_range(image: jax.Array) -> jax.Array:
    """Images as float32: bytes scaled to [0, 1], others (boolean planes) as they are."""
    scale = 255.0 if image.dtype == jnp.uint8 else 1.0
    return image.astype(jnp.float32) / scale


class MLP(nn.Module):
    """Dense layers, each with an activation, on flattened observations. [B, ...] -> [B, widths[-1]]."""

    widths: Sequence[int] = (64, 64)
    activation: Activation = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = x.reshape(x.shape[0], -1)
        for width in self.widths:
            x = self.activation(nn.Dense(width)(x))
        return x


class MinAtarCNN(nn.Module):
    """One 3×3 convolution of 16 channels and a dense layer of 128 (Young and Tian, MinAtar, 2019).

    [B, 10, 10, C] -> [B, 128].
    """

    channels: int = 16
    width: int = 128
    convolution: Implementation = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = nn.relu(Conv(self.channels, 3, implementation=self.convolution)(_unit_range(x)))
        return nn.relu(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))


class NatureCNN(nn.Module):
    """The network of DQN (Mnih et al., Nature 2015, Methods): 32 8×8/4, 64 4×4/2, 64 3×3/1, dense 512.

    [B, 84, 84, C] -> [B, 512].
    """

    width: int = 512
    convolution: Implementation = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = _unit_range(x)
        for channels, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
            x = nn.relu(Conv(channels, kernel, stride, implementation=self.convolution)(x))
        return nn.relu(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))


def torso_for(spec: ObservationSpec, widths: Sequence[int] = (64, 64)) -> nn.Module:
    """The customary torso: Nature's for large images, MinAtar's for small ones, else an MLP."""
    if len(spec.shape) == 3:
        return NatureCNN() if min(spec.shape[:2]) >= 36 else MinAtarCNN()
    return MLP(tuple(widths))
