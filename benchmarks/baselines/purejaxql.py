"""purejaxql's own PQN on MinAtar, from a checkout.

    python -m benchmarks.baselines.purejaxql pqn-minatar CHECKOUT [--train STEPS SEEDS]

Its environment has the JAX that purejaxql's project file pins (0.4.38). The settings are those of the checkout, but for
the game and the length. With `--train` it trains once, so many seeds for so many steps each, and prints by seed the
mean return of the last tenth's episodes, while exploring, and of greedy ones at the end.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.baselines.protocol import Segment, serve

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


def rollouts(checkout: Path) -> Segment:
    """The training of so many rollouts, from its beginning."""
    import jax

    program, keys = compiled(checkout, ROLLOUTS * STEPS_PER_ROLLOUT, False)

    def segment() -> int:
        jax.block_until_ready(program(keys))
        return ROLLOUTS * STEPS_PER_ROLLOUT

    return segment


def train(checkout: Path, steps: int, seeds: int) -> None:
    """Train once and print the returns."""
    import jax
    import numpy as np

    program, keys = compiled(checkout, steps, True, seeds)
    metrics = jax.block_until_ready(program(keys))["metrics"]
    returns = np.asarray(metrics["returned_episode_returns"])
    tested = np.asarray(metrics["test/returned_episode_returns"])
    exploring = returns[:, -(returns.shape[1] // 10) :].mean(axis=1)
    print(json.dumps({"exploring": exploring.tolist(), "greedy": tested[:, -1].tolist()}))


if __name__ == "__main__":
    if "--train" in sys.argv:
        train(Path(sys.argv[2]), *(int(sys.argv[sys.argv.index("--train") + i]) for i in (1, 2)))
    else:
        serve(lambda: rollouts(Path(sys.argv[2])))
