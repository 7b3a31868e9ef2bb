"""Uniform experience replay on the device: a time-major ring in which every observation is stored once.

Row t of an environment holds `(o_t, a_t, r_{t+1}, flags_t)`. Next observations, n-step windows and frame stacks are put
together when sampled, and never reach over an episode's end or the ring's head. The functions are written for one
member of a population; `population_axes` says which leaves of the state each member has of its own.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.bellman import cut_at_end
from jaxq.envs.base import ArraySpec, Environment, ObservationSpec
from jaxq.errors import require
from jaxq.types import PyTree, TimeStep, Transition

# Flags of a row. The first two are of the step that leaves the row, the third of the row itself.
TERMINATED = 1
TRUNCATED = 2
FINAL = 4  # the row's observation ended its episode: its action was ignored and no transition starts here
# The row before a final row has TERMINATED or TRUNCATED only if the end was known when it was written. Of an episode
# that is broken off it was not: its last transition ends at the row before.

# A draw that lands on a row where no transition starts is drawn again, this many times at most; what is left after that
# (a share of p^4, where p is one over the mean episode length) keeps its place with weight zero.
DRAWS = 4


def ended_in(flags: jax.Array) -> jax.Array:
    """Which steps out of rows [B, n] ended their episode, or were the last before it was broken off: bool [B, n].

    Nothing is known of what comes after the last row.
    """
    ended = flags & (TERMINATED | TRUNCATED) != 0
    return ended.at[:, :-1].set(ended[:, :-1] | (flags[:, 1:] & FINAL != 0))


class ReplayState(struct.PyTreeNode):
    """The ring.

    Attributes:
      observation: [T, E, ...] of each array; single frames where it is a frame stack.
      action: [T, E, ...].
      reward: [T, E] float32, or [T, E, C].
      flags: [T, E] uint8.
      record: [T, E, ...] what the agent recorded.
      position: int32, the row that will be written next.
      size: int32, how many rows are filled.
    """

    observation: PyTree
    action: jax.Array
    reward: jax.Array
    flags: jax.Array
    record: PyTree
    position: jax.Array
    size: jax.Array


def _where(mask: jax.Array, values: jax.Array) -> jax.Array:
    """Values [..., *] where the mask [...] is set, else zero."""
    return jnp.where(mask.reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim)), values, jnp.zeros_like(values))


@dataclasses.dataclass(frozen=True)
class UniformReplay:
    """Uniform replay of n-step transitions.

    Attributes:
      capacity: transitions held, over all environments of a member.
      batch_size: transitions in a sample.
      num_envs: E, environments of a member.
      observation_spec: of one environment.
      n_step: n, the length of the windows sampled.
    """

    capacity: int
    batch_size: int
    num_envs: int
    observation_spec: ObservationSpec
    n_step: int = 1

    def __post_init__(self) -> None:
        require(self.num_envs >= 1, "num_envs", self.num_envs, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.n_step >= 1, "n_step", self.n_step, "at least 1")
        require(self.capacity < 2**31, "replay_capacity", self.capacity, "below 2^31, to be counted in 32 bits")
        shortest = self.num_envs * (self.reach + self.history + 2)
        require(
            self.capacity >= shortest,
            "replay_capacity",
            self.capacity,
            f"at least {shortest}, room for windows of {self.reach} steps in each of {self.num_envs} environments",
        )

    @classmethod
    def for_environment(cls, environment: Environment, num_members: int = 1, **sizes: Any) -> "UniformReplay":
        """The replay of one of `num_members` members that share the environment's flat batch."""
        return cls(num_envs=environment.num_envs // num_members, observation_spec=environment.observation_spec, **sizes)

    @property
    def rows(self) -> int:
        """T, the length of the ring."""
        return self.capacity // self.num_envs

    @property
    def history(self) -> int:
        """Rows before a transition's own that its observation takes: the older frames of its longest stack."""
        return max([spec.frames - 1 for spec in jax.tree.leaves(self.observation_spec) if spec.frames], default=0)

    @property
    def reach(self) -> int:
        """Rows after its own that a window takes."""
        return self.n_step

    @property
    def minimum_size(self) -> int:
        """Transitions a warm-up must add before the first sample."""
        return self.num_envs * (self.reach + 1)

    @property
    def population_axes(self) -> ReplayState:
        """Where the member axis of each leaf is: all members share the ring's position."""
        return ReplayState(0, 0, 0, 0, 0, None, None)  # type: ignore[arg-type]

    @property
    def environment_axes(self) -> ReplayState:
        """See `Replay.environment_axes`."""
        return ReplayState(1, 1, 1, 1, 1, None, None)  # type: ignore[arg-type]

    def init(self, timestep: TimeStep, action: jax.Array, record: PyTree) -> ReplayState:
        """An empty ring for time steps, actions and records like these, [E, ...]."""

        def ring(example: jax.Array) -> jax.Array:
            return jnp.zeros((self.rows, *example.shape), example.dtype)

        return ReplayState(
            observation=jax.tree.map(ring, self._stored(timestep.observation)),
            action=ring(action),
            reward=ring(timestep.reward),
            flags=jnp.zeros((self.rows, self.num_envs), jnp.uint8),
            record=jax.tree.map(ring, record),
            position=jnp.int32(0),
            size=jnp.int32(0),
        )

    def add(
        self, state: ReplayState, timestep: TimeStep, action: jax.Array, record: PyTree, following: TimeStep
    ) -> ReplayState:
        """Write one row: what was seen, the action taken there, its record, and what came of it: [E, ...]."""
        flags = (
            TERMINATED * following.terminated.astype(jnp.uint8)
            + TRUNCATED * following.truncated.astype(jnp.uint8)
            + FINAL * (timestep.last | following.first).astype(jnp.uint8)
        )

        def write(ring: jax.Array, row: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_index_in_dim(ring, row.astype(ring.dtype), state.position, 0)

        position = state.position + 1
        return ReplayState(
            observation=jax.tree.map(write, state.observation, self._stored(timestep.observation)),
            action=write(state.action, action),
            reward=write(state.reward, following.reward),
            flags=write(state.flags, flags),
            record=jax.tree.map(write, state.record, record),
            position=jnp.where(position == self.rows, 0, position),
            size=jnp.minimum(state.size + 1, self.rows),
        )

    def seal(self, state: ReplayState) -> ReplayState:
        """Make the newest row the end of its episode, for a run that goes on with fresh episodes after it."""
        newest, before = (state.position - 1) % self.rows, (state.position - 2) % self.rows
        flags = state.flags.at[before].set(state.flags[before] | TRUNCATED)
        return state.replace(flags=flags.at[newest].set(flags[newest] | FINAL))

    def renewed(self, state: ReplayState) -> ReplayState:
        """See `Replay.renewed`: nothing is thought of it."""
        return state

    def sample(self, state: ReplayState, key: jax.Array) -> Transition:
        """A batch of transitions, uniform over all that the ring holds.

        Args:
          state: with at least `minimum_size` transitions.
          key: one random key.

        Returns:
          A `Transition` of `batch_size` windows of `n_step`; `weight` is 1, or 0 for the rare draw without transition.
        """
        # Windows start where all their rows are in the ring and, where frames are stacked, those before them too.
        oldest = jnp.where(state.size == self.rows, self.history, 0)
        starts = (state.size - self.reach - oldest) * self.num_envs
        bits = jax.random.bits(key, (DRAWS, self.batch_size), jnp.uint32)
        draws = (bits % starts.astype(jnp.uint32)).astype(jnp.int32)
        rows, envs = oldest + draws // self.num_envs, draws % self.num_envs
        valid = state.flags[self._wrap(state, rows), envs] & FINAL == 0
        chosen = jnp.argmax(valid, axis=0)[None]
        row = jnp.take_along_axis(rows, chosen, 0)[0]
        env = jnp.take_along_axis(envs, chosen, 0)[0]
        return self.window(state, self._wrap(state, row), env, valid.any(axis=0).astype(jnp.float32))

    def update_priorities(self, state: ReplayState, index: jax.Array, priority: jax.Array) -> ReplayState:
        """Nothing: every transition is as likely as any other."""
        del index, priority
        return state

    def _wrap(self, state: ReplayState, row: jax.Array) -> jax.Array:
        """Rows counted from the oldest as rows of the ring. No row counted is further than one turn from it."""
        first = jnp.where(state.size == self.rows, state.position, 0)
        wrapped = row + first
        return jnp.where(wrapped >= self.rows, wrapped - self.rows, wrapped)

    def window(self, state: ReplayState, row: jax.Array, env: jax.Array, weight: jax.Array) -> Transition:
        """The transitions that start at these rows of the ring. All arguments [B]."""
        rows = (row[:, None] + jnp.arange(self.n_step)) % self.rows  # [B, n]
        flags = state.flags[rows, env[:, None]]
        ended = ended_in(flags)
        rewards, steps, terminated = cut_at_end(state.reward[rows, env[:, None]], flags & TERMINATED != 0, ended)
        return Transition(
            observation=self._observation(state, row, env),
            action=state.action[row, env],
            rewards=rewards,
            steps=steps,
            terminated=terminated,
            next_observation=self._observation(state, (row + steps) % self.rows, env),
            weight=weight,
            index=row * self.num_envs + env,
            record=jax.tree.map(lambda ring: ring[row, env], state.record),
        )

    def _stored(self, observation: PyTree) -> PyTree:
        """What a row keeps of an observation: of stacks the newest frame."""
        return jax.tree.map(lambda spec, x: x[..., -1] if spec.frames else x, self.observation_spec, observation)

    def _observation(self, state: ReplayState, row: jax.Array, env: jax.Array) -> PyTree:
        """Observations at rows of the ring, [B, ...], stacking frames where they were stored singly."""

        def read(spec: ArraySpec, ring: jax.Array) -> jax.Array:
            return self._stack(state, ring, spec.frames, row, env) if spec.frames else ring[row, env]

        return jax.tree.map(read, self.observation_spec, state.observation)

    def _stack(self, state: ReplayState, ring: jax.Array, frames: int, row: jax.Array, env: jax.Array) -> jax.Array:
        rows = (row[:, None] - jnp.arange(frames - 1, -1, -1)) % self.rows  # [B, frames], oldest first
        stack = ring[rows, env[:, None]]
        # A frame belongs to the episode if no row from it up to the one before the newest was an episode's last,
        # nor was it never written (the rows before the first of a ring that has not yet wrapped).
        flags = state.flags[rows[:, :-1], env[:, None]]
        apart = (flags & FINAL != 0) | ((rows[:, :-1] > row[:, None]) & (state.size < self.rows))
        severed = jnp.flip(jnp.cumsum(jnp.flip(apart, 1), 1), 1) > 0
        kept = jnp.concatenate([~severed, jnp.ones_like(severed[:, :1])], axis=1)
        return jnp.moveaxis(_where(kept, stack), 1, -1)
