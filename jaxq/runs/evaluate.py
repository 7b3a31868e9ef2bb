"""Tests of trained policies: `jaxq evaluate`."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.errors import require, warn
from jaxq.runs.restore import restore_member


def returns_of(
    run_dir: Path, *, episodes: int = 100, member: int = 0, seed: int = 0, run_code: bool = True
) -> np.ndarray:
    """Returns of the newest checkpoint's exploiting policy, [episodes], as the run's own evaluations count them.

    Args:
      run_dir: of the run.
      episodes: how many, all played at once.
      member: which of the run's agents plays.
      seed: of the episodes and of what the policy draws.
      run_code: whether the run's own experiment.py may be executed where it is not the installed script.

    Raises:
      InputError: if the run cannot be restored or has no such member, or for less than one episode.
    """
    require(episodes >= 1, "episodes", episodes, "at least 1")
    _, training, state = restore_member(run_dir, member, run_code=run_code)
    tests = training.evaluation
    tests = dataclasses.replace(tests, environment=tests.environment.remade(episodes, seed))
    agent, alone = training.agent, jax.tree.map(lambda leaf: leaf[None], state)

    @jax.jit
    def play(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        begun = tests.begin(agent, key[None])
        ended = tests.advance(agent, alone, begun, jnp.int32(tests.longest))
        return ended.returns, ended.broken

    returns, broken = play(jax.random.key(seed))
    if broken.any():
        lost = (
            f"of {episodes} episodes {int(broken.sum())} were broken off by a reward or observation that is not finite"
        )
        warn(f"{lost}: they count with what they had come to")
    return np.asarray(returns)
