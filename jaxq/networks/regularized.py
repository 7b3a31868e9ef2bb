"""Torsos of vectors that keep deep or often-updated critics in order: dropout, batch normalization, residual blocks."""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from jaxq.networks.linear import Dense
from jaxq.networks.modes import SAMPLES, Mode
from jaxq.networks.normalization import BatchRenorm, LayerNorm
from jaxq.networks.observations import flattened
from jaxq.types import PyTree

he_normal = nn.initializers.he_normal(in_axis=-1, out_axis=-2)


class DropoutMLP(nn.Module):
    """Layers of dropout, layer normalization and relu, in this order (DroQ, Hiraoka et al., 2022). [B, ...] -> [B, F].

    Dropout is in every pass but exploitation: also in that of targets, and in that which an actor climbs.

    Attributes:
      mode: of the pass.
      widths: of the layers.
      dropout: share of the units that are dropped.
      make_layer: as of `MLP`.
    """

    mode: Mode
    widths: Sequence[int] = (256, 256)
    dropout: float = 0.01
    make_layer: Callable[..., nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = flattened(observation)
        for width in self.widths:
            x = self.make_layer(width)(x)
            x = nn.Dropout(self.dropout, deterministic=self.mode == "exploit", rng_collection=SAMPLES)(x)
            x = nn.relu(LayerNorm()(x))
        return x


class BatchNormalizedMLP(nn.Module):
    """Batch renormalization of the input and after every layer's relu (CrossQ, Bhatt et al., 2024). [B, ...] -> [B, F].

    Attributes:
      mode: of the pass.
      widths: of the layers.
    """

    mode: Mode
    widths: Sequence[int] = (256, 256)

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = BatchRenorm(self.mode)(flattened(observation))
        for width in self.widths:
            x = BatchRenorm(self.mode)(nn.relu(Dense(width)(x)))
        return x


class RMSNormMLP(nn.Module):
    """Layers of a product, normalization by the root mean square, and swish (as in REPPO). [B, ...] -> [B, F].

    Attributes:
      widths: of the layers.
    """

    widths: Sequence[int] = (512, 512)

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = flattened(observation)
        for width in self.widths:
            x = nn.swish(nn.RMSNorm()(Dense(width)(x)))
        return x


class BroNet(nn.Module):
    """Residual blocks, every layer normalized (BRO, Nauman et al., 2024, figure 3). [B, ...] -> [B, width].

    Attributes:
      width: of all layers.
      blocks: after the first layer.
    """

    width: int = 512
    blocks: int = 2

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""

        def layer(x: jax.Array) -> jax.Array:
            return LayerNorm()(Dense(self.width, nn.initializers.orthogonal(2.0**0.5))(x))

        x = nn.relu(layer(flattened(observation)))
        for _ in range(self.blocks):
            x = x + layer(nn.relu(layer(x)))
        return x


class SimBaNet(nn.Module):
    """Pre-normalized residual blocks on a linear embedding (SimBa, Lee et al., 2025). [B, ...] -> [B, width].

    Attributes:
      width: of the embedding; blocks have a hidden layer four times as wide.
      blocks: how many.
    """

    width: int = 512
    blocks: int = 2

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = Dense(self.width, nn.initializers.orthogonal(1.0))(flattened(observation))
        for _ in range(self.blocks):
            hidden = nn.relu(Dense(4 * self.width, he_normal)(LayerNorm()(x)))
            x = x + Dense(self.width, he_normal)(hidden)
        return LayerNorm()(x)


# Uniform within ±1/√outputs for kernels [O, I].
uniform_fan_out = nn.initializers.variance_scaling(1.0 / 3.0, "fan_out", "uniform", in_axis=-1, out_axis=-2)
# The layers of Acme, in which DecQN is written.
acme_dense = functools.partial(Dense, kernel_init=uniform_fan_out)


def _identity(x: jax.Array) -> jax.Array:
    return x


class ResidualMLP(nn.Module):
    """A linear layer and residual blocks, normalized after each: `LayerNorm(x + f(x))`. [B, ...] -> [B, width].

    With the defaults the torso of DecQN (Seyde et al., 2023), which is Acme's `LayerNormAndResidualMLP` and an ELU.

    Attributes:
      width: of all layers; f has one hidden layer, with a relu.
      blocks: how many.
      block_activation: after f.
      activation: in the end.
      make_layer: as of `MLP`.
    """

    width: int = 512
    blocks: int = 1
    block_activation: Callable[[jax.Array], jax.Array] = _identity
    activation: Callable[[jax.Array], jax.Array] = nn.elu
    make_layer: Callable[..., nn.Module] = acme_dense

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = self.make_layer(self.width)(flattened(observation))
        for _ in range(self.blocks):
            hidden = nn.relu(self.make_layer(self.width)(x))
            x = LayerNorm()(x + self.block_activation(self.make_layer(self.width)(hidden)))
        return self.activation(x)
