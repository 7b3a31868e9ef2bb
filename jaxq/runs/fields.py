"""Which fields of a script members of one program can differ in: found by building with another value and comparing."""

import dataclasses
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

from jaxq import envs
from jaxq.configs import DRIVER_FIELDS, Run
from jaxq.errors import InputError, InputWarning
from jaxq.runs.population import Build, ConfigT
from jaxq.training import Training
from jaxq.training.numbers import differences, numbers_of

TRIED: dict[type, tuple[Any, ...]] = {float: (0.5, 0.25, 0.9, 2.0, 20.0), int: (2, 3, 1, 16, 1000)}


def kinds_of(config_class: type[Run], name: str) -> tuple[Any, ...]:
    """The types of a field that takes one value: `int`, `float`, `None`, or its choices; empty for all others."""
    hint = typing.get_type_hints(config_class)[name]
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return kinds if all(kind in (int, float, type(None)) for kind in kinds) else ()


def fields_by_member(build: Build[ConfigT], config: ConfigT) -> list[str]:
    """The fields that end as numbers of the agent or its replay, under some choice of the script's others.

    Args:
      build: of the script.
      config: whose other choices stand; those that a field has no effect beside are made otherwise.

    Returns:
      Their names; none where nothing can be built, as of an agent for images in an environment without them.
    """
    with envs.shared(), warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        variants = [(variant, training) for variant in _variants(config) if (training := _tried(build, variant))]
        if not variants:
            return []
        return [
            field.name
            for field in dataclasses.fields(config)
            if field.name not in DRIVER_FIELDS and _is_number(build, variants, field.name)
        ]


def _is_number(build: Build[ConfigT], variants: list[tuple[ConfigT, Training]], name: str) -> bool:
    """Whether the first variant in which a field has an effect has it in numbers alone."""
    kinds = kinds_of(type(variants[0][0]), name)
    for config, training in variants if float in kinds or int in kinds else ():
        one = training
        if getattr(config, name) is None:
            found = _with_another(build, config, name)
            if found is None:
                continue
            config, one = found
        other = _with_another(build, config, name)
        if other is None:
            continue
        if differences(one, other[1]):
            return False
        if numbers_of(one) != numbers_of(other[1]):
            return True
    return False


def _with_another(build: Build[ConfigT], config: ConfigT, name: str) -> tuple[ConfigT, Training] | None:
    """The same with a value of a field that is another number; None if it allows none of those that are tried."""
    value, kinds = getattr(config, name), kinds_of(type(config), name)
    tried: tuple[Any, ...] = TRIED[float if float in kinds else int]
    if value is not None:
        near = (0.5 * value, 0.9 * value, 2 * value)
        tried = (*(near if float in kinds else (value + 1, 2 * value, value // 2)), *tried)
    for another in tried:
        if another == value:
            continue
        try:
            changed = dataclasses.replace(config, **{name: another})
            return changed, build(changed)
        except InputError:
            continue
    return None


def _variants(config: ConfigT) -> Iterator[ConfigT]:
    """A configuration, and those that make one of its choices otherwise."""
    yield config
    for field in dataclasses.fields(config):
        kinds = kinds_of(type(config), field.name)
        if field.name in DRIVER_FIELDS or not kinds:
            continue
        if isinstance(kinds[0], str):
            choices: tuple[Any, ...] = kinds
        else:
            choices = TRIED[float if float in kinds else int] if getattr(config, field.name) is None else ()
        for choice in choices:
            if choice != getattr(config, field.name):
                yield dataclasses.replace(config, **{field.name: choice})


def _tried(build: Build[ConfigT], config: ConfigT) -> Training | None:
    try:
        return build(config)
    except InputError:
        return None
