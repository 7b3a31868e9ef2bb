"""Members of a population beside the same runs alone, and beside a population in which one of them is poisoned.

    python -m benchmarks.members [--members 64] [--steps 30000] [--alone 3 31 60] [--poisoned 40]

DQN on MinAtar Breakout, a learning rate for each member, all one program; then some members as runs of their own, and
the population once more, in which one learning rate is such that its member diverges. All are commands of the script;
what is compared are their last checkpoints, whole, and their metrics. Writes benchmarks/results/members.json. What is
finished under .bench/members is not run again.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.launching import ROOT, UNDER_WAY, as_typed, finish, script
from benchmarks.timing import RESULTS
from jaxq.lanes import by_axes
from jaxq.runs.checkpoints import Checkpoints
from jaxq.runs.devices import state_shape, use_device
from jaxq.runs.directory import provenance, read_metrics, write_json
from jaxq.runs.population import assemble
from jaxq.runs.restore import load_experiment
from jaxq.training import TrainState

ENV = "gymnax/Breakout-MinAtar"
POISON = 1e30
NOT_LEARNED = ("step", "wall_seconds")
PARTS = {"params": "parameters", "target_params": "target parameters", "optimizer_state": "optimizer"}


def train(name: str, rates: list[float], steps: int) -> Path:
    """A run of the script with these learning rates, if it is not there; its directory."""
    run_dir = UNDER_WAY / "members" / name
    flags = ["--env", ENV, "--learning-rate", *rates, "--total-steps", steps, "--replay-capacity", steps]
    flags += ["--epsilon-steps", 0.5, "--num-evaluations", 2, "--checkpoint-minutes", 2, "--run-dir", run_dir]
    if not (ROOT / run_dir / "summary.json").exists():
        command = script("experiments/discrete/dqn.py", *flags)
        print(f"{name}: {as_typed(command)[:150]}", flush=True)
        finish(command, ROOT / run_dir.with_suffix(".log"))
    return ROOT / run_dir


def final_state(run_dir: Path) -> tuple[Any, TrainState]:
    """The training of a run and the state in its last checkpoint."""
    module, config = load_experiment(run_dir)
    assembly = assemble(module.build, config)
    checkpoints = Checkpoints(run_dir)
    state, *_ = checkpoints.restore(state_shape(assembly, config))
    checkpoints.close()
    return assembly.training, state


def arrays_of(training: Any, state: TrainState, member: int) -> Iterator[tuple[str, np.ndarray]]:
    """All that a member consists of, array by array, with the name of the part that each belongs to."""

    def own(axis: int | None, tree: Any) -> Any:
        def lane(leaf: jax.Array) -> jax.Array:
            each = leaf.shape[0] // training.num_members
            return leaf[member * each : (member + 1) * each]

        return tree if axis is None else jax.tree.map(lane, tree)

    for path, leaf in jax.tree_util.tree_leaves_with_path(by_axes(own, training.member_axes, state)):
        names = [str(getattr(part, "name", "")) for part in path]
        part = names[0] if names[0] != "agent" else PARTS.get(names[1], f"agent's {names[1]}")
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        yield part, np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def compared(ours: Iterator[tuple[str, np.ndarray]], theirs: Iterator[tuple[str, np.ndarray]]) -> dict[str, Any]:
    """By part: how many values there are, how many have other bits, and the largest difference between two."""
    found: dict[str, Any] = {}
    for (part, one), (_, other) in zip(ours, theirs, strict=True):
        row = found.setdefault(part, {"values": 0, "other_bits": 0, "largest_difference": 0.0})
        row["values"] += one.size
        if one.tobytes() == other.tobytes():
            continue
        width = one.dtype.itemsize
        bits = (np.ascontiguousarray(x).view(np.uint8).reshape(-1, width) for x in (one, other))
        row["other_bits"] += int(np.not_equal(*bits).any(axis=1).sum())
        row["largest_difference"] = max(row["largest_difference"], largest_difference(one, other))
    return found


def largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Between two arrays; infinite where one has a NaN and the other has none, as what is missing is NaN in both."""
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return math.inf
    return float(np.nanmax(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What `compared` found of several members, together."""
    whole: dict[str, Any] = {}
    for row in rows:
        for part, found in row.items():
            so_far = whole.setdefault(part, {"values": 0, "other_bits": 0, "largest_difference": 0.0})
            so_far["values"] += found["values"]
            so_far["other_bits"] += found["other_bits"]
            so_far["largest_difference"] = max(so_far["largest_difference"], found["largest_difference"])
    return whole


def metrics_of(run_dir: Path, member: int) -> Iterator[tuple[str, np.ndarray]]:
    """A member's metrics, all lines; what is missing is NaN."""
    lines = read_metrics(run_dir)
    for name in sorted(name for name in lines[0] if name not in NOT_LEARNED and not name.startswith("setting/")):
        kind = "metrics: returns" if name.endswith("_return") else "metrics: others"
        yield kind, np.array([line[name][member] for line in lines], np.float64)


def row_of(run_dir: Path, member: int) -> dict[str, Any]:
    """A member's row of summary.json."""
    return json.loads((run_dir / "summary.json").read_text())["members"][member]


def main() -> None:
    """Train, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--alone", type=int, nargs="+", default=[3, 31, 60])
    parser.add_argument("--poisoned", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS / "members.json")
    args = parser.parse_args()
    rates = [float(rate) for rate in np.geomspace(1e-5, 1e-2, args.members)]
    ill = [POISON if i == args.poisoned else rate for i, rate in enumerate(rates)]
    population = train("population", rates, args.steps)
    poisoned = train("poisoned", ill, args.steps)
    alone = {i: train(f"alone-{i}", [rates[i]], args.steps) for i in args.alone}
    use_device("cpu")

    training, whole = final_state(population)
    members = []
    for i, run_dir in alone.items():
        state = compared(arrays_of(*final_state(run_dir), 0), arrays_of(training, whole, i))
        metrics = compared(metrics_of(run_dir, 0), metrics_of(population, i))
        returns = [row_of(run_dir, 0)["return"], row_of(population, i)["return"]]
        members.append({"member": i, "learning_rate": rates[i], "returns": returns, "parts": {**state, **metrics}})
    _, other = final_state(poisoned)
    sound = [i for i in range(args.members) if i != args.poisoned]
    disturbed = [
        {
            **compared(arrays_of(training, whole, i), arrays_of(training, other, i)),
            **compared(metrics_of(population, i), metrics_of(poisoned, i)),
        }
        for i in sound
    ]
    said = (ROOT / UNDER_WAY / "members" / "poisoned.log").read_text().splitlines()
    results = {
        "env": ENV,
        "steps": args.steps,
        "learning_rates": rates,
        "returns": [row_of(population, i)["return"] for i in range(args.members)],
        "alone": members,
        "poisoned": {
            "member": args.poisoned,
            "learning_rate": POISON,
            "row": row_of(poisoned, args.poisoned),
            "said": [line for line in said if "diverged" in line],
            "members_with_other_bits": sum(any(part["other_bits"] for part in row.values()) for row in disturbed),
            "parts": summed(disturbed),
        },
        "runs": {run.name: json.loads((run / "provenance.json").read_text()) for run in (population, poisoned)},
        "provenance": provenance(),
    }
    write_json(args.out, results)
    for row in members:
        apart = {part: found for part, found in row["parts"].items() if found["other_bits"]}
        print(f"member {row['member']} alone: returns {row['returns']}; other bits in {apart or 'nothing'}")
    ended = results["poisoned"]
    print(f"poisoned: {ended['members_with_other_bits']} of {len(sound)} others with another bit; {ended['said']}")


if __name__ == "__main__":
    main()
