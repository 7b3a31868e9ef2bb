"""The Environment contract: one flat batch, pure functions, next-step autoreset.

Also the bridge for environments written for a single instance (`SingleEnvironment`): `Batched` vmaps one and gives it
the contract's end-of-episode semantics. Back ends live in modules of their own.
"""

import abc
import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxq import platforms
from jaxq.envs.scatters import distinct
from jaxq.errors import require
from jaxq.keys import stream, streams
from jaxq.types import PyTree, TimeStep

DEFAULT_MAX_EPISODE_STEPS = 1000
# Parts of what a robot observes, as MuJoCo Playground names them: what it senses, and what only a simulator knows.
STATE, PRIVILEGED = "state", "privileged_state"
# Physics whose numbers grow beyond this has blown up: MuJoCo's own bound (mjMAXVAL).
LARGEST = 1e10


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one array of an observation; `84×84×4 uint8` when printed.

    Attributes:
      shape: without the batch axis.
      dtype: of the array.
      frames: how many consecutive frames the last axis holds, oldest first and zero before the episode's first, when
        the array is a frame stack; 0 when it is not. Replay stores each frame of a stack once.
    """

    shape: tuple[int, ...]
    dtype: Any = np.float32
    frames: int = 0

    def __str__(self) -> str:
        return f"{'×'.join(map(str, self.shape))} {np.dtype(self.dtype).name}"


# What an environment observes: an `ArraySpec`, or a tree of them, in which most observations are the single leaf.
ObservationSpec = Any


def single_spec(spec: ObservationSpec, user: str) -> ArraySpec:
    """The spec of an observation that must be one array.

    Raises:
      InputError: if it is a tree of several, naming the user and them.
    """
    names = list(spec) if isinstance(spec, Mapping) else type(spec).__name__
    require(isinstance(spec, ArraySpec), "observation", names, f"a single array for {user}")
    return spec


def example_observation(spec: ObservationSpec) -> PyTree:
    """A batch of one observation of zeros, to initialize networks with."""
    return jax.tree.map(lambda array: jnp.zeros((1, *array.shape), array.dtype), spec)


@dataclasses.dataclass(frozen=True)
class Discrete:
    """Actions 0 .. num_actions - 1, int32, shape [B]."""

    num_actions: int

    def sample(self, key: jax.Array, batch: int) -> jax.Array:
        """Uniform actions, [batch] int32."""
        return jax.random.randint(key, (batch,), 0, self.num_actions)

    def __str__(self) -> str:
        return f"{self.num_actions} actions"


@dataclasses.dataclass(frozen=True)
class Continuous:
    """Actions in [-1, 1]^size, float32, shape [B, size]; adapters scale to what their backend takes."""

    size: int

    def sample(self, key: jax.Array, batch: int) -> jax.Array:
        """Uniform actions, [batch, size] float32."""
        return jax.random.uniform(key, (batch, self.size), minval=-1.0, maxval=1.0)

    def __str__(self) -> str:
        return f"[-1, 1]^{self.size}"


ActionSpec = Discrete | Continuous


class Environment(abc.ABC):
    """A batch of `num_envs` environments as two pure functions.

    Attributes:
      name: `backend/Name`.
      num_envs: B, the size of the flat batch.
      observation_spec: of one environment, an `ArraySpec` or a tree of them.
      action_spec: of one environment.
      max_episode_steps: the longest episode, which bounds an evaluation.
      reward_shape: of one environment's reward: `()`, or `(C,)` where rewards have several channels.
      resumable: whether the state returned is all of it, so that a run restored from it continues exactly.
    """

    name: str
    num_envs: int
    observation_spec: ObservationSpec
    action_spec: ActionSpec
    max_episode_steps: int
    reward_shape: tuple[int, ...] = ()
    resumable: bool = True

    @property
    def host_bytes(self) -> int:
        """What it has of the host's memory beside its state, as far as it is known."""
        return 0

    def remade(self, num_envs: int, seed: int | Sequence[int] = 0, **options: Any) -> "Environment":
        """So many environments, made as these were: for an agent that knows no others.

        Args:
          num_envs: how many.
          seed, options: as of `make`, of pools, which are made anew; these options go before those of these.
        """
        del seed, options
        remade = copy.copy(self)
        remade.num_envs = num_envs
        return remade

    def share(self, parts: int) -> "Environment":
        """One of so many equal parts of the batch.

        Of one that is `resumable` each part is like any other, the state being all there is; of others, that of this
        process.
        """
        share = copy.copy(self)
        share.num_envs = self.num_envs // parts
        return share

    def once(self) -> "Environment":
        """The same for whoever looks at no more than one episode of each environment, as evaluations do.

        What follows it may be anything; where resets are computed here, none is (`Once`).
        """
        return self

    def over(self, state: PyTree, timestep: TimeStep) -> jax.Array:
        """[B] bool: where a whole game ended with `timestep`: where an episode did, unless episodes are single lives.

        Args:
          state, timestep: as `step` returned them.
        """
        del state
        return timestep.last

    @abc.abstractmethod
    def reset(self, keys: jax.Array) -> tuple[PyTree, TimeStep]:
        """Start an episode everywhere. `keys`: [B] typed keys, one owned by each environment."""

    @abc.abstractmethod
    def step(self, state: PyTree, action: jax.Array) -> tuple[PyTree, TimeStep]:
        """Advance every environment by one action, [B] or [B, size]; those that had ended are reset instead."""


class Wrapper(Environment):
    """An environment around another, of which it has all that it does not say itself; `over` it has to.

    Attributes:
      environment: the other.
    """

    def __init__(self, environment: Environment):
        self.environment = environment
        self.name, self.num_envs = environment.name, environment.num_envs
        self.observation_spec, self.action_spec = environment.observation_spec, environment.action_spec
        self.max_episode_steps, self.reward_shape = environment.max_episode_steps, environment.reward_shape
        self.resumable = environment.resumable

    def _around(self, environment: Environment) -> "Environment":
        """The same around another."""
        around = copy.copy(self)
        around.environment, around.num_envs = environment, environment.num_envs
        return around

    @property
    def host_bytes(self) -> int:
        """See `Environment.host_bytes`."""
        return self.environment.host_bytes

    def remade(self, num_envs: int, seed: int | Sequence[int] = 0, **options: Any) -> Environment:
        """See `Environment.remade`."""
        return self._around(self.environment.remade(num_envs, seed, **options))

    def share(self, parts: int) -> Environment:
        """See `Environment.share`."""
        return self._around(self.environment.share(parts))

    def once(self) -> Environment:
        """See `Environment.once`."""
        return self._around(self.environment.once())


class SingleEnvironment(Protocol):
    """One instance of an environment, without autoreset, as pure functions of its state.

    It may also have a `reward_shape`, as of `Environment`.
    """

    name: str
    observation_spec: ObservationSpec
    action_spec: ActionSpec
    max_episode_steps: int

    def reset(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """The first state and observation of an episode."""

    def step(self, state: PyTree, action: jax.Array, key: jax.Array) -> tuple[PyTree, PyTree, Any, Any, Any]:
        """The next state and observation, with reward, terminated and truncated as scalars."""


class BatchedState(struct.PyTreeNode):
    """State of `Batched`.

    Attributes:
      inner: [B, ...] the environments' own states.
      key: [B] from which the key of each step of the episode is folded.
      next_key: [B] of which the next episode is made.
      time: [B] int32, steps since the episode began.
      ended: [B] bool, the last TimeStep was its episode's last.
    """

    inner: PyTree
    key: jax.Array
    next_key: jax.Array
    time: jax.Array
    ended: jax.Array


def zero_reward_timestep(observation: PyTree, batch: int, reward_shape: tuple[int, ...] = ()) -> TimeStep:
    """The TimeStep of a reset: the first observation, no reward, nothing ended."""
    no = jnp.zeros(batch, bool)
    return TimeStep(observation, jnp.zeros((batch, *reward_shape), jnp.float32), no, no, ~no)


def select(mask: jax.Array, on_true: PyTree, on_false: PyTree) -> PyTree:
    """Per-environment choice between two pytrees, `mask`: [B]."""

    def pick(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, on_true, on_false)


def has_privileged(parts: Any) -> bool:
    """Whether an observation's parts, or a dictionary of them, have both `STATE` and `PRIVILEGED`."""
    return isinstance(parts, Mapping) and {STATE, PRIVILEGED} <= set(parts)


def finite(timestep: TimeStep) -> jax.Array:
    """[B] bool: every number of the observation and the reward is, and none beyond `LARGEST`.

    A number on its way to infinity would stay in running statistics for good.
    """
    batch = timestep.first.shape[0]
    floats = [x for x in jax.tree.leaves(timestep.observation) if jnp.issubdtype(x.dtype, jnp.floating)]
    of_each = [(jnp.abs(x) <= LARGEST).reshape(batch, -1).all(axis=1) for x in (timestep.reward, *floats)]
    return functools.reduce(jnp.logical_and, of_each)


@functools.lru_cache(maxsize=32)
def _once_traced(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same, traced once for all batches and programs that it is in: physics takes seconds.

    On accelerators its products are in float32, which CPUs have in any case: in TF32 or bfloat16, an accelerator's own
    choice, robots learn less stably (as MuJoCo Playground warns, and the authors of FastTD3, FlashSAC and REPPO do).
    """

    @functools.wraps(method)
    def suited(*args: Any) -> Any:
        if platforms.on_cpu():  # where scatters are loops in any case
            return method(*args)
        with jax.default_matmul_precision("highest"):
            return distinct(method)(*args)

    return jax.jit(suited, inline=True)


class Batched(Environment):
    """A `SingleEnvironment` vmapped over a flat batch, with next-step autoreset and a time limit.

    An environment whose observation or reward is no longer finite is reset at once (see `TimeStep`).
    """

    def __init__(self, single: SingleEnvironment, num_envs: int):
        self.single = single
        self.name = single.name
        self.num_envs = num_envs
        self.observation_spec = single.observation_spec
        self.action_spec = single.action_spec
        self.max_episode_steps = single.max_episode_steps
        self.reward_shape = getattr(single, "reward_shape", ())
        # Leaves that a back end makes one of for the whole batch, as MuJoCo Warp its list of contacts, have no axis of
        # their environments; they belong to whatever was computed last.
        one = jax.eval_shape(_once_traced(single.reset), jax.random.key(0))[0]
        every = jax.eval_shape(
            jax.vmap(_once_traced(single.reset)), jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
        )
        self._by_environment = jax.tree.map(lambda a, b: len(b.shape) > len(a.shape), one, every[0])

    def once(self) -> "Environment":
        """See `Environment.once`."""
        once = Once.__new__(Once)
        vars(once).update(vars(self))  # with what was changed since it was made, as its actions
        return once

    def reset(self, keys: jax.Array) -> tuple[BatchedState, TimeStep]:
        """See `Environment.reset`."""
        return self._begun(keys, *self._first(keys))

    def step(self, state: BatchedState, action: jax.Array) -> tuple[BatchedState, TimeStep]:
        """See `Environment.step`."""
        stepped, over = self._stepped(state, action)
        # Environments are one flat batch, never vmapped, so this stays a branch: a reset, which costs as much as many
        # steps in some back ends, is only computed when some environment needs it.
        return jax.lax.cond(
            over.any(), lambda: self._merged(over, self.reset(state.next_key), stepped), lambda: stepped
        )

    def _first(self, keys: jax.Array) -> tuple[PyTree, PyTree]:
        """First states and observations of the episodes that are made of these keys."""
        reset_keys = jax.vmap(lambda key: stream(key, "reset"))(keys)
        inner, observation = jax.vmap(_once_traced(self.single.reset))(reset_keys)
        return jax.tree.map(jnp.asarray, inner), self._cast(observation)

    def _begun(self, keys: jax.Array, inner: PyTree, observation: PyTree) -> tuple[BatchedState, TimeStep]:
        """The episodes of these keys, at their first states and observations."""
        step_keys, next_keys = jax.vmap(lambda key: streams(key, "steps", "next episode"))(keys)
        batch = keys.shape[0]
        state = BatchedState(inner, step_keys, next_keys, jnp.zeros(batch, jnp.int32), jnp.zeros(batch, bool))
        return state, zero_reward_timestep(observation, batch, self.reward_shape)

    def _stepped(self, state: BatchedState, action: jax.Array) -> tuple[tuple[BatchedState, TimeStep], jax.Array]:
        """What comes of the actions, and [B] whose next episode begins in its place."""
        # Folding the step's key costs nothing where the environment is deterministic: XLA drops it.
        step_keys = jax.vmap(jax.random.fold_in)(state.key, state.time)
        step = jax.vmap(_once_traced(self.single.step))
        inner, observation, reward, terminated, truncated = step(state.inner, action, step_keys)
        inner = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), inner, state.inner)
        time = state.time + 1
        terminated = jnp.asarray(terminated, bool)
        truncated = (jnp.asarray(truncated, bool) | (time >= self.max_episode_steps)) & ~terminated
        timestep = TimeStep(
            self._cast(observation),
            jnp.asarray(reward, jnp.float32),
            terminated,
            truncated,
            jnp.zeros_like(terminated),
        )
        stepped = BatchedState(inner, state.key, state.next_key, time, timestep.last), timestep
        return stepped, state.ended | ~finite(timestep)

    def _merged(
        self, over: jax.Array, begun: tuple[BatchedState, TimeStep], stepped: tuple[BatchedState, TimeStep]
    ) -> tuple[BatchedState, TimeStep]:
        """Episodes begun where others are over, [B]."""
        inner = self._select(over, begun[0].inner, stepped[0].inner)
        state, timestep = select(
            over, (begun[0].replace(inner=()), begun[1]), (stepped[0].replace(inner=()), stepped[1])
        )
        return state.replace(inner=inner), timestep

    def _select(self, mask: jax.Array, on_true: PyTree, on_false: PyTree) -> PyTree:
        """As `select` does, of environments' states."""
        return jax.tree.map(lambda own, a, b: select(mask, a, b) if own else b, self._by_environment, on_true, on_false)

    def _cast(self, observation: PyTree) -> PyTree:
        return jax.tree.map(lambda spec, array: jnp.asarray(array, spec.dtype), self.observation_spec, observation)


class Once(Batched):
    """As `Batched`, but an environment whose episode is over stays where it is: no reset is computed, nor compiled.

    Its steps are of no episode: `first` is set, rewards and observations are zero.
    """

    def step(self, state: BatchedState, action: jax.Array) -> tuple[BatchedState, TimeStep]:
        """See `Environment.step`."""
        (stepped, timestep), over = self._stepped(state, action)
        zeros = jax.tree.map(jnp.zeros_like, timestep.observation)
        nothing = zero_reward_timestep(zeros, self.num_envs, self.reward_shape)
        return self._merged(over, (state.replace(ended=over | state.ended), nothing), (stepped, timestep))


class PooledState(struct.PyTreeNode):
    """State of `Pooled`.

    Attributes:
      episode: of the episodes that are under way.
      first, observation: [B, ...] the state and observation that each environment's next episode begins with.
      fresh: [B] bool, these are there; else they are those of an earlier episode.
    """

    episode: BatchedState
    first: PyTree
    observation: PyTree
    fresh: jax.Array


class Pooled(Batched):
    """As `Batched`, but resets are computed ahead, for a few environments at a time.

    With thousands of environments some episode ends at every step, and `Batched` computes a reset of all of them each
    time. Here there is a pool of first states, one for each environment, from which it takes its next. What was taken
    is made anew in blocks of `block` environments: one when so many are due, and more when an environment ends whose
    own is not there. A first state is made of its environment's key as in `Batched`, and taken once, so the episodes
    are the same as there; the cost is that of as many resets as there are ends, and the memory of a second state.

    MuJoCo Playground's and Brax's own training begin every episode of an environment in the one state it first had.
    """

    @property
    def block(self) -> int:
        """How many first states are made at once: about sqrt(2 B).

        With e ends a step there are e / block blocks because so many are due; since half a block is missing on average,
        about e block / 2B more because an environment needs its own. Their sum is least at sqrt(2 B).
        """
        return min(2 ** round(math.log2(math.sqrt(2 * self.num_envs))), self.num_envs)

    def reset(self, keys: jax.Array) -> tuple[PooledState, TimeStep]:  # type: ignore[override]
        """See `Environment.reset`."""
        state, timestep = super().reset(keys)
        return PooledState(state, state.inner, timestep.observation, jnp.zeros_like(state.ended)), timestep

    def step(self, state: PooledState, action: jax.Array) -> tuple[PooledState, TimeStep]:  # type: ignore[override]
        """See `Environment.step`."""
        stepped, over = self._stepped(state.episode, action)
        state = self._renewed(state, over)
        begun = self._begun(state.episode.next_key, state.first, state.observation)
        episode, timestep = self._merged(over, begun, stepped)
        return state.replace(episode=episode, fresh=state.fresh & ~over), timestep

    def _renewed(self, state: PooledState, needed: jax.Array) -> PooledState:
        """With first states made anew, at least those that are needed now, [B] bool."""
        block = self.block

        def more(carry: tuple[jax.Array, PooledState]) -> jax.Array:
            blocks, state = carry
            due = jnp.sum(~state.fresh) >= block
            return (needed & ~state.fresh).any() | (due & (blocks == 0))

        def renew(carry: tuple[jax.Array, PooledState]) -> tuple[jax.Array, PooledState]:
            blocks, state = carry
            # Those that are needed, then others that are due. If these are fewer than a block, it is filled with some
            # that are there, which are made of the same keys again and come out the same.
            _, index = jax.lax.top_k((~state.fresh).astype(jnp.int32) * (1 + needed), block)
            first, observation = self._first(state.episode.next_key[index])

            def put(pool: jax.Array, made: jax.Array) -> jax.Array:
                return pool.at[index].set(made, unique_indices=True)

            return blocks + 1, state.replace(
                first=jax.tree.map(
                    lambda own, pool, made: put(pool, made) if own else pool, self._by_environment, state.first, first
                ),
                observation=jax.tree.map(put, state.observation, observation),
                fresh=state.fresh.at[index].set(True, unique_indices=True),
            )

        return jax.lax.while_loop(more, renew, (jnp.int32(0), state))[1]
