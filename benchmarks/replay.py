"""Prioritized replay against flashbax, side by side, a scan each: add 64, sample 32, update 32, a million items.

    pip install flashbax && python -m benchmarks.replay [--rounds 7]

Writes benchmarks/results/replay.json.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flashbax
import jax
import jax.numpy as jnp
import numpy as np

from jaxq.envs import ArraySpec
from jaxq.replay import PrioritizedReplay, UniformReplay
from jaxq.runs.directory import provenance, write_json
from jaxq.types import TimeStep

RESULTS = Path(__file__).parent / "results"
ITEMS, ADDED, SAMPLED = 1_000_000, 64, 32

Segment = Callable[[], int]


def _scanned(state: Any, iteration: Callable[[Any, jax.Array], Any], iterations: int) -> Segment:
    def scan(state: Any, key: jax.Array) -> Any:
        return jax.lax.scan(lambda s, k: (iteration(s, k), None), state, jax.random.split(key, iterations))[0]

    compiled = jax.jit(scan, donate_argnums=0).lower(state, jax.random.key(0)).compile()
    carry = [compiled(state, jax.random.key(0))]

    def segment() -> int:
        carry[0] = jax.block_until_ready(compiled(carry[0], jax.random.key(1)))
        return iterations

    segment()
    return segment


def jaxq_replay(iterations: int) -> Segment:
    """`PrioritizedReplay` of 64 environments."""
    replay = PrioritizedReplay(UniformReplay(ITEMS, SAMPLED, ADDED, ArraySpec((4,))))
    no = jnp.zeros(ADDED, bool)
    timestep = TimeStep(jnp.zeros((ADDED, 4)), jnp.zeros(ADDED), no, no, no)
    action = jnp.zeros(ADDED, jnp.int32)

    def iteration(state: Any, key: jax.Array) -> Any:
        state = replay.add(state, timestep, action, (), timestep)
        batch = replay.sample(state, key)
        return replay.update_priorities(state, batch.index, batch.weight + jnp.sum(batch.observation, axis=-1) + 0.5)

    state = jax.jit(replay.init)(timestep, action, ())
    state = jax.jit(
        lambda s: replay.add(replay.add(s, timestep, action, (), timestep), timestep, action, (), timestep)
    )(state)
    return _scanned(state, iteration, iterations)


def flashbax_item(iterations: int) -> Segment:
    """`make_prioritised_item_buffer`: whole transitions as items."""
    buffer = flashbax.make_prioritised_item_buffer(ITEMS, SAMPLED, SAMPLED, add_batches=True)
    item = {"o": jnp.zeros(4), "a": jnp.int32(0), "r": jnp.float32(0), "o2": jnp.zeros(4)}
    batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (ADDED, *x.shape)), item)

    def iteration(state: Any, key: jax.Array) -> Any:
        state = buffer.add(state, batch)
        sample = buffer.sample(state, key)
        return buffer.set_priorities(state, sample.indices, sample.probabilities + 0.5)

    return _scanned(buffer.add(buffer.init(item), batch), iteration, iterations)


def flashbax_flat(iterations: int) -> Segment:
    """`make_prioritised_flat_buffer`: time steps of 64 environments."""
    buffer = flashbax.make_prioritised_flat_buffer(
        ITEMS, SAMPLED, SAMPLED, add_sequences=False, add_batch_size=ADDED, priority_exponent=0.5
    )
    item = {"o": jnp.zeros(4), "a": jnp.int32(0), "r": jnp.float32(0)}
    batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (ADDED, *x.shape)), item)

    def iteration(state: Any, key: jax.Array) -> Any:
        state = buffer.add(state, batch)
        sample = buffer.sample(state, key)
        return buffer.set_priorities(state, sample.indices, sample.probabilities + 0.5)

    return _scanned(buffer.add(buffer.add(buffer.init(item), batch), batch), iteration, iterations)


def main() -> None:
    """Measure in turn and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    segments = {
        "jaxq": jaxq_replay(10_000),
        "flashbax item": flashbax_item(5_000),
        "flashbax flat": flashbax_flat(3_000),
    }
    rates: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(rounds):
        for name, segment in segments.items():
            begun = time.perf_counter()
            iterations = segment()
            rates[name].append(iterations / (time.perf_counter() - begun))
    write_json(RESULTS / "replay.json", {"iterations_per_second": rates, "provenance": provenance()})
    for name, values in rates.items():
        ratio = np.median(np.array(rates["jaxq"]) / np.array(values))
        print(f"{name:16} {np.median(values):>10,.0f} iterations/s   jaxq is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
