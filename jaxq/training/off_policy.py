"""The off-policy loop: collect k steps, do m updates from replay, many times over in one compiled program."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import Agent
from jaxq.envs.base import Environment
from jaxq.errors import require
from jaxq.replay import Replay
from jaxq.training.evaluation import Evaluation
from jaxq.training.population import by_member, flat, over_members, over_members_in_turn
from jaxq.training.statistics import EpisodeStatistics
from jaxq.types import Metrics, PyTree, TimeStep


class TrainState(struct.PyTreeNode):
    """All of a run that changes; saving it is saving the run.

    Attributes:
      agent, memory: of each member, [N, ...].
      replay: [N, ...] but for the leaves that members share (`population_axes`).
      env, timestep, statistics: of the flat batch, [N * E, ...].
      key: [N] each member's random key.
      chunk: int32, chunks done.
    """

    agent: PyTree
    memory: PyTree
    replay: PyTree
    env: PyTree
    timestep: TimeStep
    statistics: EpisodeStatistics
    key: jax.Array
    chunk: jax.Array


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a run is cut up. All steps are environment steps of one member.

    Attributes:
      chunks: dispatches of the compiled program.
      iterations: of collecting and updating in each chunk.
      chunks_per_evaluation: an evaluation ends every so many chunks, counted back from the last.
      warmup: steps taken with random actions before the first update.
      steps_per_chunk: steps that a chunk adds.
    """

    chunks: int
    iterations: int
    chunks_per_evaluation: int
    warmup: int
    steps_per_chunk: int

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, warm-up included."""
        return self.warmup + self.chunks * self.steps_per_chunk

    def evaluates(self, chunk: Any) -> Any:
        """Whether this chunk, counted from 1, ends with an evaluation; a bool for an int, traced for an array."""
        return (self.chunks - chunk) % self.chunks_per_evaluation == 0

    def steps_after(self, chunks: int) -> int:
        """Steps taken when so many chunks are done."""
        return self.warmup + chunks * self.steps_per_chunk


@dataclasses.dataclass(frozen=True)
class OffPolicy:
    """Training of N members by an agent that learns from replay.

    Attributes:
      agent: one member's.
      replay: one member's.
      environment: the flat batch of N * E training environments.
      evaluation: how the members are tested.
      num_members: N.
      collect_steps: k, steps of every environment in an iteration.
      updates: m, updates in an iteration.
      warmup_steps: steps of each member with random actions before the first update.
    """

    agent: Agent
    replay: Replay
    environment: Environment
    evaluation: Evaluation
    num_members: int = 1
    collect_steps: int = 1
    updates: int = 1
    warmup_steps: int = 1000

    def __post_init__(self) -> None:
        require(self.collect_steps >= 1, "collect_steps", self.collect_steps, "at least 1")
        require(self.updates >= 1, "updates", self.updates, "at least 1")
        least = max(self.replay.minimum_size, self.replay.batch_size)
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

    @property
    def envs_per_member(self) -> int:
        """E."""
        return self.environment.num_envs // self.num_members

    @property
    def updates_per_step(self) -> float:
        """Updates of a member for each of its environment steps."""
        return self.updates / (self.collect_steps * self.envs_per_member)

    def plan(self, total_steps: int, num_chunks: int, num_evaluations: int) -> Plan:
        """Cut a run of at most `total_steps` into chunks of equal length, so that one program serves them all.

        About `num_chunks` of them, and less than one chunk is left of `total_steps`.

        Raises:
          InputError: if the warm-up leaves nothing of `total_steps`.
        """
        per_iteration = self.collect_steps * self.envs_per_member
        warmup = -(-self.warmup_steps // self.envs_per_member) * self.envs_per_member
        require(
            total_steps >= warmup + per_iteration,
            "total_steps",
            total_steps,
            f"at least {warmup + per_iteration}: a warm-up of {warmup} and one iteration of {per_iteration}",
        )
        iterations = (total_steps - warmup) // per_iteration
        per_chunk = max(iterations // num_chunks, 1)
        chunks = iterations // per_chunk
        return Plan(chunks, per_chunk, max(round(chunks / num_evaluations), 1), warmup, per_chunk * per_iteration)

    def init(self, keys: jax.Array) -> TrainState:
        """The state of a run about to warm up. `keys`: [N], one seed's key for each member."""
        keys, agent_keys, env_keys = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
        env, timestep = self._fresh_episodes(env_keys)
        action = self.environment.action_spec.sample(jax.random.key(0), self.environment.num_envs)
        axes = self.replay.population_axes
        replay = jax.vmap(self.replay.init, out_axes=axes)(
            by_member(timestep.observation, self.num_members), by_member(action, self.num_members)
        )
        return TrainState(
            agent=jax.vmap(self.agent.init)(agent_keys),
            memory=jax.vmap(lambda _: self.agent.init_memory(self.envs_per_member))(jnp.arange(self.num_members)),
            replay=replay,
            env=env,
            timestep=timestep,
            statistics=EpisodeStatistics.start(self.environment.num_envs),
            key=keys,
            chunk=jnp.int32(0),
        )

    def with_fresh_episodes(self, state: TrainState) -> TrainState:
        """A restored state whose environments could not be saved, its replay sealed off from the new episodes."""
        axes = self.replay.population_axes
        keys, env_keys = jnp.moveaxis(jax.vmap(jax.random.split)(state.key), 1, 0)
        env, timestep = self._fresh_episodes(env_keys)
        return state.replace(
            env=env,
            timestep=timestep,
            key=keys,
            statistics=EpisodeStatistics.start(self.environment.num_envs),
            replay=jax.vmap(self.replay.seal, (axes,), axes)(state.replay),
        )

    def _fresh_episodes(self, keys: jax.Array) -> tuple[PyTree, TimeStep]:
        return self.environment.reset(flat(jax.vmap(lambda k: jax.random.split(k, self.envs_per_member))(keys)))

    def warm_up(self, state: TrainState) -> TrainState:
        """Fill the replay with `warmup_steps` of random actions."""

        def random_action(state: TrainState, keys: jax.Array) -> tuple[jax.Array, PyTree]:
            sample = over_members(
                lambda key: self.environment.action_spec.sample(key, self.envs_per_member), self.num_members
            )
            return sample(keys), state.memory

        keys, warmup_keys = jnp.moveaxis(jax.vmap(jax.random.split)(state.key), 1, 0)
        rows = -(-self.warmup_steps // self.envs_per_member)

        def step(state: TrainState, row: jax.Array) -> tuple[TrainState, None]:
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(warmup_keys, row)
            return self._collect(state, random_action, step_keys), None

        return jax.lax.scan(step, state.replace(key=keys), jnp.arange(rows))[0]

    def train_chunk(self, state: TrainState, plan: Plan) -> tuple[TrainState, Metrics]:
        """Run one chunk of the plan; every metric is [N]."""
        keys, loop_keys, evaluation_keys = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(state.key), 1, 0)

        def iteration(state: TrainState, index: jax.Array) -> tuple[TrainState, Metrics]:
            iteration_keys = jax.vmap(jax.random.fold_in, (0, None))(loop_keys, index)
            draws = self.collect_steps + self.updates
            step_keys = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, draws))(iteration_keys), 1, 0)
            state, _ = jax.lax.scan(
                lambda s, k: (self._collect(s, self._act, k), None), state, step_keys[: self.collect_steps]
            )
            (agent, replay), metrics = jax.lax.scan(
                self._update, (state.agent, state.replay), step_keys[self.collect_steps :]
            )
            return state.replace(agent=agent, replay=replay), jax.tree.map(lambda leaf: leaf.mean(axis=0), metrics)

        state, metrics = jax.lax.scan(iteration, state.replace(key=keys), jnp.arange(plan.iterations))
        metrics = jax.tree.map(lambda leaf: leaf.mean(axis=0), metrics)
        chunk = state.chunk + 1
        statistics, episodes = state.statistics.report(self.num_members)
        # Once a chunk and outside every vmap, so a branch and not a select.
        evaluation = jax.lax.cond(
            plan.evaluates(chunk),
            lambda: self.evaluation(self.agent, state.agent, evaluation_keys),
            lambda: self.evaluation.skipped(self.num_members),
        )
        return state.replace(statistics=statistics, chunk=chunk), {**metrics, **episodes, **evaluation}

    def _act(self, state: TrainState, keys: jax.Array) -> tuple[jax.Array, PyTree]:
        act = over_members(self.agent.act, self.num_members)
        return act(state.agent, state.memory, by_member(state.timestep, self.num_members), keys)

    def _collect(self, state: TrainState, choose: Any, keys: jax.Array) -> TrainState:
        """One step of every environment with the actions that `choose(state, keys)` gives each member."""
        action, memory = choose(state, keys)
        env, following = self.environment.step(state.env, flat(action))
        axes = self.replay.population_axes
        add = over_members(self.replay.add, self.num_members, (axes, 0, 0, 0), axes)
        timestep, arrived = by_member((state.timestep, following), self.num_members)
        return state.replace(
            memory=memory,
            env=env,
            timestep=following,
            replay=add(state.replay, timestep, action, arrived),
            statistics=state.statistics.observe(following),
        )

    def _update(self, learner: tuple[PyTree, PyTree], keys: jax.Array) -> tuple[tuple[PyTree, PyTree], Metrics]:
        """One update of every member's agent, and of the priorities of what it learned from."""
        agent, replay = learner
        axes, members = self.replay.population_axes, self.num_members
        sample_keys, update_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        batch = over_members(self.replay.sample, members, (axes, 0))(replay, sample_keys)
        agent, metrics, priority = over_members_in_turn(self.agent.update, members)(agent, batch, update_keys)
        replay = over_members(self.replay.update_priorities, members, (axes, 0, 0), axes)(replay, batch.index, priority)
        return (agent, replay), metrics
