"""Who is trained: the members of a population, each with a seed and with numbers of its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxq.configs.axis import from_plain


@dataclasses.dataclass(frozen=True)
class Member:
    """One member.

    Attributes:
      seed: of all its randomness.
      setting: by name, the fields of the configuration that it has otherwise than the configuration says.
    """

    seed: int
    setting: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is written into files: its fields beside its seed."""
        return {"seed": self.seed, **self.setting}

    def __str__(self) -> str:
        """Its seed and its fields, in words."""
        return in_words(self.to_json())

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Member":
        """What `to_json` made, also where it has been a file since."""
        return cls(int(values["seed"]), {k: from_plain(v) for k, v in values.items() if k != "seed"})


def in_words(fields: Mapping[str, Any]) -> str:
    """Fields of members and their values as a line has them."""
    return ", ".join(f"{name} {value}" for name, value in fields.items())


Population = tuple[Member, ...]


def grid(settings: Mapping[str, list[Any]], seeds: range) -> Population:
    """Every combination of some fields' values, each with every seed; the seeds change fastest.

    Args:
      settings: by field, its values.
      seeds: of each combination.
    """
    found: list[dict[str, Any]] = [{}]
    for name, values in settings.items():
        found = [{**setting, name: value} for setting in found for value in values]
    return tuple(Member(seed, setting) for setting in found for seed in seeds)
