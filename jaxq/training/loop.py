"""What both compiled loops share: the state and the plan of a run, acting, statistics, and the end of a chunk.

Randomness follows the absolute iteration: every key is made from a member's own, which never changes, a stream's name,
and the count of what has been done. So how often something is logged, evaluated or saved changes no bit of a run.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Protocol, Self

import jax
import jax.numpy as jnp
from flax import struct

from jaxq import platforms
from jaxq.agents.base import Agent, observed
from jaxq.envs.base import Environment, select
from jaxq.errors import require
from jaxq.keys import stream
from jaxq.lanes import flat, in_turn, over_lanes
from jaxq.training.evaluation import Evaluation, EvaluationState
from jaxq.training.numbers import with_numbers
from jaxq.training.statistics import EpisodeStatistics
from jaxq.types import Metrics, PyTree, TimeStep


class TrainState(struct.PyTreeNode):
    """All of a run that changes, and the members' keys, which do not; saving it is saving the run.

    Attributes:
      agent, memory: of each member, [N, ...].
      replay: [N, ...] but for the leaves that members share (`population_axes`); `()` where nothing is replayed.
      env, timestep, statistics: of the flat batch, [N * E, ...].
      key: [N] each member's key, of which all its randomness is made.
      frozen: [N] bool, whose agent and memory no longer change, because its learning has diverged.
      iteration: int32, iterations done.
    """

    agent: PyTree
    memory: PyTree
    replay: PyTree
    env: PyTree
    timestep: TimeStep
    statistics: EpisodeStatistics
    key: jax.Array
    frozen: jax.Array
    iteration: jax.Array


class ChunkState(struct.PyTreeNode):
    """A chunk under way: what is reported at its end is collected here.

    Attributes:
      metrics: [N, iterations] of each iteration, zero where it is still to come.
      done: int32, iterations done.
      before: agents and memories when it began, to which a member that diverges returns, [N, ...].
    """

    metrics: Metrics
    done: jax.Array
    before: PyTree


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a run is cut up. All steps are environment steps of one member.

    Attributes:
      chunks: dispatches of the compiled program.
      iterations: of collecting and updating in each chunk.
      chunks_per_evaluation: an evaluation follows every so many chunks, counted back from the last.
      warmup: steps taken before the first update.
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

    def evaluates(self, chunk: int) -> bool:
        """Whether an evaluation follows this chunk, counted from 1."""
        return (self.chunks - chunk) % self.chunks_per_evaluation == 0

    def steps_after(self, chunks: int) -> int:
        """Steps taken when so many chunks are done."""
        return self.warmup + chunks * self.steps_per_chunk

    def extended(self, total_steps: int) -> "Plan":
        """The same chunks and the same way from evaluation to evaluation, for a run of so many steps."""
        return dataclasses.replace(self, chunks=(total_steps - self.warmup) // self.steps_per_chunk)


class Training(Protocol):
    """What a run needs of a loop. `N` is the number of members."""

    @property
    def agent(self) -> Agent:
        """One member's."""

    @property
    def environment(self) -> Environment:
        """The flat batch of training environments."""

    @property
    def evaluation(self) -> Evaluation:
        """How the members are tested."""

    @property
    def updates_per_step(self) -> float:
        """Updates of a member for each of its environment steps."""

    def plan(self, total_steps: int, num_chunks: int, num_evaluations: int) -> Plan:
        """Cut a run of at most `total_steps` into chunks of equal length, so that one program serves them all.

        About `num_chunks` of them, and less than one chunk is left of `total_steps`.

        Raises:
          InputError: if `total_steps` is too few for anything.
        """

    def init(self, keys: jax.Array, numbers: Mapping[str, jax.Array] | None = None) -> TrainState:
        """The state of a run about to begin.

        Args:
          keys: [N], one seed's key for each member.
          numbers: [N] each, by their paths in the training (`jaxq.training.numbers`); all members have its own unless
            given.
        """

    def warm_up(self, state: TrainState) -> TrainState:
        """What comes before the first iteration."""

    def train_chunk(self, state: TrainState, iterations: int) -> tuple[TrainState, Metrics]:
        """Run so many iterations; every metric is [N]."""

    def begin_chunk(self, state: TrainState, iterations: int) -> ChunkState:
        """Start a chunk of so many iterations, of which nothing is done."""

    def advance_chunk(self, state: TrainState, chunk: ChunkState, count: jax.Array) -> tuple[TrainState, ChunkState]:
        """Go on with it for `count` iterations, [] int32. How a chunk is cut changes no bit."""

    def end_chunk(self, state: TrainState, chunk: ChunkState) -> tuple[TrainState, Metrics]:
        """Report a chunk that is done; every metric is [N]."""

    def begin_evaluation(self, state: TrainState) -> EvaluationState:
        """Start testing the members as they are."""

    def evaluate(
        self, state: TrainState, evaluation: EvaluationState, steps: jax.Array
    ) -> tuple[EvaluationState, jax.Array]:
        """Go on with it for so many steps of every environment, [] int32; also whether there is more to do, [] bool."""

    def evaluated(self, evaluation: EvaluationState) -> Metrics:
        """What came of a finished evaluation; every metric is [N]."""

    def with_fresh_episodes(self, state: TrainState) -> TrainState:
        """A restored state whose environments could not be saved."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop:
    """Base of the loops: N members in one flat batch of N * E environments.

    Attributes:
      environment: the flat batch of N * E training environments.
      agent: one member's.
      evaluation: how the members are tested.
      num_members: N.
    """

    agent: Agent
    environment: Environment
    evaluation: Evaluation
    num_members: int = 1

    @property
    def envs_per_member(self) -> int:
        """E."""
        return self.environment.num_envs // self.num_members

    def _plan(self, total_steps: int, per_iteration: int, warmup: int, num_chunks: int, num_evaluations: int) -> Plan:
        """See `Training.plan`, for iterations of so many steps after a warm-up."""
        first = f"a warm-up of {warmup} and one iteration of {per_iteration}" if warmup else "one iteration"
        least = warmup + per_iteration
        require(total_steps >= least, "total_steps", total_steps, f"at least {least}: {first}")
        iterations = (total_steps - warmup) // per_iteration
        per_chunk = max(iterations // num_chunks, 1)
        chunks = iterations // per_chunk
        return Plan(chunks, per_chunk, max(round(chunks / num_evaluations), 1), warmup, per_chunk * per_iteration)

    def _init(self, keys: jax.Array, numbers: Mapping[str, jax.Array]) -> TrainState:
        """A state without replay."""
        env, timestep = self._fresh_episodes(_streams(keys, "environments"))

        def member(key: jax.Array, numbers: Mapping[str, jax.Array]) -> tuple[PyTree, PyTree]:
            agent = with_numbers(self, numbers).agent
            return agent.init(key), agent.init_memory(self.envs_per_member)

        # Heavy not for its products: orthogonal kernels of several members at once are batches of LAPACK's, which wait
        # for threads of the pool that they run in, and two of them on two cores for ever.
        agent, memory = over_lanes(member, self.num_members, heavy=True)(_streams(keys, "agent"), numbers)
        return TrainState(
            agent=agent,
            memory=memory,
            replay=(),
            env=env,
            timestep=timestep,
            statistics=EpisodeStatistics.start(self.environment.num_envs),
            key=keys,
            frozen=jnp.zeros(self.num_members, bool),
            iteration=jnp.int32(0),
        )

    def with_fresh_episodes(self, state: TrainState) -> TrainState:
        """See `Training.with_fresh_episodes`."""
        env, timestep = self._fresh_episodes(counted_streams(state.key, "fresh episodes", state.iteration))
        return state.replace(env=env, timestep=timestep, statistics=state.statistics.with_fresh_episodes())

    def _fresh_episodes(self, keys: jax.Array) -> tuple[PyTree, TimeStep]:
        return self.environment.reset(flat(jax.vmap(lambda k: jax.random.split(k, self.envs_per_member))(keys)))

    def train_chunk(self, state: TrainState, iterations: int) -> tuple[TrainState, Metrics]:
        """See `Training.train_chunk`: `begin_chunk`, `advance_chunk` and `end_chunk` as one program."""
        before = (state.agent, state.memory)
        state, metrics = self._members(state, jnp.int32(0), jnp.int32(iterations), iterations)
        return self.end_chunk(state, ChunkState(metrics, jnp.int32(iterations), before))

    def begin_chunk(self, state: TrainState, iterations: int) -> ChunkState:
        """See `Training.begin_chunk`."""
        part = functools.partial(self._members, iterations=iterations)
        _, metrics = jax.eval_shape(part, state, jnp.int32(0), jnp.int32(0))
        metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics)
        return ChunkState(metrics, jnp.int32(0), (state.agent, state.memory))

    def advance_chunk(self, state: TrainState, chunk: ChunkState, count: jax.Array) -> tuple[TrainState, ChunkState]:
        """See `Training.advance_chunk`."""
        iterations = jax.tree.leaves(chunk.metrics)[0].shape[-1]
        state, metrics = self._members(state, chunk.done, count, iterations)
        # Each iteration is in one part and zero in the others.
        metrics = jax.tree.map(jnp.add, chunk.metrics, metrics)
        return state, chunk.replace(metrics=metrics, done=chunk.done + count)

    def end_chunk(self, state: TrainState, chunk: ChunkState) -> tuple[TrainState, Metrics]:
        """See `Training.end_chunk`."""
        metrics = jax.tree.map(lambda leaf: jax.lax.map(lambda own: own.mean(axis=-1), leaf), chunk.metrics)
        state, metrics = _with_diverged_frozen(chunk.before, state, metrics)
        statistics, episodes = state.statistics.report(self.num_members)
        return state.replace(statistics=statistics), {**metrics, **episodes}

    def _members(
        self, state: TrainState, done: jax.Array, count: jax.Array, iterations: int
    ) -> tuple[TrainState, Metrics]:
        """Some iterations of every member; arguments and results as of `_iterate`.

        On the CPU one member after the other, each for all of them: side by side its matrix products are slower
        (`over_lanes`), and taking turns in every iteration would copy each member's parameters out and in again.
        Environments whose state is elsewhere only step all together.
        """
        start = state.iteration
        if self.num_members == 1 or not platforms.on_cpu() or not self.environment.resumable:
            state, metrics = self._iterate(state, done, count, iterations)
        else:
            alone = self.share(self.num_members)
            part = functools.partial(alone._iterate, done=done, count=count, iterations=iterations)
            state, metrics = in_turn(part, self.num_members, self.member_axes, state)
        return state.replace(iteration=start + count), metrics

    def share(self, parts: int) -> Self:
        """The training of one of so many equal parts of the members."""
        return dataclasses.replace(
            self,
            environment=self.environment.share(parts),
            evaluation=dataclasses.replace(self.evaluation, environment=self.evaluation.environment.share(parts)),
            num_members=self.num_members // parts,
        )

    @property
    def member_axes(self) -> TrainState:
        """Where members are in a `TrainState`; None for what they share."""
        return TrainState(0, 0, 0, 0, 0, 0, 0, 0, None)  # type: ignore[arg-type]

    @property
    def environment_axes(self) -> PyTree:
        """Where environments are in each leaf of a member's replay; None where in none."""
        return None

    @property
    def batch_size(self) -> int:
        """Samples that an update learns from."""
        raise NotImplementedError

    def _iterate(
        self, state: TrainState, done: jax.Array, count: jax.Array, iterations: int
    ) -> tuple[TrainState, Metrics]:
        """Iterations of a chunk, from `state.iteration` on, which it leaves.

        Args:
          state: of all members.
          done: [] int32, how many of the chunk are done.
          count: [] int32, how many to do.
          iterations: of the whole chunk.

        Returns:
          The new state, and the metrics of these iterations in their places of the chunk, [N, iterations].
        """
        keys = self._keys(state, iterations)
        shapes = jax.eval_shape(self._once_traced, state, jax.tree.map(lambda leaf: leaf[0], keys))[1]
        metrics = jax.tree.map(lambda leaf: jnp.zeros((*leaf.shape, iterations), leaf.dtype), shapes)

        def one(index: jax.Array, now: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            state, metrics = now
            state, values = self._once_traced(state, jax.tree.map(lambda leaf: leaf[index], keys))
            put = functools.partial(jax.lax.dynamic_update_index_in_dim, index=done + index, axis=-1)
            return state, jax.tree.map(put, metrics, values)

        return jax.lax.fori_loop(jnp.int32(0), count, one, (state, metrics))

    def _keys(self, state: TrainState, iterations: int) -> PyTree:
        """The keys of so many iterations from `state.iteration` on, [iterations, ...]."""
        raise NotImplementedError

    @functools.cached_property
    def _once_traced(self) -> Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]:
        """`_iteration`, which is traced once for all the programs that it is in."""
        return jax.jit(self._iteration, inline=True)

    def _iteration(self, state: TrainState, keys: PyTree) -> tuple[TrainState, Metrics]:
        """One iteration of all members by its keys; each metric is [N]."""
        raise NotImplementedError

    def _observed(self, agent: PyTree, memory: PyTree, timestep: TimeStep) -> tuple[PyTree, PyTree]:
        """The members' states and memories after a time step [N, E, ...] was shown to those that look."""
        observe = functools.partial(observed, self.agent)
        with jax.named_scope("learning"):
            return over_lanes(observe, self.num_members)(agent, memory, timestep)

    def evaluated(self, evaluation: EvaluationState) -> Metrics:
        """See `Training.evaluated`."""
        return self.evaluation.result(evaluation)

    def begin_evaluation(self, state: TrainState) -> EvaluationState:
        """See `Training.begin_evaluation`."""
        return self.evaluation.begin(self.agent, counted_streams(state.key, "evaluations", state.iteration))

    def evaluate(
        self, state: TrainState, evaluation: EvaluationState, steps: jax.Array
    ) -> tuple[EvaluationState, jax.Array]:
        """See `Training.evaluate`."""
        evaluation = self.evaluation.advance(self.agent, state.agent, evaluation, steps)
        return evaluation, self.evaluation.unfinished(evaluation)


def _with_diverged_frozen(before: PyTree, after: TrainState, metrics: Metrics) -> tuple[TrainState, Metrics]:
    """What a chunk has made of members that still learn, and those that do not as they were before it.

    A member no longer learns when a metric of its is not finite, or something of its agent no number any more. It goes
    on acting, as the flat batch must be stepped as a whole; its metrics are NaN from now on.
    """
    finite = [jnp.isfinite(value) for value in metrics.values()]
    numbers = [
        ~jnp.isnan(leaf).reshape(leaf.shape[0], -1).any(axis=1)
        for leaf in jax.tree.leaves((after.agent, after.memory))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    learning = functools.reduce(jnp.logical_and, [*finite, *numbers], ~after.frozen)
    learnt = after.agent, after.memory
    # A branch, which is seldom taken, and not a choice for each leaf alone: that XLA gives a copy of the whole chain of
    # conjunctions each, and compiles minutes where an ensemble has hundreds of leaves.
    agent, memory = jax.lax.cond(learning.all(), lambda: learnt, lambda: select(learning, learnt, before))
    metrics = {name: jnp.where(learning, value, jnp.nan) for name, value in metrics.items()}
    return after.replace(agent=agent, memory=memory, frozen=~learning), metrics


def _streams(keys: jax.Array, name: str) -> jax.Array:
    """The stream of that name of each member's key, [N]."""
    return jax.vmap(lambda key: stream(key, name))(keys)


def _counted(keys: jax.Array, count: jax.Array) -> jax.Array:
    """[N] keys at a count of what has been done."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, count)


def counted_streams(keys: jax.Array, name: str, count: jax.Array) -> jax.Array:
    """[N] the keys of a stream at a count of what has been done."""
    return _counted(_streams(keys, name), count)


def keys_over_time(keys: jax.Array, name: str, start: jax.Array, count: int) -> jax.Array:
    """The keys of a stream for `count` things in a row, the first being the `start`-th of the run: [count, N].

    All at once and outside the loop that uses them, where each costs a small fraction of what it would inside.

    Args:
      keys: [N] of the members.
      name: of the stream.
      start: int32.
      count: how many.
    """
    counts = start + jnp.arange(count)
    return jax.vmap(_counted, (None, 0))(_streams(keys, name), counts)
