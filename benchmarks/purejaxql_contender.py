"""purejaxql's own PQN on MinAtar, for `throughput.py`; run by the Python of an environment in which purejaxql works.

    python benchmarks/purejaxql_contender.py CHECKOUT [--train STEPS SEEDS]

That environment needs the versions that purejaxql's project file pins (JAX 0.4.38), `gymnax`, `six` and `pyyaml`. The
settings are those of the checkout, but for the game and the length. Says `ready`, and for each line on its standard
input runs a segment and prints `{"steps": ..., "seconds": ...}`. With `--train` it trains once, so many seeds
for so many steps each, and prints by seed the mean return of the last tenth's episodes, while exploring, and of greedy
ones at the end.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

ROLLOUTS = 20
STEPS_PER_ROLLOUT = 128 * 32


def compiled(checkout: Path, steps: int, test: bool, seeds: int = 1) -> tuple[Any, Any]:
    """purejaxql's whole training as one program, and its keys."""
    sys.path.insert(0, str(checkout))
    import jax
    import yaml
    from purejaxql.pqn_minatar import make_train  # type: ignore[import-not-found, unused-ignore]

    config = yaml.safe_load((checkout / "purejaxql" / "config" / "alg" / "pqn_minatar.yaml").read_text())
    config.update(
        ENV_NAME="Breakout-MinAtar",
        TOTAL_TIMESTEPS=steps,
        TOTAL_TIMESTEPS_DECAY=steps,
        TEST_DURING_TRAINING=test,
        WANDB_MODE="disabled",
    )
    keys = jax.random.split(jax.random.PRNGKey(0), seeds)
    return jax.jit(jax.vmap(make_train(config))).lower(keys).compile(), keys


def main() -> None:
    """Serve segments, or train."""
    import jax
    import numpy as np

    checkout = Path(sys.argv[1])
    if "--train" in sys.argv:
        steps, seeds = (int(sys.argv[sys.argv.index("--train") + i]) for i in (1, 2))
        program, keys = compiled(checkout, steps, True, seeds)
        metrics = jax.block_until_ready(program(keys))["metrics"]
        returns = np.asarray(metrics["returned_episode_returns"])
        tested = np.asarray(metrics["test/returned_episode_returns"])
        exploring = returns[:, -(returns.shape[1] // 10) :].mean(axis=1)
        print(json.dumps({"exploring": exploring.tolist(), "greedy": tested[:, -1].tolist()}))
        return
    program, keys = compiled(checkout, ROLLOUTS * STEPS_PER_ROLLOUT, False)
    jax.block_until_ready(program(keys))
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        jax.block_until_ready(program(keys))
        seconds = time.perf_counter() - begun
        print(json.dumps({"steps": ROLLOUTS * STEPS_PER_ROLLOUT, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
