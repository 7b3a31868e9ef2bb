"""Evaluation: the exploiting policy, one full episode in each of its own environments, in parts of any length.

In parts, because one evaluation can take longer than the training around it (an untrained agent on an Atari game that
waits to be started), and a run that is told to stop must not have to wait for its end.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import Agent
from jaxq.envs.base import Environment
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.lanes import by_lane, flat, over_lanes
from jaxq.types import PyTree, TimeStep

# Metrics of an evaluation: means over its episodes, and how many were broken off where something was not finite.
EVALUATED = ("eval_return", "eval_length", "eval_broken_off")


class EvaluationState(struct.PyTreeNode):
    """An evaluation under way.

    Attributes:
      env, timestep: of the flat batch, [N * episodes, ...].
      memory: of each member's acting, [N, ...].
      key: [N] of acting.
      playing: [N * episodes] bool, whose episode has not ended.
      broken: [N * episodes] bool, whose episode was broken off where something was not finite.
      returns, lengths: [N * episodes] so far.
      time: [N] int32, steps of every environment so far.
    """

    env: PyTree
    timestep: TimeStep
    memory: PyTree
    key: jax.Array
    playing: jax.Array
    broken: jax.Array
    returns: jax.Array
    lengths: jax.Array
    time: jax.Array


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Plays one episode in each environment, and averages by member.

    Attributes:
      environment: of N times the episodes of each member.
      max_steps: an episode that is longer counts with its return so far; the environment's own limit unless given.
    """

    environment: Environment
    max_steps: int | None = None

    def __post_init__(self) -> None:
        require(self.max_steps is None or self.max_steps >= 1, "eval_max_steps", self.max_steps, "at least 1")

    @property
    def longest(self) -> int:
        """Steps after which an episode is broken off."""
        own = self.environment.max_episode_steps
        return own if self.max_steps is None else min(self.max_steps, own)

    def begin(self, agent: Agent, keys: jax.Array) -> EvaluationState:
        """Start an episode everywhere.

        Args:
          agent: whose `exploit` is to act.
          keys: [N], one a member.

        Raises:
          InputError: for a key alone.
        """
        require(keys.ndim == 1, "keys", f"of shape {keys.shape}", "[N], one a member: key[None] for a single one")
        members, batch = keys.shape[0], self.environment.num_envs
        episodes = batch // members
        reset_keys, act_keys = jax.vmap(lambda key: streams(key, "reset", "act"))(keys)
        env, timestep = self.environment.reset(flat(jax.vmap(lambda k: jax.random.split(k, episodes))(reset_keys)))
        memory = jax.vmap(lambda _: agent.init_memory(episodes))(jnp.arange(members))
        zeros, time = jnp.zeros(batch, jnp.float32), jnp.zeros(members, jnp.int32)
        return EvaluationState(env, timestep, memory, act_keys, zeros == 0, zeros == 1, zeros, zeros, time)

    def unfinished(self, state: EvaluationState) -> jax.Array:
        """[] bool: whether an episode is still played and within the limit."""
        return state.playing.any() & (state.time < self.longest).all()

    def advance(self, agent: Agent, agent_state: PyTree, state: EvaluationState, steps: jax.Array) -> EvaluationState:
        """One part: so many steps, or fewer if all episodes end. How an evaluation is cut changes no bit.

        Args:
          agent: whose `exploit` acts.
          agent_state: of all members, [N, ...].
          state: so far.
          steps: [] int32, of every environment.

        Raises:
          InputError: for the state of one agent alone.
        """
        members = state.key.shape[0]
        lacking = [leaf.shape for leaf in jax.tree.leaves(agent_state) if leaf.shape[:1] != (members,)]
        allowed = f"[{members}, ...], of all members: jax.tree.map(lambda x: x[None], state) of a single one"
        require(not lacking, "agent_state", f"with arrays of shape {lacking[:1]}", allowed)
        exploit = over_lanes(agent.exploit, members)
        until = state.time + steps

        def step(now: EvaluationState) -> EvaluationState:
            step_keys = jax.vmap(jax.random.fold_in)(now.key, now.time)
            action, memory = exploit(agent_state, now.memory, by_lane(now.timestep, members), step_keys)
            env, timestep = self.environment.step(now.env, flat(action))
            playing = now.playing & ~timestep.first  # an episode that is broken off counts with what it came to
            return EvaluationState(
                env,
                timestep,
                memory,
                now.key,
                playing & ~timestep.last,
                now.broken | (now.playing & timestep.first),
                now.returns + jnp.where(playing, timestep.total_reward, 0.0),
                now.lengths + playing,
                now.time + 1,
            )

        return jax.lax.while_loop(lambda now: self.unfinished(now) & (now.time < until).all(), step, state)

    def result(self, state: EvaluationState) -> dict[str, jax.Array]:
        """The metrics `EVALUATED` of a finished evaluation, each [N].

        Returns are NaN where no episode came to its end because something was not finite.
        """
        state = by_lane(state, state.key.shape[0])
        returns = state.returns.mean(axis=1)
        return {
            "eval_return": jnp.where(state.broken.all(axis=1), jnp.nan, returns),
            "eval_length": state.lengths.mean(axis=1),
            "eval_broken_off": state.broken.sum(axis=1).astype(jnp.float32),
        }

    def __call__(self, agent: Agent, agent_state: PyTree, keys: jax.Array) -> dict[str, Any]:
        """A whole evaluation in one program; arguments as of `begin` and `advance`, result as of `result`."""
        return self.result(self.advance(agent, agent_state, self.begin(agent, keys), jnp.int32(self.longest)))
