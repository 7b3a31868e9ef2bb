"""Convolutions of the library's networks, native and by patches: forward and backward, inside a scan, in turn.

    python -m benchmarks.convolutions [--rounds 5] [--only nature-1]

`patches` is what the library does on the CPU; for strides that divide the kernel it moves squares of pixels into
channels first, and `patches without that` shows what it gains. Writes benchmarks/results/convolutions.json; seconds are
of one forward and backward pass.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.networks import convolution
from jaxq.runs.directory import provenance, write_json

RESULTS = Path(__file__).parent / "results"
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


def segment(convolve: Convolve, layer: tuple[int, int, int, int, int, convolution.Padding]) -> Callable[[], float]:
    """A compiled scan of enough passes; when called, the seconds of one."""
    side, channels, features, size, stride, padding = layer
    x = jax.random.normal(jax.random.key(0), (BATCH, side, side, channels))
    kernel = 0.1 * jax.random.normal(jax.random.key(1), (size, size, channels, features))

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(convolve(x, kernel, stride, padding)))

    def scan(x: jax.Array, kernel: jax.Array, count: int) -> Any:
        def step(carry: tuple[jax.Array, jax.Array], _: None) -> Any:
            by_x, by_kernel = jax.grad(loss, (0, 1))(*carry)
            return (carry[0] - 1e-3 * by_x, carry[1] - 1e-3 * by_kernel), None

        return jax.lax.scan(step, (x, kernel), None, count)[0]

    def compiled(count: int) -> Callable[[], float]:
        run = jax.jit(scan, static_argnums=2).lower(x, kernel, count).compile()

        def timed() -> float:
            begun = time.perf_counter()
            jax.block_until_ready(run(x, kernel))
            return (time.perf_counter() - begun) / count

        timed()
        return timed

    return compiled(int(np.clip(0.4 / compiled(2)(), 2, 2_000)))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(LAYERS), action="append", help="measure this layer; may be given again")
    args = parser.parse_args()
    path = RESULTS / "convolutions.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name in args.only or LAYERS:
        segments = {contender: segment(convolve, LAYERS[name]) for contender, convolve in CONTENDERS.items()}
        seconds: dict[str, list[float]] = {contender: [] for contender in segments}
        for _ in range(args.rounds):
            for contender, timed in segments.items():
                seconds[contender].append(timed())
        results[name] = {"layer": LAYERS[name], "seconds": seconds, "provenance": provenance()}
        write_json(path, results)
        ours = np.array(seconds["patches"])
        times = ", ".join(
            f"{contender} {1e6 * np.median(s):,.0f} µs ({np.median(np.array(s) / ours):.1f})"
            for contender, s in seconds.items()
        )
        print(f"{name:22} {times}", flush=True)


if __name__ == "__main__":
    main()
