"""The numbers of an agent: leaves of its state, checked before they become so."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.errors import require
from jaxq.schedules import LinearSchedule
from jaxq.types import PyTree

POSITIVE = 1e-30  # the low end of an interval that excludes zero
INFINITY = float("inf")


def within(low: float, high: float, default: Any = dataclasses.MISSING) -> Any:
    """A field of `Hyperparameters` whose number, or both ends of whose schedule, lie in this closed interval."""
    return struct.field(default=default, metadata={"within": (low, high)})


class Hyperparameters(struct.PyTreeNode):
    """Base of the numbers of every agent.

    Raises:
      InputError: naming the first number that is outside its field's interval, or NaN. Arrays are not looked at: inside
        a compiled program nothing can be raised any more.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "within" in field.metadata:
                value = getattr(self, field.name)
                ends = {field.name: value}
                if isinstance(value, LinearSchedule):
                    ends = {field.name: value.initial, f"{field.name}_final": value.final}
                require_in(*field.metadata["within"], **{k: v for k, v in ends.items() if isinstance(v, int | float)})


def require_in(low: float, high: float, **fields: Any) -> None:
    """Check numbers.

    Args:
      low, high: the closed interval allowed.
      fields: numbers by name.

    Raises:
      InputError: naming the first that is outside, or NaN.
    """
    for name, value in fields.items():
        allowed = "positive" if low == POSITIVE and high == INFINITY else f"in [{low:g}, {high:g}]"
        require(low <= value <= high, name, value, allowed)


def as_leaves(hyperparameters: PyTree) -> PyTree:
    """Hyperparameters as arrays, so that each member of a population can have its own and none is compiled in."""
    return jax.tree.map(jnp.float32, hyperparameters)
