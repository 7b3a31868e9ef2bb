"""EnvPool: batched C++ environments stepped from inside the compiled program, through its XLA interface.

EnvPool's own autoreset is already next-step. Its state lives in C++ and cannot be saved, so a resumed run starts fresh
episodes; its seeds are fixed when the pool is made, so the keys given to `reset` are not used. A pool belongs to the
one loop that made it, and is made when that is traced.
"""

import contextlib
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.experimental import io_callback

from jaxq import host_memory
from jaxq.envs.base import (
    STATE,
    ActionSpec,
    ArraySpec,
    Continuous,
    Discrete,
    Environment,
    ObservationSpec,
    finite,
    has_privileged,
    select,
    zero_reward_timestep,
)
from jaxq.envs.frame_stack import FrameStack
from jaxq.errors import InputError, missing_extra, require
from jaxq.types import PyTree, TimeStep

ATARI_FRAMES = 4
# Before a pool of so many is made, what it will take is measured on a few.
MEASURED_FROM = 8
# Tasks that tell the terms of their rewards, which are those terms' sum for each second; most then cut it off at zero.
# The rewards of Playground's other robots in the wheel are not the sum of what they tell (arms, hands, some gaits), or
# cost nothing.
COSTS_TOLD = (
    "ApolloJoystickFlatTerrain-v1",
    "BarkourJoystick-v1",
    "BerkeleyHumanoidJoystickFlatTerrain-v1",
    "BerkeleyHumanoidJoystickRoughTerrain-v1",
    "G1JoystickFlatTerrain-v1",
    "G1JoystickRoughTerrain-v1",
    "Go1Footstand-v1",
    "Go1Getup-v1",
    "Go1Handstand-v1",
    "Go1JoystickFlatTerrain-v1",
    "Go1JoystickRoughTerrain-v1",
    "H1JoystickGaitTracking-v1",
    "Op3Joystick-v1",
    "SpotFlatTerrainJoystick-v1",
    "T1JoystickFlatTerrain-v1",
    "T1JoystickRoughTerrain-v1",
)


def _envpool() -> Any:
    try:
        import envpool
        import envpool.registration
    except ImportError as error:
        raise missing_extra("envpool/", "envpool", error) from None
    # Gymnasium tells of every box that EnvPool describes in numbers of 64 bits and fills with those of 32.
    warnings.filterwarnings("ignore", message=".*precision lowered by casting")
    return envpool


def names() -> list[str]:
    """All registered EnvPool tasks."""
    return sorted(_envpool().list_all_envs())


def family(task: str) -> str:
    """The EnvPool family of a task, such as `atari` or `mujoco.gym`."""
    specs = _envpool().registration.registry.specs
    return specs[task][0].removeprefix("envpool.") if task in specs else ""


def specs(task: str) -> tuple[ObservationSpec, ActionSpec, int]:
    """Observation and action spec and the longest episode of a task, without making a pool."""
    spec = _envpool().make_spec(task, **({"stack_num": 1} if family(task) == "atari" else {}))
    observation = ObservationConverter(task, spec.gymnasium_observation_space).spec
    if family(task) == "atari":
        observation = ArraySpec((*observation.shape, ATARI_FRAMES), observation.dtype, ATARI_FRAMES)
    return observation, _action_spec(task, spec.gymnasium_action_space)[0], int(spec.config.max_episode_steps)


def make(
    task: str,
    num_envs: int,
    seed: int | Sequence[int] = 0,
    whole: bool = False,
    costs_apart: bool = False,
    **options: Any,
) -> Environment:
    """A pool of `num_envs` environments; `whole` is as of `ObservationConverter`, options go to `envpool.make`.

    With `costs_apart` rewards have two channels, what was gained and what it cost, of tasks that tell the terms of
    their rewards (`COSTS_TOLD`). They add up to the reward before it is cut off at zero, as most of these tasks do.

    Atari tasks get the standard preprocessing (frame skip 4 with max-pooling, 84×84 grey, up to 30 no-ops, FIRE where a
    game waits for it) and a stack of 4 frames, `[B, 84, 84, 4]` uint8. Actions are not sticky, where Dopamine's are by
    a quarter (`repeat_action_probability=0.25`). `episodic_life=True` ends an episode at every lost life; the default
    plays full games.
    """
    require("resets" not in options, "resets", options.get("resets"), "left out: EnvPool resets by itself")
    if costs_apart:
        told = task.rpartition("/")[2] in COSTS_TOLD
        require(told, "env", f"envpool/{task}", f"one that tells the terms of its rewards: {', '.join(COSTS_TOLD)}")
    if family(task) != "atari":
        return EnvPoolEnvironment(task, num_envs, seed, options, whole, costs_apart)
    frames = options.pop("stack_num", ATARI_FRAMES)
    return FrameStack(EnvPoolEnvironment(task, num_envs, seed, {**options, "stack_num": 1}), frames)


@contextlib.contextmanager
def _named_errors(task: str, options: dict[str, Any]) -> Iterator[None]:
    """What EnvPool raises about options in a line that names them."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise InputError(f"envpool/{task} could not be made with {options}: {error}") from None


def _pool(task: str, num_envs: int, seed: int | list[int], options: dict[str, Any]) -> Any:
    with _named_errors(task, options):
        return _envpool().make(task, env_type="gymnasium", num_envs=num_envs, seed=seed, **options)


@dataclasses.dataclass(eq=False)
class LazyPool:
    """A pool that is made when a program first resets or steps it: many a one is only asked what it is like.

    An environment and its copies of which only the description differs have one.

    Attributes:
      task, num_envs, seed, options: what it is made of.
      host_bytes: what it has of the host's memory, as far as it is made and that is known.
    """

    task: str
    num_envs: int
    seed: int | list[int]
    options: dict[str, Any]
    host_bytes: int = 0

    @functools.cached_property
    def pool(self) -> Any:
        """EnvPool's own.

        Raises:
          InputError: if the host's memory does not hold it, of which a robot of Playground's takes a great deal.
        """
        _require_room(self.task, self.num_envs, self.options)
        host_memory.give_back()
        before = host_memory.taken_bytes()
        pool = _pool(self.task, self.num_envs, self.seed, self.options)
        self.host_bytes = _taken_since(before)
        return pool

    @functools.cached_property
    def calls(self) -> tuple[Any, Callable[..., Any]]:
        """The pool's address and its step for programs."""
        # EnvPool sizes the buffers of its XLA calls by the dtypes JAX allows at this moment: in 32-bit mode it would
        # give float64 environments buffers half as large as the C++ side writes.
        with jax.enable_x64(True):
            handle, _, _, step = self.pool.xla()
        return handle, step


def _taken_since(before: int | None) -> int:
    now = host_memory.taken_bytes()
    return 0 if before is None or now is None else max(now - before, 0)


def _require_room(task: str, num_envs: int, options: dict[str, Any]) -> None:
    host_memory.give_back()
    free, before = host_memory.free_bytes(), host_memory.taken_bytes()
    if num_envs < MEASURED_FROM or free is None or before is None:
        return
    small = {name: value for name, value in options.items() if name not in ("batch_size", "num_threads")}
    # The first one brings what is taken once, libraries and what the compilation of a robot leaves free: where there is
    # room for all by its measure, there is.
    first = _pool(task, 1, 0, small)
    each = float(_taken_since(before))
    if num_envs * each <= free:
        return
    count = min(max(num_envs // MEASURED_FROM, 4), 8)
    if count * each <= free:
        before = host_memory.taken_bytes()
        some = _pool(task, count, 0, small)
        each = _taken_since(before) / count
        del some
    del first
    most = int(free / each) if each else num_envs
    takes = f"one of envpool/{task} takes {host_memory.readable(each)} of the host's memory"
    require(
        num_envs <= most,
        "num_envs (or eval_episodes) of all members",
        num_envs,
        f"at most {most:,} to fit: {takes}, and {host_memory.readable(free)} are free",
    )


class PoolState(struct.PyTreeNode):
    """State of a pool as the program sees it.

    Attributes:
      handle: [B, 8] uint8, the address of the pool; threading it orders the calls. Of every environment, so that a
        state is as large however many processes have a pool of their own.
      ended: [B] bool, the pool's episode has ended, so that its next step is a reset.
      over: [B] bool, and it was a whole game, and not a life.
      lost: [B] bool, the pool's episode goes on after it was broken off.
      observation: [B, ...] the last one that was finite.
    """

    handle: jax.Array
    ended: jax.Array
    over: jax.Array
    lost: jax.Array
    observation: PyTree


class EnvPoolEnvironment(Environment):
    """One EnvPool pool behind the Environment contract.

    From inside a program one environment of a pool cannot be reset. One whose observation or reward is no longer finite
    shows the last observation that was, as the `first` of an episode of no steps, over and over until its own episode
    ends: all these steps are lost (see `TimeStep`).
    """

    resumable = False

    def __init__(
        self,
        task: str,
        num_envs: int,
        seed: int | Sequence[int],
        options: dict[str, Any],
        whole: bool = False,
        costs_apart: bool = False,
    ):
        seed = seed if isinstance(seed, int) else list(seed)
        with _named_errors(task, options):
            spec = _envpool().make_spec(task, num_envs=num_envs, seed=seed, **options)
        self._lazy, self._whole, self._costs_apart = LazyPool(task, num_envs, seed, options), whole, costs_apart
        self._lives = bool(options.get("episodic_life"))
        self.name = f"envpool/{task}"
        self.num_envs = num_envs
        self.max_episode_steps = int(spec.config.max_episode_steps)
        if costs_apart:
            self.reward_shape = (2,)
            self._step_seconds = float(spec.config.ctrl_dt)
        self._convert = ObservationConverter(task, spec.gymnasium_observation_space, whole)
        self.observation_spec = self._convert.spec
        self.action_spec, self._scale = _action_spec(task, spec.gymnasium_action_space)

    @property
    def pool(self) -> Any:
        """EnvPool's own."""
        return self._lazy.pool

    @property
    def host_bytes(self) -> int:
        """See `Environment.host_bytes`: of a pool that is made."""
        return self._lazy.host_bytes

    def share(self, parts: int) -> "EnvPoolEnvironment":
        """See `Environment.share`: the part of this process, which must be one of as many; a pool of its own."""
        assert parts == jax.process_count(), "one pool a process"
        if parts == 1:
            return self
        seed = self._lazy.seed
        each = self.num_envs // parts
        first = jax.process_index() * each
        own = seed if isinstance(seed, int) else seed[first : first + each]
        return self.remade(each, own)

    def remade(self, num_envs: int, seed: int | Sequence[int] = 0, **options: Any) -> "EnvPoolEnvironment":
        """See `Environment.remade`."""
        options = {**self._lazy.options, **options}
        remade = EnvPoolEnvironment(self._lazy.task, num_envs, seed, options, self._whole, self._costs_apart)
        remade.action_spec = self.action_spec  # of which some actions may be left out
        return remade

    def reset(self, keys: jax.Array) -> tuple[PoolState, TimeStep]:
        """See `Environment.reset`. The one call that goes through the host: EnvPool's XLA interface has no reset."""
        observation = jax.tree.map(
            lambda spec: jax.ShapeDtypeStruct((self.num_envs, *spec.shape), spec.dtype), self.observation_spec
        )
        handle, _ = self._lazy.calls
        handle = jax.ShapeDtypeStruct(handle.shape, handle.dtype)
        handle, observation = io_callback(self._host_reset, (handle, observation))
        no = jnp.zeros(self.num_envs, bool)
        state = PoolState(self._of_each(handle), no, no, no, observation)
        return state, zero_reward_timestep(observation, self.num_envs, self.reward_shape)

    def _host_reset(self) -> tuple[np.ndarray, PyTree]:
        observation, _ = self.pool.reset()
        return self._lazy.calls[0], self._convert(observation, np)

    def step(self, state: PoolState, action: jax.Array) -> tuple[PoolState, TimeStep]:
        """See `Environment.step`."""
        action = self._scale(action)
        with jax.enable_x64(True):
            if jnp.issubdtype(action.dtype, jnp.floating):
                action = action.astype(self.pool.spec.action_array_spec["action"].dtype)
            handle, (observation, reward, terminated, truncated, info) = self._lazy.calls[1](state.handle[0], action)
            observation = self._convert(observation, jnp)
            if self._costs_apart:
                reward = self._gains_and_costs(info)
            reward = reward.astype(jnp.float32)
            # The pool's own flag of a lost life is `terminated`, and this one is the game's.
            over = truncated | (info["terminated"] != 0) if self._lives else terminated | truncated
        timestep = TimeStep(observation, reward, terminated, truncated, state.ended)
        lost = ~state.ended & (state.lost | ~finite(timestep))
        shown = select(lost, zero_reward_timestep(state.observation, self.num_envs, self.reward_shape), timestep)
        return PoolState(self._of_each(handle), timestep.last, over, lost, shown.observation), shown

    def _gains_and_costs(self, info: dict[str, Any]) -> jax.Array:
        """[B, 2], the terms above zero and those below."""
        terms = jnp.stack([value for name, value in info.items() if name.startswith("reward_")]) * self._step_seconds
        return jnp.stack([jnp.maximum(terms, 0.0).sum(0), jnp.minimum(terms, 0.0).sum(0)], axis=-1)

    def _of_each(self, handle: jax.Array) -> jax.Array:
        return jnp.broadcast_to(handle, (self.num_envs, *handle.shape))

    def over(self, state: PoolState, timestep: TimeStep) -> jax.Array:
        """See `Environment.over`."""
        return timestep.last & state.over


class ObservationConverter:
    """Turns what a pool observes into float32 vectors and uint8 images with channels last.

    Dictionaries become one vector of all their numbers, in the order of the pool's space, or with `whole` a tree of
    what each of their entries becomes. Of what a robot of Playground's observes there is `state` alone unless `whole`:
    `privileged_state` is for critics that see other parts than their actors. Discrete observations that stand alone
    become one-hot.

    Attributes:
      spec: of one observation.
    """

    def __init__(self, task: str, space: Any, whole: bool = False):
        self._task = task
        self._part = STATE if not whole and has_privileged(_members(space)) else None
        self._space = space = space if self._part is None else space.spaces[self._part]
        self._whole = whole
        self.spec: ObservationSpec
        if not hasattr(space, "spaces"):
            self.spec = self._part_spec(space)
        elif whole:
            self._parts = {name: ObservationConverter(task, part, whole) for name, part in _members(space).items()}
            self.spec = {name: part.spec for name, part in self._parts.items()}
        else:
            self.spec = ArraySpec((sum(self._size(leaf) for leaf in _leaves(space)),))

    def _part_spec(self, space: Any) -> ArraySpec:
        if hasattr(space, "n"):
            return ArraySpec((int(space.n),))
        if np.dtype(space.dtype) == np.uint8 and len(space.shape) == 3:
            *sides, channels = np.roll(space.shape, -1) if _channels_first(space) else space.shape
            return ArraySpec(tuple(map(int, sides if channels == 1 else (*sides, channels))), np.uint8)
        return ArraySpec((self._size(space),))

    def _size(self, space: Any) -> int:
        if not hasattr(space, "shape") or space.shape is None:
            raise InputError(f"envpool/{self._task} observes {space}, but only arrays of numbers are supported")
        return int(np.prod(space.shape, dtype=int))

    def _values(self, observation: PyTree, space: Any) -> list[Any]:
        if hasattr(space, "spaces"):
            return [leaf for key, part in _members(space).items() for leaf in self._values(observation[key], part)]
        return [observation]

    def __call__(self, observation: PyTree, xp: Any) -> Any:
        """Convert a batch; `xp` is numpy or jax.numpy."""
        if self._part is not None:
            observation = observation[self._part]
        if hasattr(self._space, "spaces"):
            if self._whole:
                return {name: part(observation[name], xp) for name, part in self._parts.items()}
            values = self._values(observation, self._space)
            return xp.concatenate([v.reshape(v.shape[0], -1).astype(xp.float32) for v in values], axis=-1)
        if hasattr(self._space, "n"):
            return (observation.reshape(-1, 1) == xp.arange(self._space.n)).astype(xp.float32)
        if self.spec.dtype == np.uint8:
            image = xp.moveaxis(observation, 1, -1) if _channels_first(self._space) else observation
            return image[..., 0] if len(self.spec.shape) == 2 else image
        return observation.reshape(observation.shape[0], -1).astype(xp.float32)


def _members(space: Any) -> dict[Any, Any]:
    """The parts of a dictionary of spaces, or of a tuple of them by their numbers; none of a space that has none."""
    if not hasattr(space, "spaces"):
        return {}
    return dict(space.spaces.items()) if hasattr(space.spaces, "items") else dict(enumerate(space.spaces))


def _leaves(space: Any) -> list[Any]:
    return (
        [leaf for part in _members(space).values() for leaf in _leaves(part)] if hasattr(space, "spaces") else [space]
    )


def _channels_first(space: Any) -> bool:
    """Whether an image's channels come first, as Atari's do, and not last, as Box2D's: there are fewest of them."""
    return space.shape[0] < space.shape[-1]


def _action_spec(task: str, space: Any) -> tuple[ActionSpec, Any]:
    """The contract's spec of a pool's action space, and the map from the contract's actions to the pool's."""
    if hasattr(space, "n"):
        return Discrete(int(space.n)), lambda action: action.astype(jnp.int32)
    if not hasattr(space, "low") or not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise InputError(f"envpool/{task} takes actions {space}, but only discrete or bounded ones are supported")
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    shape = tuple(space.shape)
    size = int(np.prod(shape, dtype=int))
    return Continuous(size), lambda action: low + (action.reshape(-1, *shape) + 1.0) * (0.5 * (high - low))
