"""Steps per second of all members of a population against its size, beside the matrix products alone.

    python -m benchmarks.populations [--sizes 1 4 16 64 256] [--rounds 5] [--iterations 6400]

DQN on CartPole as the script has it, every member with a step size of its own, all one program, over as many devices as
a run would have: a CPU's processors. The products alone are those of an update (three passes of the network forward,
one backward, as double targets need) for every member, over the same devices, with nothing else: no environment,
replay, optimizer or acting. Writes benchmarks/results/populations.json; seconds are those
of an iteration of all members in a segment of many, compilation excluded, sizes in turn, round after round.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxq.configs import grid
from jaxq.lanes import over_lanes
from jaxq.meshes import POPULATION
from jaxq.runs.devices import divide_processors, keep_small_loops_whole, spread, state_shape, use_device
from jaxq.runs.directory import provenance, read_json, write_json
from jaxq.runs.population import assemble
from jaxq.runs.programs import compilers
from jaxq.training import Spread

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks.timing import warmed_up  # noqa: E402
from experiments.discrete import dqn  # noqa: E402

RESULTS = Path(__file__).parent / "results"
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

FEWEST = 100  # iterations in a segment

Segment = Callable[[], float]  # seconds of an iteration


def _timed(program: Callable[[Any], Any], state: Any, iterations: int) -> Segment:
    """A compiled `state -> state` of so many iterations, which goes on from where it was with every call."""
    compiled = jax.jit(program, donate_argnums=0).lower(state).compile()
    held = [compiled(state)]

    def segment() -> float:
        begun = time.perf_counter()
        held[0] = jax.block_until_ready(compiled(held[0]))
        return (time.perf_counter() - begun) / iterations

    return segment


def _config(size: int) -> dqn.Config:
    settings = {**dqn.PRESETS["classic"], "replay_capacity": 20_000}
    config = dataclasses.replace(dqn.Config(), **settings)
    rates = [float(rate) for rate in np.geomspace(1e-4, 1e-2, size)]
    return config.with_population(grid({"learning_rate": rates}, range(1)))


def population(size: int, iterations: int) -> Segment:
    """A chunk of the whole training."""
    config = _config(size)
    assembly = spread(assemble(dqn.build, config), config)
    training: Any = assembly.training
    places = jax.tree.map(lambda leaf: leaf.sharding, state_shape(assembly, config))
    state = warmed_up(training, config, assembly.numbers, places)
    return _timed(lambda state: training.train_chunk(state, iterations)[0], state, iterations)


def products(size: int, iterations: int) -> Segment:
    """As many updates' products."""
    config = _config(size)
    assembly = assemble(dqn.build, config)
    agent: Any = assembly.training.agent
    state = jax.vmap(agent.init)(jax.vmap(jax.random.key)(jnp.arange(size)))
    x = jax.random.normal(jax.random.key(0), (size, config.batch_size, 4))

    def update(params: Any, x: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            return jnp.mean(jnp.square(agent.network.apply(params, x, "learn")))

        # The other two passes see parameters that change too, or XLA would move them out of the scan.
        others = sum(jnp.mean(agent.network.apply(params, x + shift, "act")) for shift in (1.0, 2.0))
        gradient = jax.grad(loss)(params)
        return jax.tree.map(lambda p, g: p - 1e-4 * (g + 1e-6 * others), params, gradient)

    def member(params: Any, x: jax.Array) -> Any:
        return jax.lax.scan(lambda p, _: (update(p, x), None), params, None, iterations)[0]

    training: Any = spread(assembly, config).training
    if not isinstance(training, Spread):
        return _timed(lambda params: over_lanes(member, size, heavy=True)(params, x), state.params, iterations)
    mesh, by_member = training.mesh, PartitionSpec(POPULATION)
    lanes = over_lanes(member, size // mesh.shape[POPULATION], heavy=True)
    part = jax.shard_map(lanes, mesh=mesh, in_specs=by_member, out_specs=by_member, check_vma=False)
    params, x = jax.device_put((state.params, x), NamedSharding(mesh, by_member))
    return _timed(lambda params: part(params, x), params, iterations)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--iterations", type=int, default=6_400, help=f"of all members in a segment; each {FEWEST} at least"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "populations.json")
    args = parser.parse_args()
    keep_small_loops_whole()
    divide_processors()
    use_device("auto")
    iterations = {size: max(args.iterations // size, FEWEST) for size in args.sizes}
    kinds = {"population": population, "products": products}
    with compilers() as threads:
        made = {
            f"{kind}/{size}": threads.submit(make, size, iterations[size])
            for size in args.sizes
            for kind, make in kinds.items()
        }
        segments = {name: one.result() for name, one in made.items()}
    seconds: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(args.rounds):
        for name, segment in segments.items():
            seconds[name].append(segment())
    config = _config(1)
    steps = config.num_envs * config.collect_steps
    results: dict[str, Any] = read_json(args.out)
    results[jax.devices()[0].platform] = {
        "iterations": iterations,
        "steps_of_a_member": steps,  # in an iteration
        "seconds": seconds,
        "provenance": provenance(),
    }
    write_json(args.out, results)
    alone = None
    for size in args.sizes:
        rate = size * steps / float(np.median(seconds[f"population/{size}"]))
        limit = size * steps / float(np.median(seconds[f"products/{size}"]))
        alone = alone or rate
        print(
            f"{size:4} members  {rate:>12,.0f} steps/s, {rate / alone:5.2f} times one; products alone {limit:>12,.0f}"
        )


if __name__ == "__main__":
    main()
