"""What a plan past one machine is made of: the bytes and the arithmetic of trainings, and environments on one core.

    python -m benchmarks.constants [--only atari] [--rounds 5]

Of the scripts as they stand: DQN on EnvPool's Pong, and FastTD3 on MuJoCo Playground's HumanoidWalk. Bytes are those
of the shapes of a run's state; operations are counted in the compiled update and the compiled choice of actions, by
XLA's own cost analysis and as matrix products (2 m k n each, loops unrolled); nothing of these is run. They are the
programs as they are made for a TPU, compiled for what is here: what another compiler fuses, and so does not move, is
counted as moved. Environments are stepped with random actions, and what is counted are the seconds that cores worked
for it, so that other work on the machine matters little. Writes benchmarks/results/constants.json.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.timing import RESULTS, arguments
from experiments.continuous import fast_td3
from experiments.discrete import dqn
from jaxq import envs, platforms
from jaxq.lanes import over_lanes
from jaxq.profiling import environment_alone, products_of
from jaxq.runs import parse
from jaxq.runs.devices import use_device
from jaxq.runs.directory import provenance, read_json, write_json
from jaxq.runs.memory import bytes_of
from jaxq.runs.population import assemble, member_keys

FILE = "constants.json"
TRAININGS: dict[str, tuple[Any, str]] = {
    "atari": (dqn, "envpool/Pong-v5"),
    "mjx": (fast_td3, "playground/HumanoidWalk"),
}
# Environments stepped alone, options of theirs, and steps of each in a segment.
ALONE: dict[str, tuple[int, dict[str, Any], int]] = {"atari": (16, {"num_threads": 1}, 100), "mjx": (32, {}, 10)}


PARTS = {
    "hyper": "others",
    **dict.fromkeys(("params", "variables"), "parameters"),
    **dict.fromkeys(("target_params", "target"), "targets"),
    "optimizer_state": "optimizer",
}


def _by_name(agent: Any) -> dict[str, int]:
    """The bytes of an agent's state: parameters, those of targets, the optimizer's, all others."""
    found = dict.fromkeys(("parameters", "targets", "optimizer", "others"), 0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(agent):
        names = (getattr(step, "name", "") for step in path)
        found[next((PARTS[name] for name in names if name in PARTS), "others")] += bytes_of(leaf)
    return found


def _counted(program: Callable[..., Any], *shapes: Any) -> dict[str, float]:
    """What a compiled program computes and moves."""
    compiled = jax.jit(program).lower(*shapes).compile()
    analysis = compiled.cost_analysis() or {}
    products = products_of(compiled.as_text() or "")
    return {
        "flops": float(analysis.get("flops", 0.0)),
        "product_flops": sum(2.0 * float(math.prod(product)) * times for product, times in products.items()),
        "bytes_accessed": float(analysis.get("bytes accessed", 0.0)),
    }


def of_training(name: str) -> dict[str, Any]:
    """Bytes and operations of one member of a training."""
    module, env = TRAININGS[name]
    config = parse(module.Config, module.PRESETS, ["--env", env, "--device", "cpu"])
    assembly = assemble(module.build, config)
    training: Any = assembly.training
    shape: Any = jax.eval_shape(training.init, member_keys(config), assembly.numbers)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    axes = training.replay.population_axes
    batch = jax.eval_shape(over_lanes(training.replay.sample, 1, (axes, 0)), shape.replay, keys)
    lane = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), shape.timestep)
    return {
        "experiment": module.__name__.rpartition(".")[2],
        "env": env,
        "num_envs": config.num_envs,
        "batch_size": config.batch_size,
        "replay_capacity": training.replay.capacity,
        "updates_per_step": training.updates_per_step,
        "network_bytes": _by_name(shape.agent),
        "replay_bytes": bytes_of(shape.replay),
        "environment_bytes": bytes_of((shape.env, shape.timestep, shape.statistics)),
        "batch_bytes": bytes_of(batch),
        "row_bytes": bytes_of(shape.replay) / training.replay.capacity,
        "update": _counted(over_lanes(training.agent.update, 1, heavy=True), shape.agent, batch, keys),
        "act": _counted(over_lanes(training.agent.act, 1), shape.agent, shape.memory, lane, keys),
        "physics_steps": _physics_steps(env),
        "step_bytes": _step_bytes(training.environment),
    }


def _physics_steps(env: str) -> int | None:
    """Of a Playground environment, for each step that an agent takes."""
    backend, _, task = env.partition("/")
    if backend != "playground":
        return None
    from mujoco_playground import registry

    config = registry.get_default_config(task)
    return round(config.ctrl_dt / config.sim_dt) * int(config.get("action_repeat", 1))


def _step_bytes(environment: envs.Environment) -> float | None:
    """Between host and device, for a step of one environment; None where the environments are on the device.

    Of images that is the newest, as those before it are on the device; what else a time step has; and the action back.
    """
    if environment.resumable:
        return None
    inner = getattr(environment, "environment", environment)  # without the frames before
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), environment.num_envs))
    _, timestep = jax.eval_shape(inner.reset, keys)
    action = jax.eval_shape(lambda key: environment.action_spec.sample(key, environment.num_envs), jax.random.key(0))
    return bytes_of((timestep, action)) / environment.num_envs


def alone(name: str, rounds: int) -> dict[str, Any]:
    """Seconds of a step, those that cores worked and those that went by, with nothing but the environments."""
    _, env = TRAININGS[name]
    count, options, steps = ALONE[name]
    segment = environment_alone(envs.make(env, count, **options), steps)
    segment()
    found: dict[str, list[float]] = {"core_seconds": [], "seconds": []}
    for _ in range(rounds):
        begun, worked = time.perf_counter(), time.process_time()
        done = segment()
        found["core_seconds"].append((time.process_time() - worked) / done)
        found["seconds"].append((time.perf_counter() - begun) / done)
    return {"num_envs": count, **found}


def _in_a_process(name: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.constants", "--alone", name, "--rounds", str(rounds)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


def main() -> None:
    """Count, measure and write the results."""
    parser = arguments(__doc__, TRAININGS)
    parser.add_argument("--alone", choices=list(TRAININGS), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS / FILE)
    args = parser.parse_args()
    use_device("cpu")
    if args.alone:
        print(json.dumps(alone(args.alone, args.rounds)))
        return
    results: dict[str, Any] = read_json(args.out)
    for name in args.only or TRAININGS:
        with platforms.assume("tpu"):
            results[name] = found = {**of_training(name), "provenance": provenance()}
        write_json(args.out, results)
        found["alone"] = _in_a_process(name, args.rounds)
        write_json(args.out, results)
        rate = 1 / np.median(found["alone"]["core_seconds"])
        print(
            f"{name}: replay {found['row_bytes']:,.0f} bytes a transition, networks {found['network_bytes']}, an "
            f"update {found['update']}, acting {found['act']} for {found['num_envs']} environments, of which a core "
            f"steps {rate:,.0f} a second",
            flush=True,
        )


if __name__ == "__main__":
    main()
