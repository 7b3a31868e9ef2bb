"""The one convolution of the library, which computes the same numbers in the way that suits the platform.

On the CPU, XLA's convolutions run 6 to 10 times slower inside `lax.scan` than outside it, while strided slices
concatenated into patches and one matrix product take the same time in both. Accelerators keep the native convolution.
"""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq import platforms
from jaxq.networks.linear import largest_singular_value, product

Implementation = Literal["auto", "patches", "native"]
Padding = Literal["VALID", "SAME"]


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _padded(x: jax.Array, height: int, width: int, stride: int, padding: Padding) -> jax.Array:
    if padding == "VALID":
        return x
    rows, columns = _same_padding(x.shape[1], height, stride), _same_padding(x.shape[2], width, stride)
    return jnp.pad(x, ((0, 0), rows, columns, (0, 0)))


def convolve_patches(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """2-D convolution as one matrix product over patches. x: [B, H, W, C], kernel: [k, l, C, F] -> [B, H', W', F]."""
    height, width = kernel.shape[:2]
    x = _padded(x, height, width, stride, padding)
    if stride > 1 and height % stride == 0 and width % stride == 0:
        return patches_by_slices(*_space_to_depth(x, kernel, stride), 1, "VALID")
    return patches_by_slices(x, kernel, stride, "VALID")


def patches_by_slices(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Patches as strided slices of the image, one behind the other in channels; arguments as of `convolve_patches`."""
    height, width = kernel.shape[:2]
    x = _padded(x, height, width, stride, padding)
    out_height, out_width = (x.shape[1] - height) // stride + 1, (x.shape[2] - width) // stride + 1
    patches = [
        x[:, i : i + stride * (out_height - 1) + 1 : stride, j : j + stride * (out_width - 1) + 1 : stride]
        for i in range(height)
        for j in range(width)
    ]
    columns_matrix = jnp.concatenate(patches, axis=-1).reshape(-1, height * width * x.shape[-1])
    out = product(columns_matrix, kernel.reshape(-1, kernel.shape[-1]).T)
    return out.reshape(x.shape[0], out_height, out_width, kernel.shape[-1])


def _space_to_depth(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, jax.Array]:
    """The same convolution with stride 1: squares of `stride` × `stride` pixels become pixels with as many channels.

    So the patches of Nature's first layer are put together from 4 slices of 64 channels, not from 64 slices of 4.
    """

    def squares(array: jax.Array, axis: int) -> jax.Array:  # [.., h, w, c, ..] -> [.., h/s, w/s, s * s * c, ..]
        before, (h, w, c), after = array.shape[:axis], array.shape[axis : axis + 3], array.shape[axis + 3 :]
        split = array.reshape(*before, h // stride, stride, w // stride, stride, c, *after)
        return jnp.moveaxis(split, axis + 1, axis + 2).reshape(
            *before, h // stride, w // stride, stride * stride * c, *after
        )

    # Rows and columns beyond the last patch belong to none.
    height, width = ((size - k) // stride * stride + k for size, k in zip(x.shape[1:3], kernel.shape[:2]))
    return squares(x[:, :height, :width], 1), squares(kernel, 0)


def convolve_native(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """2-D convolution by XLA. x: [B, H, W, C], kernel: [k, l, C, F] -> [B, H', W', F]."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


class Conv(nn.Module):
    """A 2-D convolution of [B, H, W, C] images, with the parameters of `nn.Conv`.

    Attributes:
      features: F, output channels.
      kernel: side of the square kernel.
      stride: of both axes.
      padding: VALID or SAME.
      implementation: patches and a product, native, or by platform.
      spectral_norm: whether the kernel is divided by its largest singular value, seen as a matrix from patches to
        channels (Miyato et al., Spectral Normalization for GANs, 2018). Its vectors are found anew by some steps of
        the power method, rather than kept from update to update, so that the network stays a function.
      kernel_init: of the kernel.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: Padding = "VALID"
    implementation: Implementation = "auto"
    spectral_norm: bool = False
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H', W', F]."""
        kernel = self.param("kernel", self.kernel_init, (self.kernel, self.kernel, x.shape[-1], self.features))
        if self.spectral_norm:
            kernel = kernel / largest_singular_value(kernel.reshape(-1, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        patches = self.implementation == "patches" or (self.implementation == "auto" and platforms.on_cpu())
        return (convolve_patches if patches else convolve_native)(x, kernel, self.stride, self.padding) + bias
