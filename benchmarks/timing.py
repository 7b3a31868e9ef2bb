"""Pieces of a program timed inside a scan, as they run in a compiled loop, side by side and in turn."""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.configs import Run
from jaxq.runs.directory import provenance, read_json, write_json
from jaxq.runs.population import member_keys
from jaxq.types import PyTree

RESULTS = Path(__file__).parent / "results"
SECONDS = 0.4  # about how long a timed segment is


def segment(step: Callable[..., tuple[Any, ...]], *carry: Any) -> Callable[[], float]:
    """A compiled scan of enough steps; when called, the seconds of one.

    Args:
      step: `(*carry) -> carry`. All that is to be timed must depend on a carry that changes: XLA moves the rest out.
      carry: arrays to begin with.
    """

    def scan(carry: tuple[Any, ...], count: int) -> Any:
        return jax.lax.scan(lambda now, _: (tuple(step(*now)), None), carry, None, count)[0]

    def compiled(count: int) -> Callable[[], float]:
        run = jax.jit(scan, static_argnums=1).lower(carry, count).compile()

        def timed() -> float:
            begun = time.perf_counter()
            jax.block_until_ready(run(carry))
            return (time.perf_counter() - begun) / count

        timed()
        return timed

    once = min(compiled(2)() for _ in range(2))
    return compiled(int(np.clip(SECONDS / once, 2, 20_000)))


def warmed_up(
    training: Any, config: Run, numbers: Mapping[str, Any] | None = None, places: PyTree | None = None
) -> PyTree:
    """The state of a run that is about to learn.

    Args:
      training: what it does.
      config: whose members it has.
      numbers: of members, as of `Training.init`.
      places: of the state's leaves; wherever JAX puts them unless given.
    """
    begun = jax.jit(training.init, out_shardings=places)(member_keys(config), numbers or {})
    return jax.jit(training.warm_up, donate_argnums=0, out_shardings=places)(begun)


def passes(layer: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, kernel: jax.Array) -> Callable[[], float]:
    """A segment of forward and backward passes of `layer(x, kernel)`, by both arguments."""
    gradient = jax.grad(lambda x, kernel: jnp.mean(jnp.square(layer(x, kernel))), (0, 1))

    def step(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        by_x, by_kernel = gradient(x, kernel)
        return x - 1e-3 * by_x, kernel - 1e-3 * by_kernel

    return segment(step, x, kernel)


def arguments(description: str | None, settings: Iterable[str]) -> argparse.ArgumentParser:
    """What every such benchmark is told: how many rounds, and which of its settings."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(settings), action="append", help="this setting; may be given again")
    return parser


def measure(file: str, setting: str, segments: dict[str, Callable[[], float]], rounds: int, **noted: Any) -> None:
    """Time segments round after round, print medians and ratios to the first, and add them to a file of results."""
    seconds: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(rounds):
        for name, timed in segments.items():
            seconds[name].append(timed())
    path = RESULTS / file
    results: dict[str, Any] = read_json(path)
    results[setting] = {**noted, "seconds": seconds, "provenance": provenance()}
    write_json(path, results)
    print(f"{setting:22} {', '.join(f'{name} {cell}' for name, cell in cells(seconds).items())}", flush=True)


def cells(seconds: dict[str, list[float]]) -> dict[str, str]:
    """By contender: its median in µs, and how many times longer than the first it takes, a median over the rounds."""
    first, *others = seconds
    found = {first: f"{1e6 * np.median(seconds[first]):,.0f}"}
    for name in others:
        ratio = np.median(np.array(seconds[name]) / np.array(seconds[first]))
        found[name] = f"{1e6 * np.median(seconds[name]):,.0f} (× {ratio:.1f})"
    return found
