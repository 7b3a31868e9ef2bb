"""Resident memory: a replay of one million Atari frames, written full; and the host over a long run.

    python -m benchmarks.memory

Writes benchmarks/results/memory.json.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from jaxq.host_memory import taken_bytes
from jaxq.runs.directory import provenance, write_json

RESULTS = Path(__file__).parent / "results"
FRAMES, WRITTEN_AT_ONCE, CHUNKS = 1_000_000, 1_000, 3_000


def resident_bytes() -> int:
    """Of this process, now."""
    taken = taken_bytes()
    assert taken is not None, "measured on Linux"
    return taken


def full_replay() -> dict[str, Any]:
    """Write one million frames through `add`, inside a donated program, and see what is resident more than before."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxq.envs.base import ArraySpec, zero_reward_timestep
    from jaxq.replay import UniformReplay
    from jaxq.types import TimeStep

    replay = UniformReplay(FRAMES, 32, 1, ArraySpec((84, 84, 4), np.uint8, 4))
    no = jnp.zeros(1, bool)

    def fill(state: Any, base: jax.Array) -> Any:
        def add(state: Any, t: jax.Array) -> tuple[Any, None]:
            frame = jnp.broadcast_to((base + t).astype(jnp.uint8), (1, 84, 84, 4))
            timestep = TimeStep(frame, jnp.zeros(1), no, no, no)
            return replay.add(state, timestep, jnp.zeros(1, jnp.int32), (), timestep), None

        return jax.lax.scan(add, state, jnp.arange(WRITTEN_AT_ONCE))[0]

    before = resident_bytes()
    example = zero_reward_timestep(jnp.zeros((1, 84, 84, 4), jnp.uint8), 1)
    state = jax.jit(replay.init)(example, jnp.zeros(1, jnp.int32), ())
    fill = jax.jit(fill, donate_argnums=0)
    for i in range(FRAMES // WRITTEN_AT_ONCE + 1):
        state = fill(state, jnp.int32(i))
    jax.block_until_ready(jax.jit(replay.sample)(state, jax.random.key(0)))
    assert int(state.size) == FRAMES
    return {"frames": FRAMES, "replay_resident_gb": (resident_bytes() - before) / 1e9}


def long_run() -> dict[str, Any]:
    """A run of many chunks, its resident memory looked at from inside as it goes."""
    import tempfile

    from experiments.discrete import dqn
    from jaxq.runs import run
    from jaxq.runs.directory import RunDirectory

    seen: list[int] = []
    log = RunDirectory.log

    def counting(self: RunDirectory, line: Any) -> None:
        seen.append(resident_bytes())
        log(self, line)

    RunDirectory.log = counting  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        config = dqn.Config(
            total_steps=300_000,
            num_logs=CHUNKS,
            num_evaluations=CHUNKS // 10,
            run_dir=Path(folder) / "run",
            checkpoint_minutes=0.05,
            num_envs=8,
        )
        run(dqn.build, config)
    return {
        "chunks": len(seen),
        "resident_mb_early": seen[len(seen) // 10] / 1e6,
        "resident_mb_late": seen[-1] / 1e6,
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print("result " + json.dumps({"replay": full_replay, "run": long_run}[sys.argv[1]]()))
    else:
        values: dict[str, Any] = {}
        for part in ("replay", "run"):  # each in a process of its own
            command = [sys.executable, "-m", "benchmarks.memory", part]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            values |= json.loads(out.splitlines()[-1].removeprefix("result "))
        write_json(RESULTS / "memory.json", {**values, "provenance": provenance()})
        print(values)
