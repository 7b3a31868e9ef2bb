"""Convolutions of the library's networks, native and by patches: forward and backward, inside a scan, in turn.

    python -m benchmarks.convolutions [--rounds 5] [--only nature-1]

`patches` is what the library does on the CPU; for strides that divide the kernel it moves squares of pixels into
channels first, and `patches without that` shows what it gains. Writes benchmarks/results/convolutions.json; seconds are
of one forward and backward pass.
"""

from collections.abc import Callable

import jax

from benchmarks.timing import arguments, measure, passes
from jaxq.networks import convolution

BATCH = 32
# Side, channels in, channels out, kernel, stride, padding.
LAYERS: dict[str, tuple[int, int, int, int, int, convolution.Padding]] = {
    "minatar": (10, 4, 16, 3, 1, "VALID"),
    "nature-1": (84, 4, 32, 8, 4, "VALID"),
    "nature-2": (20, 32, 64, 4, 2, "VALID"),
    "nature-3": (9, 64, 64, 3, 1, "VALID"),
    "impala-1": (84, 4, 16, 3, 1, "SAME"),
    "impala-block-1": (42, 16, 16, 3, 1, "SAME"),
    "impala-block-2": (21, 32, 32, 3, 1, "SAME"),
    "impala-block-3": (11, 32, 32, 3, 1, "SAME"),
    "residual-1x1": (21, 32, 32, 1, 1, "SAME"),
    "residual-5x5": (21, 32, 32, 5, 1, "SAME"),
    "impala-block-2-wide": (21, 128, 128, 3, 1, "SAME"),
}

Convolve = Callable[[jax.Array, jax.Array, int, convolution.Padding], jax.Array]


CONTENDERS: dict[str, Convolve] = {
    "patches": convolution.convolve_patches,
    "patches without that": convolution.patches_by_slices,
    "native": convolution.convolve_native,
}


def timed(convolve: Convolve, layer: tuple[int, int, int, int, int, convolution.Padding]) -> Callable[[], float]:
    """A segment of forward and backward passes."""
    side, channels, features, size, stride, padding = layer
    x = jax.random.normal(jax.random.key(0), (BATCH, side, side, channels))
    kernel = 0.1 * jax.random.normal(jax.random.key(1), (size, size, channels, features))
    return passes(lambda x, kernel: convolve(x, kernel, stride, padding), x, kernel)


def main() -> None:
    """Measure and write the results."""
    args = arguments(__doc__, LAYERS).parse_args()
    for name in args.only or LAYERS:
        segments = {contender: timed(convolve, LAYERS[name]) for contender, convolve in CONTENDERS.items()}
        measure("convolutions.json", name, segments, args.rounds, layer=LAYERS[name])


if __name__ == "__main__":
    main()
