"""gymnax, and any environment object written in its style (`reset_env`, `step_env`, `is_truncated`)."""

import importlib
import inspect
import math
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.envs.base import (
    DEFAULT_MAX_EPISODE_STEPS,
    STATE,
    ActionSpec,
    ArraySpec,
    Continuous,
    Discrete,
    ObservationSpec,
    has_privileged,
)
from jaxq.errors import InputError, missing_extra, require
from jaxq.types import PyTree


class _Postponed(types.ModuleType):
    """Stands for a module while others are imported, and is imported when something of it is used."""

    def __enter__(self) -> None:
        sys.modules.setdefault(self.__name__, self)

    def __exit__(self, *error: object) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__exit__()
        return getattr(importlib.import_module(self.__name__), name)


def _gymnax() -> Any:
    # What one of its environments draws with takes two thirds of the time that it takes to import, as it brings all of
    # SciPy's statistics.
    try:
        with _Postponed("seaborn"):
            import gymnax
    except ImportError as error:
        raise missing_extra("gymnax/", "gymnax", error) from None
    return gymnax


def names() -> list[str]:
    """All registered gymnax environments."""
    return sorted(_gymnax().registered_envs)


def make_single(name: str, whole: bool = True, **options: Any) -> "GymnaxEnvironment":
    """The gymnax environment `name`, whose observations are always whole; options go to its constructor."""
    del whole
    environment, params = _gymnax().make(name, **options)
    # MinAtar's planes are zeros and ones: as booleans they take a quarter of the replay.
    dtype = np.bool_ if name.endswith("-MinAtar") else np.float32
    return GymnaxEnvironment(environment, params, name=f"gymnax/{name}", dtype=dtype)


# What JAX raises where Python wants to know the value of an array of a program that is only gone over.
UNKNOWN = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class GymnaxEnvironment:
    """A `SingleEnvironment` around a gymnax-style object and its parameters.

    The object has `reset_env(key, params)`, `step_env(key, state, action, params)` and `action_space(params)`. What
    else gymnax's have it may do without: `default_params` (then None), `name` (then that of its class),
    `observation_space` (only discrete observations need it), `is_truncated`, and `max_steps_in_episode` of its
    parameters.

    Observations become one array of `dtype`: those of several parts are joined, in the order of `jax.tree.leaves`,
    discrete ones are one-hot, and beside a `privileged_state` there is `state` alone. With `whole` they stay the tree
    that they are.
    """

    def __init__(
        self,
        environment: Any,
        params: Any = None,
        name: str | None = None,
        dtype: Any = np.float32,
        whole: bool = False,
    ):
        self.environment = environment
        self.params = getattr(environment, "default_params", None) if params is None else params
        self.name = name or f"own/{getattr(environment, 'name', type(environment).__name__)}"
        self.max_episode_steps = int(getattr(self.params, "max_steps_in_episode", DEFAULT_MAX_EPISODE_STEPS))
        self.action_spec, self._scale = _action_spec(self.name, environment.action_space(self.params))
        space = getattr(environment, "observation_space", None)
        self._categories = None if space is None else getattr(space(self.params), "n", None)
        self._whole = whole
        _, observation = jax.eval_shape(self.reset, jax.random.key(0))
        self.observation_spec: ObservationSpec = (
            jax.tree.map(lambda x: ArraySpec(x.shape, x.dtype), observation)
            if whole
            else ArraySpec(observation.shape, np.dtype(dtype))
        )

    def reset(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """See `SingleEnvironment.reset`."""
        observation, state = self.environment.reset_env(key, self.params)
        return state, self._observed(observation)

    def step(self, state: PyTree, action: jax.Array, key: jax.Array) -> tuple[PyTree, PyTree, Any, Any, Any]:
        """See `SingleEnvironment.step`."""
        observation, state, reward, terminated, _ = self.environment.step_env(
            key, state, self._scale(action), self.params
        )
        is_truncated = getattr(self.environment, "is_truncated", None)
        truncated = False if is_truncated is None else is_truncated(state, self.params)
        return state, self._observed(observation), jnp.squeeze(reward), jnp.squeeze(terminated), jnp.squeeze(truncated)

    def _observed(self, observation: PyTree) -> PyTree:
        if self._whole:
            return observation
        if has_privileged(observation):
            return self._observed(observation[STATE])
        leaves = jax.tree.leaves(observation)
        if self._categories is not None:
            return jax.nn.one_hot(jnp.asarray(leaves[0], jnp.int32).reshape(()), int(self._categories))
        if len(leaves) == 1:
            return jnp.atleast_1d(jnp.asarray(leaves[0], jnp.float32))
        return jnp.concatenate([jnp.ravel(jnp.asarray(leaf, jnp.float32)) for leaf in leaves])


def own(environment: Any, params: Any = None, **options: Any) -> GymnaxEnvironment:
    """An environment that somebody wrote: as `GymnaxEnvironment`, gone over once, by shapes and kinds of numbers alone.

    Raises:
      InputError: naming what is missing, what returns too little, what changes its shape or its kind of numbers in a
        step, and what is no single number but should be.
    """
    for needed in ("reset_env", "step_env", "action_space"):
        if not callable(getattr(environment, needed, None)):
            raise InputError(f"environment is a {type(environment).__name__} without {needed}, which it must have")
    kind, key = type(environment).__name__, jax.random.key(0)
    params = getattr(environment, "default_params", None) if params is None else params

    def called(method: str, returned: tuple[str, ...], *args: Any) -> Any:
        function = getattr(environment, method)
        try:
            inspect.signature(function).bind(*args)
        except TypeError as error:
            raise InputError(f"{kind}.{method} cannot be called with {len(args)} arguments: {error}") from None
        try:
            result = function(*args)
        except UNKNOWN as error:
            library = str(Path(jax.__file__).parent)
            frames = traceback.extract_tb(error.__traceback__)  # of which the first is the one above
            where = [frame for frame in frames if not frame.filename.startswith(library)][-1]
            raise InputError(
                f"{kind}.{method} makes a number of Python's own, or a choice, of what is known only when the program "
                f"runs, in line {where.lineno} of {where.filename} ({where.line}): jnp.where and jax.lax.cond choose, "
                "and jnp has the functions of math and numpy"
            ) from None
        count = len(result) if isinstance(result, tuple) else 1
        require(count == len(returned), f"{kind}.{method}", f"{count} values", f"({', '.join(returned)})")
        return result[:4]

    action_spec, scale = _action_spec(kind, environment.action_space(params))
    action = jax.eval_shape(lambda: scale(action_spec.sample(key, 1)[0]))
    reset = jax.eval_shape(lambda: called("reset_env", ("observation", "state"), key, params))
    names = ("observation", "state", "reward", "done", "info")
    step = jax.eval_shape(lambda s, a: called("step_env", names, key, s, a, params), reset[1], action)
    for what, before, after in zip(names, reset, step, strict=False):
        ours, theirs = (str(jax.tree.map(lambda x: x.shape, tree)) for tree in (after, before))
        require(ours == theirs, f"{what} of {kind}.step_env", ours, f"of the shape that reset_env gives: {theirs}")
        if what == "state" or options.get("whole"):  # other observations become float32 in any case
            ours, theirs = (str(jax.tree.map(lambda x: str(x.dtype), tree)) for tree in (after, before))
            require(ours == theirs, f"{what} of {kind}.step_env", ours, f"of the dtype that reset_env gives: {theirs}")
    for what, number in zip(names[2:4], step[2:], strict=True):
        shapes = [leaf.shape for leaf in jax.tree.leaves(number)]
        single = len(shapes) == 1 and math.prod(shapes[0]) == 1
        require(single, f"{what} of {kind}.step_env", f"of shape {', '.join(map(str, shapes))}", "a single number")
    return GymnaxEnvironment(environment, params, **options)


def _action_spec(name: str, space: Any) -> tuple[ActionSpec, Any]:
    """The contract's spec of a gymnax action space, and the map from the contract's actions to the environment's."""
    if hasattr(space, "n"):
        return Discrete(int(space.n)), lambda action: action
    bounds = all(hasattr(space, needed) for needed in ("low", "high", "shape"))
    allowed = "an object with n, so many actions, or with low, high and shape"
    require(bounds, f"action_space of {name}", space, allowed)
    shape = tuple(space.shape)
    low, high = np.broadcast_to(space.low, shape), np.broadcast_to(space.high, shape)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InputError(f"{name} has actions without bounds, but they must be finite")
    low, high = low.astype(np.float32), high.astype(np.float32)
    size = int(np.prod(shape, dtype=int))
    return Continuous(size), lambda action: low + (action.reshape(shape) + 1.0) * (0.5 * (high - low))
