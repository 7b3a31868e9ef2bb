"""What both compiled loops share: the state and the plan of a run, acting, statistics, and the end of a chunk."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import Actor
from jaxq.envs.base import Environment
from jaxq.errors import require
from jaxq.training.evaluation import Evaluation
from jaxq.training.population import by_turns, flat
from jaxq.training.statistics import EpisodeStatistics
from jaxq.types import Metrics, PyTree, TimeStep


class TrainState(struct.PyTreeNode):
    """All of a run that changes; saving it is saving the run.

    Attributes:
      agent, memory: of each member, [N, ...].
      replay: [N, ...] but for the leaves that members share (`population_axes`); `()` where nothing is replayed.
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


class Training(Protocol):
    """What a run needs of a loop. `N` is the number of members."""

    @property
    def agent(self) -> Actor:
        """One member's."""

    @property
    def environment(self) -> Environment:
        """The flat batch of training environments."""

    @property
    def updates_per_step(self) -> float:
        """Updates of a member for each of its environment steps."""

    def plan(self, total_steps: int, num_chunks: int, num_evaluations: int) -> Plan:
        """Cut a run of at most `total_steps` into chunks of equal length, so that one program serves them all.

        About `num_chunks` of them, and less than one chunk is left of `total_steps`.

        Raises:
          InputError: if `total_steps` is too few for anything.
        """

    def init(self, keys: jax.Array) -> TrainState:
        """The state of a run about to begin. `keys`: [N], one seed's key for each member."""

    def warm_up(self, state: TrainState) -> TrainState:
        """What comes before the first chunk."""

    def train_chunk(self, state: TrainState, plan: Plan) -> tuple[TrainState, Metrics]:
        """Run one chunk of the plan; every metric is [N]."""

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

    agent: Actor
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

    def _init(self, keys: jax.Array) -> TrainState:
        """A state without replay."""
        keys, agent_keys, env_keys = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
        env, timestep = self._fresh_episodes(env_keys)
        return TrainState(
            agent=jax.vmap(self.agent.init)(agent_keys),
            memory=jax.vmap(lambda _: self.agent.init_memory(self.envs_per_member))(jnp.arange(self.num_members)),
            replay=(),
            env=env,
            timestep=timestep,
            statistics=EpisodeStatistics.start(self.environment.num_envs),
            key=keys,
            chunk=jnp.int32(0),
        )

    def with_fresh_episodes(self, state: TrainState) -> TrainState:
        """See `Training.with_fresh_episodes`."""
        keys, env_keys = jnp.moveaxis(jax.vmap(jax.random.split)(state.key), 1, 0)
        env, timestep = self._fresh_episodes(env_keys)
        statistics = EpisodeStatistics.start(self.environment.num_envs)
        return state.replace(env=env, timestep=timestep, key=keys, statistics=statistics)

    def _fresh_episodes(self, keys: jax.Array) -> tuple[PyTree, TimeStep]:
        return self.environment.reset(flat(jax.vmap(lambda k: jax.random.split(k, self.envs_per_member))(keys)))

    def train_chunk(self, state: TrainState, plan: Plan) -> tuple[TrainState, Metrics]:
        """See `Training.train_chunk`."""
        keys, loop_keys, evaluation_keys = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(state.key), 1, 0)
        state, metrics = self._members(state.replace(key=keys), loop_keys, plan.iterations)
        chunk = state.chunk + 1
        statistics, episodes = state.statistics.report(self.num_members)
        # Once a chunk and outside every vmap, so a branch and not a select.
        evaluation = jax.lax.cond(
            plan.evaluates(chunk),
            lambda: self.evaluation(self.agent, state.agent, evaluation_keys),
            lambda: self.evaluation.skipped(self.num_members),
        )
        return state.replace(statistics=statistics, chunk=chunk), {**metrics, **episodes, **evaluation}

    def _members(self, state: TrainState, keys: jax.Array, iterations: int) -> tuple[TrainState, Metrics]:
        """Some iterations of every member; metrics are their means, [N].

        On the CPU one member after the other, each for the whole chunk: side by side its matrix products are slower
        (`in_turn`), and taking turns in every iteration would copy each member's parameters out and in again.
        Environments whose state is elsewhere only step all together.
        """
        if self.num_members == 1 or jax.default_backend() != "cpu" or not self.environment.resumable:
            return self._iterate(state, keys, iterations)
        environment = self.environment.share(self.num_members)
        alone = dataclasses.replace(self, environment=environment, num_members=1)
        return by_turns(
            lambda own, key: alone._iterate(own, key, iterations), self.num_members, self._member_axes, state, keys
        )

    @property
    def _member_axes(self) -> TrainState:
        """Where members are in a `TrainState`; None for what they share."""
        return TrainState(0, 0, 0, 0, 0, 0, 0, None)  # type: ignore[arg-type]

    def _iterate(self, state: TrainState, keys: jax.Array, iterations: int) -> tuple[TrainState, Metrics]:
        """The loop itself; metrics are means over the iterations, [N]. `keys`: [N]."""
        raise NotImplementedError
