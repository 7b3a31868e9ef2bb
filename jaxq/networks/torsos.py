"""Torsos: from an observation to features [B, F].

`MLP`, `MinAtarCNN` and `NatureCNN`, which `torso_for` chooses from, take `layer_norm`: it normalizes every layer before
its activation. `ImpalaCNN`'s normalizes its dense layer alone; the others take none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.envs.base import ObservationSpec
from jaxq.errors import require
from jaxq.networks.convolution import Conv, Implementation
from jaxq.networks.linear import Dense
from jaxq.networks.normalization import LayerNorm
from jaxq.networks.observations import (
    Sees,
    flattened,
    has_images,
    is_array,
    is_image,
    named_arrays,
    parts,
    single_array,
)
from jaxq.types import PyTree

Activation = Callable[[jax.Array], jax.Array]


def unit_range(image: jax.Array) -> jax.Array:
    """Images as float32: bytes scaled to [0, 1], others (boolean planes) as they are."""
    image = single_array(image, "a torso of images")
    scale = 255.0 if image.dtype == jnp.uint8 else 1.0
    return image.astype(jnp.float32) / scale


def _activate(x: jax.Array, layer_norm: bool, activation: Activation = nn.relu) -> jax.Array:
    return activation(LayerNorm()(x) if layer_norm else x)


class MLP(nn.Module):
    """Dense layers, each with an activation, on observations as one vector. [B, ...] -> [B, widths[-1]].

    The arrays of a tree come one behind the other.

    Attributes:
      widths: of the layers.
      activation: after each.
      layer_norm: whether it comes between them.
      make_layer: what makes a layer of so many units, and so how it begins.
      spectral_norm: whether every kernel is divided by its largest singular value, so that with an activation whose
        slopes are at most one the whole has a Lipschitz constant of about one.
    """

    widths: Sequence[int] = (64, 64)
    activation: Activation = nn.relu
    layer_norm: bool = False
    make_layer: Callable[..., nn.Module] = Dense
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        x = flattened(observation)
        for width in self.widths:
            layer = self.make_layer(width, spectral_norm=self.spectral_norm)
            x = _activate(layer(x), self.layer_norm, self.activation)
        return x


class UnitFeatures(nn.Module):
    """Features scaled to a norm of one (AVG, Vasan et al., 2024: penultimate normalization). [B, ...] -> [B, F]."""

    torso: nn.Module

    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        features = self.torso(observation)
        squares = jnp.sum(features**2, axis=-1, keepdims=True)
        return features * jax.lax.rsqrt(jnp.maximum(squares, 1e-16))  # zeros stay zeros


class MinAtarCNN(nn.Module):
    """One 3×3 convolution of 16 channels and a dense layer of 128 (Young and Tian, MinAtar, 2019).

    [B, 10, 10, C] -> [B, 128]; with a `width` of 0 there is no dense layer, which leaves [B, 1024].
    """

    channels: int = 16
    width: int = 128
    convolution: Implementation = "auto"
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = Conv(self.channels, 3, implementation=self.convolution)(unit_range(x))
        x = _activate(x, self.layer_norm).reshape(x.shape[0], -1)
        return _activate(Dense(self.width)(x), self.layer_norm) if self.width else x


class NatureCNN(nn.Module):
    """The network of DQN (Mnih et al., Nature 2015, Methods): 32 8×8/4, 64 4×4/2, 64 3×3/1, dense 512.

    [B, 84, 84, C] -> [B, 512]; with a `width` of 0 there is no dense layer, which leaves [B, 3136].
    """

    width: int = 512
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = unit_range(x)
        for channels, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
            x = _activate(Conv(channels, kernel, stride)(x), self.layer_norm)
        x = x.reshape(x.shape[0], -1)
        return _activate(Dense(self.width)(x), self.layer_norm) if self.width else x


def _max_pool(x: jax.Array, window: int, stride: int) -> jax.Array:
    return nn.max_pool(x, (window, window), (stride, stride), "SAME")


class _Residual(nn.Module):
    spectral_norm: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = x
        for _ in range(2):
            y = Conv(x.shape[-1], 3, padding="SAME", spectral_norm=self.spectral_norm)(nn.relu(y))
        return x + y


class ImpalaEncoder(nn.Module):
    """The convolutions of IMPALA (Espeholt et al., 2018, figure 3), their channels times `scale`.

    Sections of a 3×3 convolution, a max-pool of stride 2 and two residual blocks, and a relu in the end.
    [B, H, W, C] -> [B, H', W', C'], each section halving the sides.

    Attributes:
      channels: of the sections.
      scale: of the channels; BBF takes 4, BTR 2.
      spectral_norm: of the residual blocks' convolutions, as in BTR.
    """

    channels: Sequence[int] = (16, 32, 32)
    scale: int = 1
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = unit_range(x)
        for channels in self.channels:
            x = Conv(channels * self.scale, 3, padding="SAME")(x)
            x = _max_pool(x, 3, 2)
            for _ in range(2):
                x = _Residual(self.spectral_norm)(x)
        return nn.relu(x)


class ImpalaCNN(nn.Module):
    """The residual network of IMPALA: its convolutions and a dense layer. [B, H, W, C] -> [B, width].

    Attributes:
      channels, scale, spectral_norm: as of `ImpalaEncoder`.
      width: of the dense layer; 0 for none.
      pooled: side of an adaptive max-pool before the dense layer, as in BTR; 0 for none.
    """

    channels: Sequence[int] = (16, 32, 32)
    scale: int = 1
    width: int = 256
    pooled: int = 0
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        x = ImpalaEncoder(self.channels, self.scale, self.spectral_norm)(x)
        if self.pooled:
            x = adaptive_max_pool(x, self.pooled)
        x = x.reshape(x.shape[0], -1)
        return nn.relu(Dense(self.width)(x)) if self.width else x


def adaptive_max_pool(x: jax.Array, side: int) -> jax.Array:
    """Maxima over `side` × `side` regions that cover the image as evenly as whole pixels allow. [B, H, W, C]."""

    def pool(x: jax.Array, axis: int) -> jax.Array:
        size = x.shape[axis]
        parts = [
            jax.lax.slice_in_dim(x, i * size // side, -(-(i + 1) * size // side), axis=axis).max(axis)
            for i in range(side)
        ]
        return jnp.stack(parts, axis)

    return pool(pool(x, 1), 2)


class RandomFeatures(nn.Module):
    """A torso and a linear layer, meant to stay as they were initialized. [B, ...] -> [B, size]."""

    torso: nn.Module
    size: int

    @nn.compact
    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        return Dense(self.size)(self.torso(observation))


class TreeTorso(nn.Module):
    """Features of a tree of arrays [B, ...]: its images' convolutions and its other arrays, joined. -> [B, F].

    Attributes:
      images: torsos of the images by the names of their places in the tree, without dense layers of their own.
      joint: the layers that all of it goes through, an `MLP` or another torso of vectors.
    """

    images: Mapping[str, nn.Module]
    joint: nn.Module

    def __call__(self, observation: PyTree) -> jax.Array:
        """See the class."""
        arrays = named_arrays(observation)
        return self.joint(
            {name: self.images[name](array) if name in self.images else array for name, array in arrays.items()}
        )


Torso = MLP | MinAtarCNN | NatureCNN | TreeTorso | Sees


def torso_for(
    spec: ObservationSpec,
    widths: Sequence[int] = (64, 64),
    layer_norm: bool = False,
    sees: Sequence[str] = (),
    **settings: Any,
) -> Torso:
    """The customary torso: Nature's for large images, MinAtar's for small ones, else an MLP.

    In a tree every image has its convolutions, and what joins them with the other arrays is a dense layer as wide as
    the widest of these torsos has; a tree without images goes to the MLP as one vector.

    Args:
      spec: of one observation, an array's or a tree of them.
      widths: of the MLP.
      layer_norm: whether layers are normalized.
      sees: names of the parts of a dictionary that the torso is shown; none for all there is.
      settings: further fields of the MLP.

    Raises:
      InputError: if `sees` names what there is not, or the tree has no arrays.
    """
    if sees:
        return Sees(torso_for(parts(spec, sees), widths, layer_norm, **settings), tuple(sees))

    def mlp(widths: Sequence[int]) -> MLP:
        return MLP(tuple(widths), layer_norm=layer_norm, **settings)

    if is_array(spec):
        return _convolutions(spec, layer_norm) if is_image(spec) else mlp(widths)
    require(bool(named_arrays(spec)), "observation_spec", spec, "a tree with at least one array")
    images = _image_torsos(spec, layer_norm)
    if not images:
        return mlp(widths)
    return _joined(images, mlp((max(torso.width for torso in images.values()),)))


def after_convolutions(spec: ObservationSpec, torso: nn.Module) -> nn.Module:
    """A torso of vectors whose images go through the convolutions of their size first; itself where there are none.

    For methods with layers of their own, which `torso_for` does not know.

    Args:
      spec: of one observation, an array's or a tree of them.
      torso: of vectors and trees of vectors.
    """
    images = _image_torsos(spec, layer_norm=False)
    return _joined(images, torso) if images else torso


def encoder_maker(spec: ObservationSpec, layer_norm: bool = False) -> Callable[..., Torso] | None:
    """What makes, for any mode, the torso of an observation with images; None where its numbers do as they are.

    For networks that are told more than an observation, as critics are told an action.
    """
    return (lambda *mode: torso_for(spec, layer_norm=layer_norm)) if has_images(spec) else None


def split_torso(torso: Torso) -> tuple[Torso, int]:
    """A torso without its last dense layer, and that layer's units; 0 where it has none.

    For what begins after the convolutions: streams, noise, the embedding of quantiles, the heads of a chain.
    """
    match torso:
        case MLP(widths=widths):
            return torso.clone(widths=tuple(widths[:-1])), widths[-1] if widths else 0
        case TreeTorso(joint=joint):
            rest, units = split_torso(joint)  # type: ignore[arg-type]
            return torso.clone(joint=rest), units
        case Sees(network=network):
            rest, units = split_torso(network)  # type: ignore[arg-type]
            return torso.clone(network=rest), units
    return torso.clone(width=0), torso.width


def _image_torsos(spec: ObservationSpec, layer_norm: bool) -> dict[str, NatureCNN | MinAtarCNN]:
    """The customary torsos of an observation's images, by the names of their places."""
    return {name: _convolutions(array, layer_norm) for name, array in named_arrays(spec).items() if is_image(array)}


def _joined(images: Mapping[str, NatureCNN | MinAtarCNN], joint: nn.Module) -> TreeTorso:
    return TreeTorso({name: torso.clone(width=0) for name, torso in images.items()}, joint)


def _convolutions(image: Any, layer_norm: bool) -> NatureCNN | MinAtarCNN:
    large = min(image.shape[:2]) >= 36
    return NatureCNN(layer_norm=layer_norm) if large else MinAtarCNN(layer_norm=layer_norm)
