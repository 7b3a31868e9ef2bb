"""A training falls apart into its numbers, which members of a population can differ in, and all the rest.

Numbers are those of the pytrees that agents and replays are made of (`Hyperparameters`, schedules, strategies): they
become leaves of the state, so one program serves all of their values. Everything else is compiled in. Nothing here
knows the name of any number: which there are is found by walking through the objects that were put together.
"""

import copy
import dataclasses
import functools
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from flax import struct

from jaxq.hyperparameters import AT_FIRST

ThingT = TypeVar("ThingT")

Numbers = dict[str, np.ndarray]  # by path, [N]


def numbers_of(thing: Any) -> dict[str, float]:
    """The numbers of a training, an agent or a replay, by their paths in it: `agent.hyper.discount`."""
    return dict(_numbers(thing, "", False))


def numbers_at_first(thing: Any) -> set[str]:
    """The paths of those numbers that act only where a member begins (fields with the metadata `AT_FIRST`)."""
    return set(_at_first(thing, ""))


def with_numbers(thing: ThingT, numbers: Mapping[str, Any]) -> ThingT:
    """The same thing with other numbers.

    Args:
      thing: a training, an agent, a replay.
      numbers: by path, as `numbers_of` names them; [] arrays, which may be traced, or floats.
    """
    return _replaced(thing, "", numbers)


def stacked(members: Sequence[Mapping[str, float]]) -> Numbers:
    """The numbers of several members that have the same ones, [N] float32 each."""
    return {path: np.array([member[path] for member in members], np.float32) for path in members[0]}


def differences(one: Any, other: Any) -> list[str]:
    """The paths at which two things differ in more than numbers; where there are none, one program serves both."""
    return list(_differences(one, other, "", False, set()))


def _parts(thing: Any, numeric: bool) -> Iterator[tuple[str, Any, bool]] | None:
    """The parts of a composed thing: name, value, and whether numbers in it are such as members can differ in."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        is_tree = isinstance(thing, struct.PyTreeNode)
        return (
            (field.name, getattr(thing, field.name, None), is_tree and field.metadata.get("pytree_node", True))
            for field in dataclasses.fields(thing)
        )
    if isinstance(thing, Mapping):
        return ((str(name), value, numeric) for name, value in thing.items())
    if isinstance(thing, tuple | list):
        names = getattr(thing, "_fields", range(len(thing)))
        return ((str(name), value, numeric) for name, value in zip(names, thing, strict=True))
    return None


def _is_number(thing: Any) -> bool:
    return isinstance(thing, int | float | np.number) and not isinstance(thing, bool)


def _numbers(thing: Any, path: str, numeric: bool) -> Iterator[tuple[str, float]]:
    if numeric and _is_number(thing):
        yield path, float(thing)
    for name, value, inside in _parts(thing, numeric) or ():
        yield from _numbers(value, _join(path, name), inside)


def _at_first(thing: Any, path: str) -> Iterator[str]:
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    marked = {field.name for field in fields if AT_FIRST.items() <= field.metadata.items()}
    for name, value, numeric in _parts(thing, False) or ():
        place = _join(path, name)
        yield from dict(_numbers(value, place, numeric)) if name in marked else _at_first(value, place)


def _replaced(thing: Any, path: str, numbers: Mapping[str, Any]) -> Any:
    if path in numbers:
        return numbers[path]
    parts = _parts(thing, False)
    if parts is None or not any(name.startswith(f"{path}." if path else "") for name in numbers):
        return thing
    new = {name: _replaced(value, _join(path, name), numbers) for name, value, _ in parts}
    if isinstance(thing, Mapping):
        return type(thing)(zip(thing, new.values(), strict=True))  # type: ignore[call-arg]
    if isinstance(thing, tuple | list):
        return type(thing)(*new.values()) if hasattr(thing, "_fields") else type(thing)(new.values())
    changed = copy.copy(thing)  # without the checks of a new one, which know no arrays
    for name, value in new.items():
        object.__setattr__(changed, name, value)
    return changed


def _differences(one: Any, other: Any, path: str, numeric: bool, seen: set[tuple[int, int, bool]]) -> Iterator[str]:
    if one is other or (numeric and _is_number(one) and _is_number(other)):
        return
    if type(one) is not type(other):
        yield path
        return
    ours, theirs = _inside(one, numeric), _inside(other, numeric)
    if ours is None or theirs is None:
        if not _equal(one, other):
            yield path
    elif [name for name, *_ in ours] != [name for name, *_ in theirs]:
        yield path
    elif (pair := (id(one), id(other), numeric)) not in seen:  # the same may be numbers here, and compiled in there
        seen.add(pair)
        for (name, mine, inside), (_, yours, _) in zip(ours, theirs, strict=True):
            yield from _differences(mine, yours, _join(path, name), inside, seen)


def _inside(thing: Any, numeric: bool) -> list[tuple[str, Any, bool]] | None:
    """What two things of one type are compared by, part by part; None of those that are compared as they are."""
    parts = _parts(thing, numeric)
    if parts is not None:
        return list(parts)
    if isinstance(thing, types.MethodType):
        return [("self", thing.__self__, False), ("function", thing.__func__, False)]
    if isinstance(thing, functools.partial):
        return [("function", thing.func, False), ("args", thing.args, False), ("keywords", thing.keywords, False)]
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        held = zip(thing.__code__.co_freevars, cells, strict=True)
        defaults = [("defaults", thing.__defaults__, False), ("keywords", thing.__kwdefaults__, False)]
        return [("code", thing.__code__, False), *defaults, *((name, value, False) for name, value in held)]
    if hasattr(thing, "__wrapped__"):
        return [("wrapped", thing.__wrapped__, False)]
    if isinstance(thing, type | types.ModuleType | types.CodeType | np.ndarray | jax.Array | str):
        return None
    return [(name, value, False) for name, value in vars(thing).items()] if hasattr(thing, "__dict__") else None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray | jax.Array):
        return one.shape == other.shape and one.dtype == other.dtype and bool(np.all(np.asarray(one) == other))
    return bool(one == other)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
