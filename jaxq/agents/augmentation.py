"""Random changes of images that are learned from, under which values should stay the same."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.hyperparameters import require_in
from jaxq.keys import streams
from jaxq.networks import unit_range


def random_shift(images: jax.Array, pad: int, key: jax.Array) -> jax.Array:
    """Each image moved by up to `pad` pixels along either axis, its edge repeated. [B, H, W, C] -> the same.

    Kostrikov et al., Image Augmentation Is All You Need (DrQ), 2020, section 3.1.
    """
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (images.shape[0], 2), 0, 2 * pad + 1)
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), images.shape[1:]))(padded, corners)


def random_intensity(images: jax.Array, scale: float, key: jax.Array) -> jax.Array:
    """Each image times `1 + scale clip(z, -2, 2)`, z being normal (Schwarzer et al., SPR, 2021). [B, H, W, C]."""
    noise = jnp.clip(jax.random.normal(key, (images.shape[0], 1, 1, 1)), -2.0, 2.0)
    return images * (1.0 + scale * noise)


@dataclasses.dataclass(frozen=True)
class ImageAugmentation:
    """Shifts and then intensities, as in SPR and BBF. [B, H, W, C] -> the same as float32, bytes scaled to [0, 1].

    Attributes:
      shift: pixels, 4 in the papers; 0 for none.
      intensity: 0.05 in the papers; 0 for none.
    """

    shift: int = 4
    intensity: float = 0.05

    def __post_init__(self) -> None:
        require_in(0, float("inf"), shift=self.shift)
        require_in(0.0, 0.5, intensity=self.intensity)

    def __call__(self, images: jax.Array, key: jax.Array) -> jax.Array:
        """See the class."""
        shift_key, intensity_key = streams(key, "shift", "intensity")
        if self.shift:
            images = random_shift(images, self.shift, shift_key)
        images = unit_range(images)
        return random_intensity(images, self.intensity, intensity_key) if self.intensity else images
