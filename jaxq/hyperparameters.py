"""The numbers of an agent and of what it is put together from: leaves of its state, checked before they become so."""

import functools
import typing
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.errors import require
from jaxq.schedules import CosineSchedule, LinearSchedule
from jaxq.types import PyTree

POSITIVE = 1e-30  # the low end of an interval that excludes zero
BELOW_ONE = 1.0 - 2.0**-24  # the high end of an interval that excludes one
INFINITY = float("inf")
FINITE = float(jnp.finfo(jnp.float32).max)  # the high end of an interval that excludes infinity
# Metadata of a field, also of one in a strategy: the number acts where a member begins, and nothing reads it later.
AT_FIRST = {"at_first": True}
# Metadata of a field of an agent's state: it is of a run, as a count of its steps or a key, and is not learned.
OF_THE_RUN = {"of_the_run": True}


class Within(NamedTuple):
    """The closed interval in which a number, or both ends of its schedule, must lie; an annotation of a field."""

    low: float
    high: float


# Annotations of fields.
Share = Annotated[Any, Within(0.0, 1.0)]
Positive = Annotated[Any, Within(POSITIVE, FINITE)]
NonNegative = Annotated[Any, Within(0.0, FINITE)]
Negative = Annotated[Any, Within(-INFINITY, -POSITIVE)]
BelowOne = Annotated[Any, Within(0.0, BELOW_ONE)]
Clip = Annotated[Any, Within(POSITIVE, INFINITY)]  # to plus or minus this something is clipped, or to nothing
StepSize = Annotated[LinearSchedule, Within(0.0, FINITE)]


@functools.cache
def _intervals(kind: Any) -> dict[str, Within]:
    hints = typing.get_type_hints(kind, include_extras=True)
    found = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {name: interval for name, interval in found.items() if isinstance(interval, Within)}


class Hyperparameters(struct.PyTreeNode):
    """Base of the numbers of every agent, and of strategies and operators that have some.

    Raises:
      InputError: naming the first number that is outside its field's interval, or NaN; of a schedule also its final
        value, `NAME_final`, and its steps, `NAME_steps`. Arrays are not looked at: inside a compiled program nothing
        can be raised any more.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, interval in _intervals(kind).items():
            value = getattr(self, name)
            if isinstance(value, LinearSchedule | CosineSchedule):
                _require_known(*interval, **{name: value.initial, f"{name}_final": value.final})
                _require_known(1, INFINITY, **{f"{name}_steps": value.steps})
            else:
                _require_known(*interval, **{name: value})


def _require_known(low: float, high: float, **fields: Any) -> None:
    require_in(low, high, **{name: value for name, value in fields.items() if isinstance(value, int | float)})


def require_in(low: float, high: float, **fields: Any) -> None:
    """Check numbers.

    Args:
      low, high: the closed interval allowed.
      fields: numbers by name.

    Raises:
      InputError: naming the first that is outside, or NaN.
    """
    for name, value in fields.items():
        ends = f"(0, {high:g}]" if low == POSITIVE else f"[{low:g}, {high:g}]"
        allowed = f"in {ends}" if high != BELOW_ONE else f"in {ends[:-2]}1)"
        if high == -POSITIVE:
            allowed = "negative"
        elif high >= FINITE:
            bounds = {POSITIVE: ["positive"], -FINITE: []}.get(low, [f"{low:g} or more"])
            allowed = " and ".join([*bounds, *(["finite"] if high == FINITE else [])])
        require(low <= value <= high, name, value, allowed)


def as_leaves(hyperparameters: PyTree) -> PyTree:
    """Hyperparameters as arrays, so that each member of a population can have its own and none is compiled in."""
    return jax.tree.map(jnp.float32, hyperparameters)
