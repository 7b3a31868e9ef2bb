"""What all axes of a configuration have in common, and which of its fields a program reads."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from jaxq.errors import require

ConfigT = TypeVar("ConfigT")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """Base of the axes that an experiment's Config is a list of.

    An axis holds its fields, their checks, and the functions named `make_...` that make its objects. Whole numbers are
    counts and sizes, so they must be at least 1, but for those that a class names in `UNRESTRICTED`, which whoever uses
    them checks. No number may be NaN, and widths are those of one layer or more.
    """

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        unrestricted = {name for kind in type(self).__mro__ for name in vars(kind).get("UNRESTRICTED", ())}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(value != () or not field.name.endswith("widths"), field.name, "nothing", "a width or more")
            each, numbers = ("each ", value) if isinstance(value, tuple) else ("", (value,))
            for number in numbers:
                if isinstance(number, float):
                    require(not math.isnan(number), field.name, value, "a number, which nan is not")
                elif isinstance(number, int) and not isinstance(number, bool) and field.name not in unrestricted:
                    require(number >= 1, field.name, value, f"{each}at least 1")


def from_plain(value: Any) -> Any:
    """A field's value that was written as JSON or YAML, which know lists alone; fields have tuples."""
    return tuple(from_plain(part) for part in value) if isinstance(value, list) else value


def recording(config: ConfigT) -> tuple[ConfigT, set[str]]:
    """A copy of a configuration, and the set into which it writes the names of its fields as they are read."""
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    read: set[str] = set()

    def getattribute(self: Any, name: str) -> Any:
        if name in names:
            read.add(name)
        return object.__getattribute__(self, name)

    kind: Any = type(type(config).__name__, (type(config),), {"__getattribute__": getattribute})
    copy = object.__new__(kind)
    copy.__dict__.update(vars(config))
    return copy, read


def build_and_tell(build: Callable[[ConfigT], Any], config: ConfigT) -> tuple[Any, set[str]]:
    """What `build` makes of a configuration, and the fields that it read."""
    copy, read = recording(config)
    return build(copy), read
