"""Proportional prioritized replay (Schaul et al., 2016) on the device, over the rows of a `UniformReplay`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxq.errors import require
from jaxq.replay.sum_tree import SumTree
from jaxq.replay.uniform import FINAL, ReplayState, UniformReplay
from jaxq.schedules import LinearSchedule
from jaxq.types import PyTree, TimeStep, Transition

SMALLEST, LARGEST = 1e-6, 1e6  # of priorities, so that nothing is never drawn again, and no sum overflows


class PrioritizedState(struct.PyTreeNode):
    """State of `PrioritizedReplay`.

    Attributes:
      ring: the rows.
      tree: a leaf for each transition, row by row; zero where none can start.
      largest: the largest priority ever given, before its exponent: what new transitions get.
      importance: β by batches that were learned from.
      batches: int32, how many that are.
    """

    ring: ReplayState
    tree: SumTree
    largest: jax.Array
    importance: LinearSchedule
    batches: jax.Array


@dataclasses.dataclass(frozen=True)
class PrioritizedReplay:
    """Draws transitions in proportion to `p^α`, with importance weights `(N P)^-β` over their largest in the batch.

    Attributes:
      ring: sizes, and what a transition is.
      priority_exponent: α; 0 draws uniformly.
      importance: β by batches that were learned from; 1 corrects the bias in full, and is what the paper anneals to.
    """

    ring: UniformReplay
    priority_exponent: float = 0.5
    importance: LinearSchedule = dataclasses.field(default_factory=lambda: LinearSchedule.constant(0.5))

    def __post_init__(self) -> None:
        beta = self.importance
        numbers = {"priority_exponent": self.priority_exponent}
        numbers |= {"importance_exponent": beta.initial, "importance_exponent_final": beta.final}
        for name, value in numbers.items():
            require(0 <= value <= 1, name, value, "in [0, 1]")

    @property
    def batch_size(self) -> int:
        """Transitions in a sample."""
        return self.ring.batch_size

    @property
    def capacity(self) -> int:
        """Transitions held."""
        return self.ring.capacity

    @property
    def minimum_size(self) -> int:
        """Transitions a warm-up must add before the first sample."""
        return self.ring.minimum_size

    @property
    def population_axes(self) -> Any:
        """Where the member axis of each leaf is."""
        return PrioritizedState(self.ring.population_axes, 0, 0, 0, 0)  # type: ignore[arg-type]

    @property
    def environment_axes(self) -> Any:
        """See `Replay.environment_axes`: the tree is of all."""
        return PrioritizedState(self.ring.environment_axes, None, None, None, None)  # type: ignore[arg-type]

    def init(self, timestep: TimeStep, action: jax.Array, record: PyTree) -> PrioritizedState:
        """Empty, for time steps, actions and records like these, [E, ...]."""
        tree = SumTree.create(self.ring.rows * self.ring.num_envs)
        importance = jax.tree.map(jnp.float32, self.importance)
        ring = self.ring.init(timestep, action, record)
        return PrioritizedState(ring, tree, jnp.float32(1.0), importance, jnp.int32(0))

    def add(
        self, state: PrioritizedState, timestep: TimeStep, action: jax.Array, record: PyTree, following: TimeStep
    ) -> PrioritizedState:
        """Write one row, as `UniformReplay.add`.

        The window that this row completes can be drawn from now on, with the largest priority so far; those that the
        row overwrites, or whose stack of frames it cuts, can not.
        """
        rows, envs = self.ring.rows, self.ring.num_envs
        written = state.ring.position
        ring = self.ring.add(state.ring, timestep, action, record, following)
        begun = (written - self.ring.reach) % rows
        complete = (ring.size > self.ring.reach) & (ring.flags[begun] & FINAL == 0)
        gone = (written + self.ring.history) % rows
        fresh = jnp.where(complete, state.largest**self.priority_exponent, 0.0)
        tree = state.tree.set_range(gone * envs, jnp.zeros(envs)).set_range(begun * envs, fresh)
        return state.replace(ring=ring, tree=tree)

    def seal(self, state: PrioritizedState) -> PrioritizedState:
        """Make the newest row the end of its episode, as `UniformReplay.seal`.

        Its leaf is still zero, as no window that it begins is complete, and stays so.
        """
        return state.replace(ring=self.ring.seal(state.ring))

    def renewed(self, state: PrioritizedState) -> PrioritizedState:
        """See `Replay.renewed`: whatever can be drawn is as likely, and β begins anew."""
        one = jnp.float32(1.0)
        return state.replace(tree=state.tree.levelled(one), largest=one, batches=jnp.int32(0))

    def sample(self, state: PrioritizedState, key: jax.Array) -> Transition:
        """A batch, one draw from each of `batch_size` equal shares of the total (Schaul et al., appendix B.2.1)."""
        batch = self.ring.batch_size
        share = (jnp.arange(batch) + jax.random.uniform(key, (batch,))) / batch
        index = state.tree.find(share * state.tree.total)
        leaf = state.tree.get(index)
        probability = leaf / state.tree.total
        count = (state.ring.size * self.ring.num_envs).astype(jnp.float32)
        weight = (count * jnp.maximum(probability, 1e-12)) ** -state.importance.at(state.batches)
        row, env = index // self.ring.num_envs, index % self.ring.num_envs
        window = self.ring.window(state.ring, row, env, weight / jnp.max(weight))
        priority = leaf ** (1.0 / self.priority_exponent) if self.priority_exponent else leaf
        return window.replace(index=index, priority=priority)

    def update_priorities(self, state: PrioritizedState, index: jax.Array, priority: jax.Array) -> PrioritizedState:
        """Give sampled transitions new priorities.

        Args:
          state: the replay.
          index: [B] of the sample; of a transition drawn twice, the largest priority stays.
          priority: [B] positive; inside a compiled program, where nothing can be raised, NaN and what is beyond
            `SMALLEST` and `LARGEST` is taken as the nearest of the two.

        Raises:
          InputError: outside a compiled program, if a priority is not positive and finite.
        """
        if not isinstance(priority, jax.core.Tracer):
            values = np.asarray(priority)
            bad = values[~(np.isfinite(values) & (values > 0))]
            require(bad.size == 0, "priority", float(bad[0]) if bad.size else None, "positive and finite")
        priority = jnp.clip(jnp.nan_to_num(priority, nan=LARGEST), SMALLEST, LARGEST)
        return state.replace(
            tree=state.tree.set(index, priority**self.priority_exponent),
            largest=jnp.maximum(state.largest, jnp.max(priority)),
            batches=state.batches + 1,
        )
