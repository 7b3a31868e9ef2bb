"""Environments by name, `backend/Name`: making them, listing them, and telling what domain one belongs to."""

import contextlib
import contextvars
import copy
import dataclasses
import difflib
import functools
import importlib
import importlib.util
import inspect
import sys
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxq import platforms
from jaxq.envs import brax_backend, envpool_backend, gymnax_backend, tabular_backend
from jaxq.envs.base import Batched, Continuous, Discrete, Environment, Pooled, SingleEnvironment
from jaxq.errors import InputError, require


@dataclasses.dataclass(frozen=True)
class Backend:
    """What the registry needs of a backend.

    Attributes:
      names: all environments it has; raises InputError naming the extra if it is not installed.
      make: `(name, num_envs, seed, **options) -> Environment`.
      describe: `(name) -> (observation_spec, action_spec, max_episode_steps)`.
    """

    names: Callable[[], list[str]]
    make: Callable[..., Environment]
    describe: Callable[[str], tuple[Any, Any, int]]


Resets = Literal["full", "pool"]

# Brax and Playground environments, whose resets compute physics, come with a pool from so many on; of others a reset
# is cheaper than keeping books. `benchmarks/resets.py` measures it.
POOL_FROM = 32


def _batched(single: SingleEnvironment, num_envs: int, resets: Resets | None) -> Batched:
    if resets is None:
        many = isinstance(single, brax_backend.BraxEnvironment) and num_envs >= POOL_FROM
        resets = "pool" if many else "full"
    kinds: dict[str, type[Batched]] = {"full": Batched, "pool": Pooled}
    require(resets in kinds, "resets", resets, f"one of {', '.join(kinds)}")
    return kinds[resets](single, num_envs)


def _kept(make_single: Callable[..., SingleEnvironment]) -> Callable[..., SingleEnvironment]:
    """The same, every environment made once: training and evaluation have in common what is traced of it."""

    @functools.lru_cache(maxsize=8)
    def kept(platform: platforms.Platform, name: str, **options: Any) -> SingleEnvironment:
        del platform  # which back ends ask for
        return make_single(name, **options)

    def make(name: str, **options: Any) -> SingleEnvironment:
        hashable = all(isinstance(value, Hashable) for value in options.values())
        return kept(platforms.current(), name, **options) if hashable else make_single(name, **options)

    return make


def _functional(
    names: Callable[[], list[str]],
    make_single: Callable[..., SingleEnvironment],
    make_to_describe: Callable[[str], SingleEnvironment] | None = None,
) -> Backend:
    def make(
        name: str, num_envs: int, seed: int | Sequence[int], resets: Resets | None = None, **options: Any
    ) -> Environment:
        del seed  # These environments are seeded by the keys given to `reset`.
        try:
            single = make_single(name, **options)
        except TypeError as error:
            if not options or (name in OWN and "keyword argument" not in str(error)):  # it is an error within
                raise
            raise InputError(f"options of {name} are {options!r}, which it does not take: {error}") from None
        return _batched(single, num_envs, resets)

    def describe(name: str) -> tuple[Any, Any, int]:
        single = (make_to_describe or make_single)(name)
        return single.observation_spec, single.action_spec, single.max_episode_steps

    return Backend(names, make, describe)


BACKENDS: dict[str, Backend] = {
    "gymnax": _functional(gymnax_backend.names, _kept(gymnax_backend.make_single)),
    "envpool": Backend(envpool_backend.names, envpool_backend.make, envpool_backend.specs),
    "brax": _functional(brax_backend.brax_names, _kept(brax_backend.make_brax)),
    "playground": _functional(
        brax_backend.playground_names, _kept(brax_backend.make_playground), brax_backend.describe_playground
    ),
    "tabular": _functional(tabular_backend.names, _kept(tabular_backend.make_single)),
}


def split_name(name: str) -> tuple[str, str]:
    """`backend/Name` as a pair, checked to be a known backend and an environment that it has.

    `module:Object` and `path/to/file.py:Object` are environments of your own, registered as they are named.

    Raises:
      InputError: naming the near misses.
    """
    if ":" in name:
        return "own", _registered_by_path(name)
    require(not name.endswith(".py"), "env", name, f"with the class or object that it names: {name}:Name")
    backend, slash, task = name.partition("/")
    allowed = ", ".join(BACKENDS)
    if not (slash and task):
        near = _near_names(name)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InputError(f"env is {name!r}, but must be backend/Name with a backend of {allowed}{hint}")
    require(backend in BACKENDS, "env", name, f"backend/Name with a backend of {allowed}")
    known = BACKENDS[backend].names()
    if task not in known:
        by_lowercase = {other.lower(): other for other in known}
        near = difflib.get_close_matches(task.lower(), by_lowercase, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(f'{backend}/{by_lowercase[n]}' for n in near)}?" if near else ""
        raise InputError(f"env is {name!r}, which {backend} does not have{hint} (see: jaxq envs --backend {backend})")
    return backend, task


def environment_seeds(
    seeds: Sequence[int], envs_per_member: int, *, purpose: str = "training", resumption: int = 0
) -> list[int]:
    """A seed for each environment of back ends whose randomness lives outside JAX.

    They depend on the member's own seed alone, and members of other seeds have none of them: numbers one apart, as
    pools count by themselves, would give neighbouring seeds all environments but one in common.

    Args:
      seeds: of the N members.
      envs_per_member: E.
      purpose: training or evaluation, which share none.
      resumption: how often the run has been resumed, so that it does not replay its first episodes.

    Returns:
      N * E numbers below 2^31.
    """
    code = zlib.crc32(purpose.encode())

    def of(seed: int) -> list[int]:
        words = np.random.SeedSequence([seed, code, resumption]).generate_state(envs_per_member)
        return [int(word) % (2**31 - 1) for word in words]

    return [one for seed in seeds for one in of(seed)]


def _near_names(task: str) -> list[str]:
    """What a name without a backend may mean; of the back ends that list their names quickly."""
    found = []
    for backend in ("gymnax", "envpool", "tabular"):
        try:
            known = {name.lower(): name for name in BACKENDS[backend].names()}
        except InputError:  # it is not installed
            continue
        if match := difflib.get_close_matches(task.lower(), known, n=1, cutoff=0.8):
            found.append(f"{backend}/{known[match[0]]}")
    return found


def make(name: str, num_envs: int, *, seed: int | Sequence[int] = 0, **options: Any) -> Environment:
    """Make a batch of environments.

    Args:
      name: `backend/Name`, as `jaxq envs` lists them.
      num_envs: B, the size of the flat batch.
      seed: of back ends whose randomness lives outside JAX (EnvPool), one for all or one for each environment
        (`environment_seeds`); the others are seeded by the keys of `reset`.
      options: `resets`, of all but EnvPool, which resets by itself: `full` computes a reset of the whole batch whenever
        an episode ends, `pool` some of them ahead (`Pooled`); the episodes are the same. Many environments of Brax and
        Playground have a pool unless told otherwise. Other options are passed to the backend: `episodic_life` (EnvPool
        Atari), `backend` (Brax), `impl` (Playground) ... With `whole` dictionaries of observations stay the trees that
        they are; without, EnvPool's become one vector, and of Brax's and Playground's `state` alone is seen.

    Raises:
      InputError: unknown name, backend not installed (naming the extra), or options the backend does not take.
    """
    require(num_envs >= 1, "num_envs", num_envs, "at least 1")
    backend, task = split_name(name)
    made, request = _made.get(), repr((name, num_envs, seed, options))
    if made is None:
        return BACKENDS[backend].make(task, num_envs, seed, **options)
    if request not in made:
        made[request] = BACKENDS[backend].make(task, num_envs, seed, **options)
    return made[request]


_made: contextvars.ContextVar[dict[str, Environment] | None] = contextvars.ContextVar("made", default=None)


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Within this context environments made by the same words are one: for several builds, of which one is to run."""
    made = _made.get()
    token = _made.set({} if made is None else made)
    try:
        yield
    finally:
        _made.reset(token)


def from_object(
    environment: Any, num_envs: int, params: Any = None, resets: Resets | None = None, **options: Any
) -> Environment:
    """A batch of your own environment object, written in the style of gymnax or of Brax.

    gymnax style: `reset_env(key, params)`, `step_env(key, state, action, params)` and `action_space(params)`, a space
    being any object with `n`, or with `low`, `high` and `shape`.
    Brax style: `reset(key)`, `step(state, action)` with `.obs`, `.reward` and `.done` in its state, and `action_size`.
    A `SingleEnvironment` is taken as it is. `resets` is as of `make`. `options` go to `GymnaxEnvironment` or
    `BraxEnvironment`, whose docstrings say what the object needs: `name`, and `max_episode_steps` for the latter.

    Raises:
      InputError: if the object is of none of these styles, or lacks something.
    """
    require(num_envs >= 1, "num_envs", num_envs, "at least 1")
    return _batched(_single(environment, params, **options), num_envs, resets)


def _single(environment: Any, params: Any = None, **options: Any) -> SingleEnvironment:
    if hasattr(environment, "step_env") or hasattr(environment, "reset_env"):
        return gymnax_backend.own(environment, params, **options)
    if hasattr(environment, "action_size") and hasattr(environment, "step"):
        return brax_backend.BraxEnvironment(environment, **options)
    if all(hasattr(environment, name) for name in ("observation_spec", "action_spec", "reset", "step")):
        return environment
    of_gymnasium = all(hasattr(environment, name) for name in ("observation_space", "action_space", "reset", "step"))
    bridge = "; for those in Gymnasium's style, which step in Python, docs/add-backend.md has a bridge"
    raise InputError(
        f"environment is a {type(environment).__name__}, but must have reset_env and step_env (gymnax style), reset, "
        f"step and action_size (Brax style), or what SingleEnvironment asks for{bridge if of_gymnasium else ''}"
    )


OWN: dict[str, Callable[[], Any]] = {}


def register(name: str, make_environment: Callable[[], Any]) -> None:
    """Give an environment of your own a name, `own/NAME`, by which scripts know it like any other.

    Args:
      name: without a slash.
      make_environment: makes the object, of a style that `from_object` takes.

    Raises:
      InputError: for a name with a slash, or one that is taken.
    """
    require("/" not in name and bool(name), "name", name, "a name without a slash")
    require(name not in OWN, "name", name, f"none of those that are registered ({', '.join(OWN)})")
    OWN[name] = make_environment


def _own(name: str, **options: Any) -> SingleEnvironment:
    needed = [one.name for one in inspect.signature(OWN[name]).parameters.values() if _is_needed(one)]
    allowed = f"made without arguments, and this wants {', '.join(needed)}: name an object, or a function that makes it"
    require(not needed, "env", name, allowed)
    single: Any = copy.copy(_single(OWN[name](), **options))  # which may be a thing of theirs
    single.name = f"own/{name.rpartition(':')[2]}"
    return single


def _is_needed(one: inspect.Parameter) -> bool:
    return one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)


BACKENDS["own"] = _functional(lambda: list(OWN), _own)


@functools.cache
def _registered_by_path(name: str) -> str:
    """`module:Object`, or `path/to/file.py:Object`, registered as it stands: an environment, its class, or its maker.

    Raises:
      InputError: if the module cannot be imported, or has no such object.
    """
    place, _, attribute = name.rpartition(":")
    # Its neighbours can be imported, as those of a script can.
    folder = str((Path(place).parent if place.endswith(".py") else Path()).resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        if place.endswith(".py"):
            # No other module has this name, whatever the file is called.
            spec = importlib.util.spec_from_file_location(f"jaxq_own_{zlib.crc32(place.encode())}", place)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # dataclasses look their module up
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except (ImportError, OSError, SyntaxError) as error:
        raise InputError(f"env is {name!r}, of which {place} cannot be imported: {error}") from None
    if not hasattr(module, attribute):
        raise InputError(f"env is {name!r}, but {place} has no {attribute}")
    found = getattr(module, attribute)
    OWN[name] = found if callable(found) else lambda: found
    return name


DOMAINS = ("tabular", "classic", "pendulum", "minatar", "atari", "images", "control", "other")

# By back end, and of EnvPool's by family. What gymnax has beside MinAtar is as small as classic control, and so, most
# often, is an environment of one's own.
_DOMAIN_OF = {
    "tabular": "tabular",
    **dict.fromkeys(("gymnax", "own", "classic_control", "toy_text"), "classic"),
    "atari": "atari",
    **dict.fromkeys(("procgen", "vizdoom", "gfootball"), "images"),
    **dict.fromkeys(("brax", "playground", "mujoco"), "control"),
}


def domain(name: str) -> str:
    """The kind of task a name belongs to, by which experiments choose defaults: one of `DOMAINS`.

    `classic` is classic control and what is as small, but for `pendulum`, whose returns are like no other's; `images`
    are pictures of other games than Atari's; `control` is robots; `other` is whatever is none of these.
    """
    backend, task = split_name(name)
    family = envpool_backend.family(task) if backend == "envpool" else backend
    if family == "gymnax" and task.endswith("-MinAtar"):
        return "minatar"
    if family in ("gymnax", "classic_control") and task.rpartition("/")[2].startswith("Pendulum-"):
        return "pendulum"
    if family == "box2d" and task.startswith("CarRacing-"):
        return "images"
    return _DOMAIN_OF.get(family.partition(".")[0], "other")


def require_discrete(environment: Environment) -> Discrete:
    """The action spec of an environment that must have discrete ones.

    Raises:
      InputError: if it does not.
    """
    spec = environment.action_spec
    if not isinstance(spec, Discrete):
        raise InputError(
            f"env is {environment.name!r} with continuous actions {spec}, but this agent needs discrete ones"
        )
    return spec


def require_continuous(environment: Environment) -> Continuous:
    """The action spec of an environment that must have continuous ones.

    Raises:
      InputError: if it does not.
    """
    spec = environment.action_spec
    if not isinstance(spec, Continuous):
        raise InputError(f"env is {environment.name!r} with {spec}, but this agent needs continuous ones")
    return spec
