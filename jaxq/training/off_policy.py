"""The off-policy loop: collect k steps, do m updates from replay, many times over in one compiled program."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.base import OffPolicyAgent, example_action
from jaxq.errors import require
from jaxq.lanes import by_lane, flat, over_lanes
from jaxq.meshes import over_data
from jaxq.replay import Replay
from jaxq.training.loop import Loop, Plan, TrainState, keys_over_time
from jaxq.training.numbers import with_numbers
from jaxq.types import Metrics, PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class OffPolicy(Loop):
    """Training of N members by an agent that learns from replay.

    Attributes:
      agent: one member's.
      replay: one member's.
      collect_steps: k, steps of every environment in an iteration.
      updates: m, updates in an iteration.
      warmup_steps: steps of each member before the first update.
      acts_from_the_start: whether those are the agent's own, explored as ever, and not of random actions.
    """

    agent: OffPolicyAgent
    replay: Replay
    collect_steps: int = 1
    updates: int = 1
    warmup_steps: int = 1000
    acts_from_the_start: bool = False

    def __post_init__(self) -> None:
        require(self.collect_steps >= 1, "collect_steps", self.collect_steps, "at least 1")
        require(self.updates >= 1, "updates", self.updates, "at least 1")
        least = max(self.replay.minimum_size, self.replay.batch_size)
        size, capacity = self.replay.batch_size, self.replay.capacity
        require(size <= capacity, "batch_size", size, f"at most the replay's capacity of {capacity}")
        require(
            self.warmup_steps >= least,
            "warmup_steps",
            self.warmup_steps,
            f"at least {least}, so that the warm-up holds a batch of {self.replay.batch_size}",
        )
        require(
            self.warmup_steps <= self.replay.capacity,
            "warmup_steps",
            self.warmup_steps,
            f"at most the replay's capacity of {self.replay.capacity}",
        )
        samples = self.warmup_steps + self.collect_steps * self.envs_per_member
        allowed = f"at most {samples}, the samples that there are before the first update"
        require(self.updates <= samples, "updates", self.updates, allowed)

    @property
    def updates_per_step(self) -> float:
        """Updates of a member for each of its environment steps."""
        return self.updates / (self.collect_steps * self.envs_per_member)

    def plan(self, total_steps: int, num_chunks: int, num_evaluations: int) -> Plan:
        """See `Training.plan`."""
        warmup = -(-self.warmup_steps // self.envs_per_member) * self.envs_per_member
        return self._plan(total_steps, self.collect_steps * self.envs_per_member, warmup, num_chunks, num_evaluations)

    def init(self, keys: jax.Array, numbers: Mapping[str, jax.Array] | None = None) -> TrainState:
        """See `Training.init`."""
        numbers = numbers or {}
        state = self._init(keys, numbers)
        action = example_action(self.environment.action_spec, self.environment.num_envs)
        timestep, action = by_lane((state.timestep, action), self.num_members)
        record = jax.eval_shape(over_lanes(self.agent.act, self.num_members), state.agent, state.memory, timestep, keys)
        record = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), record[2])

        def member(numbers: Mapping[str, jax.Array], *examples: PyTree) -> PyTree:
            return with_numbers(self, numbers).replay.init(*examples)

        replay = jax.vmap(member, out_axes=self.replay.population_axes)(numbers, timestep, action, record)
        return state.replace(replay=replay)

    def with_fresh_episodes(self, state: TrainState) -> TrainState:
        """See `Training.with_fresh_episodes`: the replay is sealed off from the new episodes."""
        axes = self.replay.population_axes
        state = super().with_fresh_episodes(state)
        return state.replace(replay=jax.vmap(self.replay.seal, (axes,), axes)(state.replay))

    def warm_up(self, state: TrainState) -> TrainState:
        """See `Training.warm_up`: fills the replay with `warmup_steps`."""
        rows = -(-self.warmup_steps // self.envs_per_member)
        sample_keys = keys_over_time(state.key, "random actions", jnp.int32(0), rows)
        watch_keys = keys_over_time(state.key, "warm-up", jnp.int32(0), rows)
        sample = over_lanes(
            lambda key: self.environment.action_spec.sample(key, self.envs_per_member), self.num_members
        )
        watch = over_lanes(self.agent.watch, self.num_members)

        def random_action(state: TrainState, keys: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, PyTree, PyTree]:
            action = sample(keys[0])
            timestep = by_lane(state.timestep, self.num_members)
            return action, *watch(state.agent, state.memory, timestep, action, keys[1])

        def own_action(state: TrainState, keys: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, PyTree, PyTree]:
            return self._act(state, keys[1])

        choose = own_action if self.acts_from_the_start else random_action

        def step(state: TrainState, keys: tuple[jax.Array, jax.Array]) -> tuple[TrainState, None]:
            return self._collect(state, choose, keys), None

        return jax.lax.scan(step, state, (sample_keys, watch_keys))[0]

    @property
    def member_axes(self) -> TrainState:
        """See `Loop.member_axes`."""
        return super().member_axes.replace(replay=self.replay.population_axes)

    @property
    def environment_axes(self) -> PyTree:
        """See `Loop.environment_axes`."""
        return self.replay.environment_axes

    @property
    def batch_size(self) -> int:
        """See `Loop.batch_size`."""
        return self.replay.batch_size

    def _keys(self, state: TrainState, iterations: int) -> PyTree:
        def keys(name: str, each: int) -> jax.Array:
            over_time = keys_over_time(state.key, name, state.iteration * each, iterations * each)
            return over_time.reshape(iterations, each, -1)

        return keys("act", self.collect_steps), (keys("sample", self.updates), keys("update", self.updates))

    def _iteration(self, state: TrainState, keys: PyTree) -> tuple[TrainState, Metrics]:
        act_keys, learn_keys = keys
        state, _ = jax.lax.scan(lambda s, k: (self._collect(s, self._act, k), None), state, act_keys)
        (agent, replay), metrics = jax.lax.scan(self._update, (state.agent, state.replay), learn_keys)
        return state.replace(agent=agent, replay=replay), jax.tree.map(lambda leaf: leaf.mean(axis=0), metrics)

    def _act(self, state: TrainState, keys: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        act = over_lanes(self.agent.act, self.num_members)
        with jax.named_scope("acting"):
            return act(state.agent, state.memory, by_lane(state.timestep, self.num_members), keys)

    def _collect(self, state: TrainState, choose: Any, keys: Any) -> TrainState:
        """One step of every environment with what `choose(state, keys)` has each member do, remember and record."""
        action, memory, record = choose(state, keys)
        with jax.named_scope("environment"):
            env, following = self.environment.step(state.env, flat(action))
        axes = self.replay.population_axes
        add = over_lanes(self.replay.add, self.num_members, (axes, 0, 0, 0, 0), axes)
        timestep, arrived = by_lane((state.timestep, following), self.num_members)
        agent, memory = self._observed(state.agent, memory, arrived)
        with jax.named_scope("replay"):
            replay = add(state.replay, timestep, action, record, arrived)
        return state.replace(
            agent=agent,
            memory=memory,
            env=env,
            timestep=following,
            replay=replay,
            statistics=state.statistics.observe(state.timestep, following, self.environment.over(env, following)),
        )

    def _update(self, learner: tuple[PyTree, PyTree], keys: Any) -> tuple[tuple[PyTree, PyTree], Metrics]:
        """One update of every member's agent, and of the priorities of what it learned from."""
        agent, replay = learner
        axes, members = self.replay.population_axes, self.num_members
        sample_keys, update_keys = keys
        with jax.named_scope("replay"):
            batch = over_lanes(self._sample, members, (axes, 0))(replay, sample_keys)
        with jax.named_scope("learning"):
            agent, metrics, priority = over_lanes(self.agent.update, members, heavy=True)(agent, batch, update_keys)
        update = over_lanes(self.replay.update_priorities, members, (axes, 0, 0), axes)
        with jax.named_scope("replay"):
            replay = update(replay, batch.index, priority)
        return (agent, replay), metrics

    def _sample(self, replay: PyTree, key: jax.Array) -> Any:
        """A member's batch, laid over the devices that share its work."""
        batch: Any = self.replay.sample(replay, key)
        return jax.tree.map(lambda axis, part: over_data(part, axis), batch.batch_axes, batch)
