"""The matrix product of layers with a kernel's units first, [O, I], as the library has it, and with its inputs first.

    python -m benchmarks.products [--rounds 5] [--only nature-2]

Forward and backward, by inputs and kernel, inside a scan, in turn. A convolution is a layer with a row for each patch.
Writes benchmarks/results/products.json; seconds are of one pass.
"""

from collections.abc import Callable

import jax

from benchmarks.timing import arguments, measure, passes
from jaxq.networks import product

# Rows, inputs I, units O.
LAYERS = {
    "minatar-conv-128": (8192, 36, 16),
    "minatar-dense-128": (128, 1024, 128),
    "minatar-dense-32": (32, 1024, 128),
    "minatar-iqn-32×64": (2048, 1024, 128),
    "nature-1": (12800, 256, 32),
    "nature-2": (2592, 512, 64),
    "nature-3": (1568, 576, 64),
    "nature-dense": (32, 3136, 512),
    "atoms-head": (32, 512, 306),
    "mlp-first": (256, 17, 256),
    "mlp-second": (256, 256, 256),
}


def inputs_first(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The plain product; kernel: [I, O]."""
    return x @ kernel


def timed(
    multiply: Callable[[jax.Array, jax.Array], jax.Array], rows: int, inputs: int, shape: tuple[int, int]
) -> Callable[[], float]:
    """A segment of forward and backward passes."""
    x = jax.random.normal(jax.random.key(0), (rows, inputs))
    kernel = jax.random.normal(jax.random.key(1), shape) / inputs**0.5
    return passes(multiply, x, kernel)


def main() -> None:
    """Measure and write the results."""
    args = arguments(__doc__, LAYERS).parse_args()
    for name in args.only or LAYERS:
        rows, inputs, units = LAYERS[name]
        segments = {
            "units first": timed(product, rows, inputs, (units, inputs)),
            "inputs first": timed(inputs_first, rows, inputs, (inputs, units)),
        }
        measure("products.json", name, segments, args.rounds, layer=LAYERS[name])


if __name__ == "__main__":
    main()
