"""A trained policy in two lines: `policy = jaxq.load(run_dir)`, `action = policy(observation)`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.envs.base import ArraySpec, zero_reward_timestep
from jaxq.errors import require
from jaxq.runs.restore import restore_member


class Policy:
    """The exploiting policy of a trained agent, with its memory where it has one.

    Attributes:
      agent: whose policy it is.
      state: of the agent.
      observation_spec, action_spec: of one environment.
    """

    def __init__(self, training: Any, state: Any, seed: int = 0):
        self.agent, self.state = training.agent, state
        environment = training.environment
        self.observation_spec, self.action_spec = environment.observation_spec, environment.action_spec
        self._exploit = jax.jit(self.agent.exploit)
        self._key = jax.random.key(seed)
        self.reset()

    def reset(self) -> None:
        """Forget: an episode begins with the next call."""
        self._memory: Any = None
        self._batch = 0
        self._calls = 0

    def __call__(self, observation: Any, reward: Any = 0.0) -> np.ndarray:
        """The action for one observation, or the actions [B] or [B, size] for a batch of them.

        Continuous actions are in [-1, 1], as the environments of `envs.make` and `envs.from_object` take them: who
        steps one by other means stretches them to its bounds, `low + (action + 1) (high - low) / 2`.

        Args:
          observation: as the environment of `envs.make` gives it, an array or a tree of arrays, with or without a
            batch axis. Parts that the actor does not see, as what is privileged, may be zeros.
          reward: that came with it; looked at by agents with a memory for rewards alone.

        Raises:
          InputError: for an observation of another shape, or a batch of another size than that of the calls before.
        """
        spec_leaves = jax.tree.leaves(self.observation_spec)
        if isinstance(self.observation_spec, ArraySpec):  # of which a list of numbers is no tree
            one = f"one array of shape {self.observation_spec.shape}, as environments show it to this agent"
            require(not isinstance(observation, Mapping), "observation", "a dictionary", one)
            observation = np.asarray(observation)
        leaves = jax.tree.leaves(observation)
        require(len(leaves) == len(spec_leaves), "observation", len(leaves), f"{len(spec_leaves)} arrays")
        shapes = [np.shape(leaf) for leaf in leaves]
        single = all(shape == tuple(spec.shape) for shape, spec in zip(shapes, spec_leaves, strict=True))
        batched = all(shape[1:] == tuple(spec.shape) for shape, spec in zip(shapes, spec_leaves, strict=True))
        allowed = f"of shape {[tuple(spec.shape) for spec in spec_leaves]}, with or without a batch axis before it"
        require(single or batched, "observation", shapes, allowed)

        def cast(leaf: Any, spec: Any) -> jax.Array:
            array = jnp.asarray(leaf, spec.dtype)
            return array[None] if single else array

        seen = jax.tree.map(cast, observation, self.observation_spec)
        batch = jax.tree.leaves(seen)[0].shape[0]
        if self._memory is None:
            self._memory, self._batch = self.agent.init_memory(batch), batch
        require(batch == self._batch, "observation's batch", batch, f"{self._batch} until `reset` is called")
        timestep = zero_reward_timestep(seen, batch)
        timestep = timestep.replace(
            first=jnp.full(batch, self._calls == 0), reward=jnp.broadcast_to(jnp.float32(reward), (batch,))
        )
        key = jax.random.fold_in(self._key, self._calls)
        action, self._memory = self._exploit(self.state, self._memory, timestep, key)
        self._calls += 1
        return np.asarray(action[0] if single else action)


def load(run_dir: str | Path, member: int = 0, *, seed: int = 0, run_code: bool = True) -> Policy:
    """The trained policy of a run.

    Args:
      run_dir: of the run.
      member: which seed's agent, counted from 0.
      seed: of the samples that some policies draw.
      run_code: whether the run's own experiment.py may be executed where it is not the script that is installed.

    Raises:
      InputError: if the run cannot be restored, or has no such member.
    """
    _, training, state = restore_member(Path(run_dir), member, run_code=run_code)
    return Policy(training, state, seed)
