"""Brax and MuJoCo Playground (MJX): two back ends with one style of environment object."""

import difflib
import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxq import platforms
from jaxq.envs.base import DEFAULT_MAX_EPISODE_STEPS, ActionSpec, ArraySpec, Continuous, ObservationSpec
from jaxq.errors import InputError, missing_extra, require
from jaxq.types import PyTree

BRAX_PIPELINES = ("generalized", "spring", "positional", "mjx")
PLAYGROUND_IMPLEMENTATIONS = ("jax", "warp")


def _brax() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import brax.envs
    except ImportError as error:
        raise missing_extra("brax/", "brax", error) from None
    return brax.envs


def _playground() -> Any:
    try:
        from mujoco_playground import registry
    except ImportError as error:
        raise missing_extra("playground/", "playground", error) from None
    return registry


def brax_names() -> list[str]:
    """All registered Brax environments."""
    return sorted(_brax()._envs)


def playground_names() -> list[str]:
    """All registered MuJoCo Playground environments."""
    return sorted(_playground().ALL_ENVS)


def make_brax(name: str, backend: str | None = None, whole: bool = False, **options: Any) -> "BraxEnvironment":
    """The Brax environment `name`; `backend` is its physics pipeline, unless given the one it was made for."""
    if backend is not None:
        require(backend in BRAX_PIPELINES, "backend", backend, f"one of {', '.join(BRAX_PIPELINES)}")
        options["backend"] = backend
    envs = _brax()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environment = envs.get_environment(name, **options)
    return BraxEnvironment(environment, name=f"brax/{name}", whole=whole)


def make_playground(name: str, impl: str | None = None, whole: bool = False, **overrides: Any) -> "BraxEnvironment":
    """The Playground environment `name`; overrides go to its configuration, those of parts of it as `part.field`.

    `impl` is the physics implementation: `jax` (MJX) or `warp`. Playground's own default is warp, which is made for
    GPUs: 30 times slower than MJX on a CPU. Unless told otherwise it is taken on a GPU, if it is installed.

    Raises:
      InputError: for an override that the configuration has no field for, or robot models that cannot be fetched.
    """
    impl = impl or ("warp" if platforms.current() == "gpu" and importlib.util.find_spec("warp") else "jax")
    require(impl in PLAYGROUND_IMPLEMENTATIONS, "impl", impl, f"one of {', '.join(PLAYGROUND_IMPLEMENTATIONS)}")
    registry = _playground()
    config = registry.get_default_config(name)
    known = _fields(config.to_dict())
    for field in overrides:
        near = difflib.get_close_matches(field, known, n=3)
        require(field in known, f"options of playground/{name}", field, f"one of {', '.join(near or known)}")
    config.update_from_flattened_dict({"impl": impl, **overrides})
    length, repeat = int(config.episode_length), int(config.get("action_repeat", 1))
    for field, value in (("episode_length", length), ("action_repeat", repeat)):
        require(value >= 1, field, value, "at least 1")
    try:
        environment = registry.load(name, config=config)
    except (FileNotFoundError, RuntimeError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"playground/{name} could not be loaded (its robot model is fetched once): {first_line}"
        ) from None
    return BraxEnvironment(
        environment,
        name=f"playground/{name}",
        max_episode_steps=length,
        action_repeat=repeat,
        whole=whole,
    )


def _fields(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The names of all fields of a configuration as a dictionary, `part` and `part.field` where it has parts."""
    found = []
    for name, value in config.items():
        found += [f"{prefix}{name}", *(_fields(value, f"{prefix}{name}.") if isinstance(value, Mapping) else ())]
    return found


def describe_playground(name: str) -> "BraxEnvironment":
    """As `make_playground`, for a listing: it does not begin to fetch robot models that are not there yet.

    Raises:
      InputError: if the environment needs them.
    """
    registry = _playground()
    from mujoco_playground._src import mjx_env

    if name not in registry.dm_control_suite.ALL_ENVS and not mjx_env.MENAGERIE_PATH.exists():
        raise InputError("its robot model is fetched when it is first made")
    return make_playground(name)


class BraxEnvironment:
    """A `SingleEnvironment` around a Brax-style object; of a dictionary it shows `state`, or the `whole` of it."""

    def __init__(
        self,
        environment: Any,
        name: str | None = None,
        max_episode_steps: int = DEFAULT_MAX_EPISODE_STEPS,
        action_repeat: int = 1,
        whole: bool = False,
    ):
        self.environment = environment
        self.name = name or f"brax/{type(environment).__name__}"
        self.max_episode_steps = -(-max_episode_steps // action_repeat)
        self.action_repeat = action_repeat
        self.action_spec: ActionSpec = Continuous(int(environment.action_size))
        self._whole = whole
        _, observation = jax.eval_shape(self.reset, jax.random.key(0))
        self.observation_spec: ObservationSpec = jax.tree.map(lambda x: ArraySpec(x.shape, np.float32), observation)

    def reset(self, key: jax.Array) -> tuple[PyTree, PyTree]:
        """See `SingleEnvironment.reset`."""
        state = self.environment.reset(key)
        return state, self._observation(state)

    def step(self, state: PyTree, action: jax.Array, key: jax.Array) -> tuple[PyTree, PyTree, Any, Any, Any]:
        """See `SingleEnvironment.step`. Brax-style environments carry their own randomness, so `key` is not used."""
        reward: Any = 0.0
        for _ in range(self.action_repeat):
            state = self.environment.step(state, action)
            reward = reward + state.reward
        return state, self._observation(state), reward, state.done > 0.5, False

    def _observation(self, state: PyTree) -> PyTree:
        part = isinstance(state.obs, Mapping) and not self._whole
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), state.obs["state"] if part else state.obs)
