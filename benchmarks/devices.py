"""One training over 1, 2, 4 and 8 devices that are made of one CPU, and a checkpoint of 8 restored on fewer.

    python -m benchmarks.devices [--rounds 5] [--only population] [--iterations 50]

`population` is eight members of DQN on MinAtar Breakout, spread over the devices; `data` is one of them with 64
environments and updates of 512, whose environments, replay and batches are divided. The work is the same on every
number of devices, and all are timed in turn, round after round. The devices share the cores of one machine, so there is
nothing to win beyond what one device leaves of them: this measures what dividing costs, not what devices bring. Beside
it, how far the members' arrays are from those of one device after as many iterations as a segment has.

`checkpoint`: two members of DQN on CartPole, each over four of eight devices, are told to stop in the middle; their
checkpoint is read on 8, 4 and 1 devices and compared bit by bit, and the run goes on from it on each, beside one that
was never stopped and had one device. Writes benchmarks/results/devices.json.
"""

import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.launching import ROOT, UNDER_WAY, as_typed, cleared, finish, script, start
from benchmarks.members import arrays_of, compared, metrics_of, summed
from benchmarks.timing import RESULTS, arguments, measure, warmed_up
from experiments.discrete import dqn
from jaxq.configs import grid
from jaxq.runs.checkpoints import Checkpoints
from jaxq.runs.devices import spread, state_shape, use_device
from jaxq.runs.directory import provenance, read_json, read_metrics, write_json
from jaxq.runs.population import assemble
from jaxq.runs.restore import load_experiment
from jaxq.training import TrainState

COUNTS = (1, 2, 4, 8)
EIGHT = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
FILE = "devices.json"
WORK = UNDER_WAY / "devices"
MEMBERS = 2  # of the checkpoint

MINATAR = {**dqn.PRESETS["minatar"], "replay_capacity": 20_000, "warmup_steps": 2_048}
SETTINGS: dict[str, tuple[int, dict[str, Any]]] = {  # members, and what they have in common
    "population": (8, {}),
    "data": (1, {"num_envs": 64, "batch_size": 512}),
}


def config_of(setting: str, devices: int) -> dqn.Config:
    """A setting of `SETTINGS` on so many devices."""
    members, common = SETTINGS[setting]
    config = dataclasses.replace(
        dqn.Config(env="gymnax/Breakout-MinAtar"), **{**MINATAR, **common}, device="cpu", devices=devices
    )
    rates = [float(rate) for rate in np.geomspace(1e-4, 1e-3, members)]
    return config.with_population(grid({"learning_rate": rates}, range(1)))


def trained(setting: str, devices: int, iterations: int) -> tuple[Callable[[], float], list[tuple[str, np.ndarray]]]:
    """A segment of the training, which gives the seconds of an iteration, and all that members are after the first."""
    config = config_of(setting, devices)
    one = assemble(dqn.build, config)
    assembly = spread(one, config)
    training: Any = assembly.training
    places = jax.tree.map(lambda leaf: leaf.sharding, state_shape(assembly, config))
    begun = warmed_up(training, config, assembly.numbers, places)

    def chunk(state: TrainState) -> TrainState:
        return training.train_chunk(state, iterations)[0]

    program = jax.jit(chunk, donate_argnums=0, out_shardings=places).lower(begun).compile()
    held = [jax.block_until_ready(program(begun))]
    members = [pair for i in range(config.num_members) for pair in arrays_of(one.training, held[0], i)]

    def segment() -> float:
        since = time.perf_counter()
        held[0] = jax.block_until_ready(program(held[0]))
        return (time.perf_counter() - since) / iterations

    return segment, members


def sharding(setting: str, iterations: int, rounds: int) -> None:
    """Time a setting on all numbers of devices, and compare what they come to."""
    found = {count: trained(setting, count, iterations) for count in COUNTS}
    _, alone = found[COUNTS[0]]
    apart = {str(count): compared(iter(alone), iter(members)) for count, (_, members) in found.items()}
    config = config_of(setting, 1)
    steps = config.num_envs * config.collect_steps * config.num_members
    segments = {str(count): segment for count, (segment, _) in found.items()}
    measure(FILE, setting, segments, rounds, iterations=iterations, steps_of_an_iteration=steps, apart=apart)
    seconds = json.loads((RESULTS / FILE).read_text())[setting]["seconds"]
    for count in COUNTS:
        # Against the same round on one device: what else the machine does is the same for both.
        efficiency = np.median(np.array(seconds["1"]) / np.array(seconds[str(count)]))
        learned = apart[str(count)]["parameters"]
        print(
            f"  {count} devices: {steps / np.median(seconds[str(count)]):>9,.0f} steps/s, {efficiency:.2f} of one "
            f"device's speed; {learned['other_bits']} of {learned['values']:,} parameters with other bits, "
            f"at most {learned['largest_difference']:.1e} apart",
            flush=True,
        )


def flags(steps: int) -> list[object]:
    """Of the script, for the checkpoint."""
    found = ["--num-seeds", MEMBERS, "--num-envs", 8, "--batch-size", 16, "--hidden-widths", 16]
    found += ["--total-steps", steps, "--warmup-steps", 104, "--epsilon-steps", steps // 2, "--replay-capacity", 1_600]
    found += ["--num-logs", 20, "--num-evaluations", 2, "--eval-episodes", 8, "--n-step", 2, "--device", "cpu"]
    return [*found, "--priority-exponent", 0.5, "--checkpoint-minutes", 0]


def restored(run_dir: Path, devices: int) -> list[tuple[str, np.ndarray]]:
    """All that a run's members consist of, from its last checkpoint, read onto so many devices."""
    module, config = load_experiment(ROOT / run_dir)
    config = dataclasses.replace(config, devices=devices)
    one = assemble(module.build, config)
    checkpoints = Checkpoints(ROOT / run_dir)
    state, *_ = checkpoints.restore(state_shape(spread(one, config), config))
    checkpoints.close()
    on = {device for leaf in jax.tree.leaves(state) for device in leaf.devices()}
    assert len(on) == devices, f"{len(on)} devices hold what {devices} should"
    return [pair for member in range(MEMBERS) for pair in arrays_of(one.training, state, member)]


def stopped_in_the_middle(command: list[str], run_dir: Path, lines: int) -> int:
    """Start a run, tell it to stop when it has logged so many lines, and wait; the step at which it is.

    Raises:
      RuntimeError: if it ends otherwise.
    """
    log = ROOT / run_dir.with_suffix(".log")
    process = start(command, log, EIGHT)
    while process.poll() is None and len(read_metrics(ROOT / run_dir)) < lines:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    if process.wait() or (ROOT / run_dir / "summary.json").exists():
        raise RuntimeError(f"{as_typed(command)} was not stopped in its middle: {log.read_text()[-2000:]}")
    return int(read_metrics(ROOT / run_dir)[-1]["step"])


def checkpoint(steps: int) -> dict[str, Any]:
    """A run of eight devices, gone on with on 8, 4 and 1."""
    cleared(ROOT / WORK)
    whole, first = WORK / "whole", WORK / "eight"
    path = "experiments/discrete/dqn.py"
    alone = script(path, *flags(steps), "--devices", 1, "--run-dir", whole)
    finish(alone, ROOT / whole.with_suffix(".log"), EIGHT)
    command = script(path, *flags(steps), "--devices", 8, "--run-dir", first)
    step = stopped_in_the_middle(command, first, 8)
    print(f"checkpoint: eight devices, told to stop at step {step:,} of {steps:,}", flush=True)
    saved = restored(first, 8)
    rows: dict[str, Any] = {}
    for count in (8, 4, 1):
        read = compared(iter(saved), iter(restored(first, count)))
        run_dir = WORK / f"on-{count}"
        shutil.copytree(ROOT / first, ROOT / run_dir)
        again = script(path, "--run-dir", run_dir, "--resume", "--devices", count)
        finish(again, ROOT / run_dir.with_suffix(".log"), EIGHT)
        state = compared(iter(restored(whole, 1)), iter(restored(run_dir, 1)))
        lines = [
            compared(metrics_of(ROOT / whole, member), metrics_of(ROOT / run_dir, member)) for member in range(MEMBERS)
        ]
        rows[str(count)] = {"command": as_typed(again), "read": read, "ended": {**state, **summed(lines)}}
        others = sum(part["other_bits"] for part in read.values())
        values = sum(part["values"] for part in read.values())
        learned = rows[str(count)]["ended"]["parameters"]
        returns = rows[str(count)]["ended"]["metrics: returns"]
        print(
            f"  restored on {count}: {others} of {values:,} values with other bits; gone on with to the end, its "
            f"parameters are at most {learned['largest_difference']:.1e} and its returns at most "
            f"{returns['largest_difference']:.1e} from those of the run on one device that was never stopped",
            flush=True,
        )
    return {"command": as_typed(command), "alone": as_typed(alone), "step": step, "steps": steps, "on": rows}


def main() -> None:
    """Measure, compare and write the results."""
    parser = arguments(__doc__, [*SETTINGS, "checkpoint"])
    parser.add_argument("--iterations", type=int, default=50, help="of the training's loop, in a segment")
    parser.add_argument("--steps", type=int, default=4_000, help="of the run whose checkpoint is restored")
    args = parser.parse_args()
    os.environ.update(EIGHT)  # before JAX looks for devices
    use_device("cpu")
    for name in args.only or [*SETTINGS, "checkpoint"]:
        if name in SETTINGS:
            sharding(name, args.iterations, args.rounds)
            continue
        found = checkpoint(args.steps)
        path = RESULTS / FILE
        results: dict[str, Any] = read_json(path)
        results[name] = {**found, "provenance": provenance()}
        write_json(path, results)


if __name__ == "__main__":
    main()
