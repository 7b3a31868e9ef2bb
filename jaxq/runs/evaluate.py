"""Tests of trained policies: `jaxq evaluate`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.errors import require, warn
from jaxq.runs.restore import restore_agents
from jaxq.types import PyTree


def returns_of(
    run_dir: Path, *, episodes: int = 100, members: Sequence[int] | None = None, seed: int = 0, run_code: bool = True
) -> np.ndarray:
    """Returns of the newest checkpoint's exploiting policies, [N, episodes], as the run's own evaluations count them.

    Args:
      run_dir: of the run.
      episodes: how many of each policy, all played at once.
      members: which of the run's agents play; all unless given.
      seed: of the episodes, the same for each, and of what the policies draw.
      run_code: whether the run's own experiment.py may be executed where it is not the installed script.

    Raises:
      InputError: if the run cannot be restored or has no such member, or for less than one episode.
    """
    require(episodes >= 1, "episodes", episodes, "at least 1")
    _, training, agents = restore_agents(run_dir, members, run_code=run_code)
    tests, agent, count = training.evaluation, training.agent, jax.tree.leaves(agents)[0].shape[0]
    seeds = [seed + episode for episode in range(episodes)] * count  # of pools, which know no keys
    tests = dataclasses.replace(tests, environment=tests.environment.remade(count * episodes, seeds))

    @jax.jit
    def play(agents: PyTree, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        ended = tests.advance(agent, agents, tests.begin(agent, keys), jnp.int32(tests.longest))
        return ended.returns, ended.broken

    returns, broken = play(agents, jnp.repeat(jax.random.key(seed)[None], count))
    if broken.any():
        lost = f"of {count * episodes} episodes {int(broken.sum())} were broken off by what is not finite"
        warn(f"{lost}: they count with what they had come to")
    return np.asarray(returns).reshape(count, episodes)
