"""Training on several devices: members spread over `population`, and a large agent's work over `data`."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxq.agents.base import Agent
from jaxq.envs.base import Environment
from jaxq.errors import require
from jaxq.meshes import DATA, POPULATION
from jaxq.training.evaluation import Evaluation, EvaluationState
from jaxq.training.loop import ChunkState, Plan, TrainState
from jaxq.training.off_policy import OffPolicy
from jaxq.training.on_policy import OnPolicy
from jaxq.types import Metrics, PyTree

AnyLoop = OffPolicy | OnPolicy


def most_devices(num_members: int, available: int) -> int:
    """The most devices that members divide over, at least one member on each."""
    return max(count for count in range(1, available + 1) if num_members % count == 0)


def suited_members(num_members: int, count: int) -> str:
    """The numbers of members around this one that `count` devices divide, in words."""
    return " or ".join(map(str, sorted({num_members // count * count, -(-num_members // count) * count} - {0})))


def mesh_of(devices: Sequence[Any], num_members: int) -> Mesh:
    """Members over as many devices as there are, or each over several devices, between which its data is divided.

    Raises:
      InputError: if neither is possible, naming the numbers that are.
    """
    count = len(devices)
    divides = num_members % count == 0 or count % num_members == 0
    fitting = [n for n in range(1, count + 1) if num_members % n == 0 or n % num_members == 0]
    allowed = f"{' or '.join(map(str, fitting[-3:]))} for {num_members} members; {count} devices suit"
    require(divides, "devices", count, f"{allowed} {suited_members(num_members, count)} members")
    population = min(count, num_members)
    grid = np.array(devices).reshape(population, count // population)
    return Mesh(grid, (POPULATION, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


@dataclasses.dataclass(frozen=True)
class Spread:
    """A training over a mesh of devices: see `Training`.

    Over `population` each device runs the loop of its own members, and nothing is exchanged. Over `data` that loop is
    cut up by the compiler, guided by where the state lies (`shardings`) and by where batches do (`jaxq.meshes`):
    environments and replay by environment, batches by sample; the agent is on every device.

    Attributes:
      whole: the training of all members on one device.
      mesh: of the axes `population` and `data`.
    """

    whole: AnyLoop
    mesh: Mesh

    def __post_init__(self) -> None:
        whole, count = self.whole, self.mesh.size
        resumable = whole.environment.resumable or count == jax.process_count()
        require(resumable, "devices", count, f"one of each process: {whole.environment.name} is one pool a host")
        data = self.mesh.shape[DATA]
        each = whole.envs_per_member
        require(each % data == 0, "num_envs", each, f"a multiple of {data}, over whose devices they are spread")
        batch = whole.batch_size
        require(batch % data == 0, "batch_size", batch, f"a multiple of {data}, over whose devices it is spread")

    @property
    def agent(self) -> Agent:
        """One member's."""
        return self.whole.agent

    @property
    def environment(self) -> Environment:
        """The flat batch of training environments."""
        return self.whole.environment

    @property
    def evaluation(self) -> Evaluation:
        """How the members are tested."""
        return self.whole.evaluation

    @property
    def updates_per_step(self) -> float:
        """Updates of a member for each of its environment steps."""
        return self.whole.updates_per_step

    def plan(self, total_steps: int, num_chunks: int, num_evaluations: int) -> Plan:
        """See `Training.plan`."""
        return self.whole.plan(total_steps, num_chunks, num_evaluations)

    def init(self, keys: jax.Array, numbers: Mapping[str, jax.Array] | None = None) -> TrainState:
        """See `Training.init`."""
        return self._over_members(lambda local: local.init, (_MEMBERS, _MEMBERS), self._state)(
            keys, dict(numbers or {})
        )

    def warm_up(self, state: TrainState) -> TrainState:
        """See `Training.warm_up`."""
        return self._over_members(lambda local: local.warm_up, (self._state,), self._state)(state)

    def train_chunk(self, state: TrainState, iterations: int) -> tuple[TrainState, Metrics]:
        """See `Training.train_chunk`."""

        def chunk(local: AnyLoop) -> Callable[..., Any]:
            return lambda state: local.train_chunk(state, iterations)

        state, metrics = self._over_members(chunk, (self._state,), (self._state, _MEMBERS))(state)
        return state, self._everywhere(metrics)

    def begin_chunk(self, state: TrainState, iterations: int) -> ChunkState:
        """See `Training.begin_chunk`."""

        def begin(local: AnyLoop) -> Callable[..., Any]:
            return lambda state: local.begin_chunk(state, iterations)

        return self._over_members(begin, (self._state,), _CHUNK)(state)

    def advance_chunk(self, state: TrainState, chunk: ChunkState, count: jax.Array) -> tuple[TrainState, ChunkState]:
        """See `Training.advance_chunk`."""
        takes, gives = (self._state, _CHUNK, _SHARED), (self._state, _CHUNK)
        return self._over_members(lambda local: local.advance_chunk, takes, gives)(state, chunk, count)

    def end_chunk(self, state: TrainState, chunk: ChunkState) -> tuple[TrainState, Metrics]:
        """See `Training.end_chunk`."""
        takes, gives = (self._state, _CHUNK), (self._state, _MEMBERS)
        state, metrics = self._over_members(lambda local: local.end_chunk, takes, gives)(state, chunk)
        return state, self._everywhere(metrics)

    def begin_evaluation(self, state: TrainState) -> EvaluationState:
        """See `Training.begin_evaluation`."""
        return self._over_members(lambda local: local.begin_evaluation, (self._state,), _MEMBERS)(state)

    def evaluate(
        self, state: TrainState, evaluation: EvaluationState, steps: jax.Array
    ) -> tuple[EvaluationState, jax.Array]:
        """See `Training.evaluate`."""

        def part(local: AnyLoop) -> Callable[..., Any]:
            def run(state: TrainState, evaluation: EvaluationState, steps: jax.Array) -> tuple[EvaluationState, Any]:
                evaluation, more = local.evaluate(state, evaluation, steps)
                return evaluation, more[None]

            return run

        takes = (self._state, _MEMBERS, _SHARED)
        evaluation, more = self._over_members(part, takes, _MEMBERS)(state, evaluation, steps)
        return evaluation, self._everywhere(more.any())

    def evaluated(self, evaluation: EvaluationState) -> Metrics:
        """See `Training.evaluated`."""
        return self._everywhere(self.whole.evaluated(evaluation))

    def with_fresh_episodes(self, state: TrainState) -> TrainState:
        """See `Training.with_fresh_episodes`."""
        return self._over_members(lambda local: local.with_fresh_episodes, (self._state,), self._state)(state)

    def shardings(self, state: TrainState) -> TrainState:
        """Where the leaves of a whole state, or of its shape, lie."""
        whole, data = self.whole, self.mesh.shape[DATA]
        flat = whole.environment.num_envs

        def by_environment(leaf: Any) -> PartitionSpec:
            return PartitionSpec((POPULATION, DATA)) if leaf.ndim and leaf.shape[0] == flat else PartitionSpec()

        def by_member(axis: int | None, tree: PyTree) -> PyTree:
            return jax.tree.map(lambda _: PartitionSpec() if axis is None else PartitionSpec(POPULATION), tree)

        def by_axis(members: int | None, environments: int | None, tree: PyTree) -> PyTree:
            if members is None or environments is None or data == 1:
                return by_member(members, tree)
            before = (None,) * environments
            return jax.tree.map(lambda _: PartitionSpec(POPULATION, *before, DATA), tree)

        axes = whole.member_axes
        specs = jax.tree.map(by_member, axes, state, is_leaf=_is_none)
        specs = specs.replace(
            **{name: jax.tree.map(by_environment, getattr(state, name)) for name in ("env", "timestep", "statistics")},
            replay=jax.tree.map(by_axis, axes.replay, whole.environment_axes, state.replay, is_leaf=_is_none),
        )
        return jax.tree.map(lambda spec: NamedSharding(self.mesh, spec), specs, is_leaf=_is_spec)

    @functools.cached_property
    def _local(self) -> AnyLoop:
        """What each device of `population` runs."""
        return self.whole.share(self.mesh.shape[POPULATION])

    @property
    def _state(self) -> PyTree:
        """Over which axis a state's leaves are handed to members."""
        return jax.tree.map(
            lambda axis: _SHARED if axis is None else _MEMBERS, self.whole.member_axes, is_leaf=_is_none
        )

    def _everywhere(self, tree: PyTree) -> PyTree:
        """On all devices, so that each host can read it."""
        return jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, PartitionSpec()))

    def _over_members(
        self, function: Callable[[AnyLoop], Callable[..., Any]], takes: Any, gives: Any
    ) -> Callable[..., Any]:
        # The compiler cuts up the axis of data if it has several devices. Calls to the host, as EnvPool's, allow no
        # axis that it may cut. What members share each computes, and all the same: nothing is exchanged to check it.
        automatic = {DATA} if self.mesh.shape[DATA] > 1 else set()
        return jax.shard_map(
            function(self._local),
            mesh=self.mesh,
            in_specs=takes,
            out_specs=gives,
            axis_names=set(self.mesh.axis_names) - automatic,
            check_vma=False,
        )


_MEMBERS, _SHARED = PartitionSpec(POPULATION), PartitionSpec()
_CHUNK = ChunkState(metrics=_MEMBERS, done=_SHARED, before=_MEMBERS)  # type: ignore[arg-type]


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, PartitionSpec)
