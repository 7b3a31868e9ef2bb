"""The on-policy loop: collect T steps, learn from them, forget them; many times over in one compiled program."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.base import OnPolicyAgent
from jaxq.errors import require
from jaxq.lanes import by_lane, flat, over_lanes
from jaxq.training.loop import Loop, Plan, TrainState, keys_over_time
from jaxq.types import Metrics, PyTree, Rollout, TimeStep, broken_off


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicy(Loop):
    """Training of N members by an agent that learns from what it has just done.

    Attributes:
      agent: one member's.
      rollout_steps: T, steps of every environment between updates.
    """

    agent: OnPolicyAgent
    rollout_steps: int

    def __post_init__(self) -> None:
        require(self.rollout_steps >= 1, "rollout_steps", self.rollout_steps, "at least 1")

    @property
    def updates_per_step(self) -> float:
        """Updates of a member for each of its environment steps."""
        return self.agent.updates_per_rollout / (self.rollout_steps * self.envs_per_member)

    @property
    def batch_size(self) -> int:
        """See `Loop.batch_size`: all environments, whose order is another in every epoch."""
        return self.envs_per_member

    def plan(self, total_steps: int, num_chunks: int, num_evaluations: int) -> Plan:
        """See `Training.plan`."""
        return self._plan(total_steps, self.rollout_steps * self.envs_per_member, 0, num_chunks, num_evaluations)

    def init(self, keys: jax.Array, numbers: Mapping[str, jax.Array] | None = None) -> TrainState:
        """See `Training.init`."""
        return self._init(keys, numbers or {})

    def warm_up(self, state: TrainState) -> TrainState:
        """See `Training.warm_up`: nothing."""
        return state

    def _keys(self, state: TrainState, iterations: int) -> PyTree:
        steps = self.rollout_steps
        act_keys = keys_over_time(state.key, "act", state.iteration * steps, iterations * steps)
        return act_keys.reshape(iterations, steps, -1), keys_over_time(state.key, "update", state.iteration, iterations)

    def _iteration(self, state: TrainState, keys: PyTree) -> tuple[TrainState, Metrics]:
        act_keys, update_keys = keys
        memory = state.memory
        state, (timesteps, actions, records) = jax.lax.scan(self._collect, state, act_keys)
        rollout = Rollout(timesteps, actions, records, by_lane(state.timestep, self.num_members), memory)
        cut = broken_off(timesteps, timesteps.replace(first=rollout.arrived("first")))
        rollout = rollout.replace(timestep=timesteps.replace(truncated=timesteps.truncated | cut))
        # The rollout's leaves have time before members, and the members' axis is where vmap looks for it.
        axes = Rollout(1, 1, 1, 0, 0)  # type: ignore[arg-type]
        rollout = jax.tree.map(
            lambda axis, tree: jax.tree.map(lambda leaf: jnp.moveaxis(leaf, axis, 0), tree), axes, rollout
        )
        update = over_lanes(self.agent.update, self.num_members, heavy=True)
        with jax.named_scope("learning"):
            agent, metrics = update(state.agent, rollout, update_keys)

        def show(now: tuple[PyTree, PyTree], timestep: TimeStep) -> tuple[tuple[PyTree, PyTree], None]:
            return self._observed(*now, timestep), None

        (agent, memory), _ = jax.lax.scan(show, (agent, state.memory), timesteps)
        return state.replace(agent=agent, memory=memory), metrics

    def _collect(self, state: TrainState, keys: jax.Array) -> tuple[TrainState, Any]:
        """One step of every environment; also what was seen, done and recorded, by member."""
        timestep = by_lane(state.timestep, self.num_members)
        act = over_lanes(self.agent.act, self.num_members)
        with jax.named_scope("acting"):
            action, memory, record = act(state.agent, state.memory, timestep, keys)
        with jax.named_scope("environment"):
            env, following = self.environment.step(state.env, flat(action))
            over = self.environment.over(env, following)
        statistics = state.statistics.observe(state.timestep, following, over)
        state = state.replace(memory=memory, env=env, timestep=following, statistics=statistics)
        return state, (timestep, action, record)
