"""What a sweep looks through: a file that names fields of a script, and the values that each can take.

    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
    n_step: {choices: [1, 3, 5]}

A range of numbers has a `low` and a `high`, and may be looked through by its logarithm (`log`) or in steps (`step`); a
grid takes every step, or where there are none `count` points of it. Everything else is a list of `choices`.
"""

import dataclasses
import difflib
import itertools
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial

from jaxq import envs
from jaxq.configs import DRIVER_FIELDS, NOT_BY_MEMBER, Run, build_and_tell, from_plain
from jaxq.errors import InputError, InputWarning, require
from jaxq.runs.fields import kinds_of

RANGE = {"low", "high", "log", "step", "count"}
GRID_COUNT = 5  # points of a range, unless it says


@dataclasses.dataclass(frozen=True)
class Dimension:
    """The values that a field can take.

    Attributes:
      name: of the field.
      distribution: as Optuna sees it; choices that are lists are JSON there.
      count: points of it in a grid; None for all its steps.
    """

    name: str
    distribution: BaseDistribution
    count: int | None

    @property
    def is_range(self) -> bool:
        """Whether it is one of numbers."""
        return not isinstance(self.distribution, CategoricalDistribution)

    def value(self, told: Any) -> Any:
        """The field's value that Optuna's stands for."""
        listed = isinstance(told, str) and told.startswith("[")
        return from_plain(json.loads(told)) if listed else told

    def points(self) -> list[Any]:
        """Those of a grid, as Optuna's values."""
        own: Any = self.distribution
        if not self.is_range:
            return list(own.choices)
        if self.count is None:
            steps = round((own.high - own.low) / own.step)  # Optuna has moved the end to one of them
            return [own.low + i * own.step for i in range(steps)] + [own.high]
        between = np.geomspace if own.log else np.linspace
        found = between(own.low, own.high, self.count).tolist()
        whole = isinstance(own, IntDistribution)
        return list(dict.fromkeys(round(x) if whole else min(max(x, own.low), own.high) for x in found))


Space = tuple[Dimension, ...]


def read_space(path: Path, config_class: type[Run]) -> Space:
    """The space that a file describes.

    Args:
      path: of a YAML file.
      config_class: of the script.

    Raises:
      InputError: for a file that cannot be read, a field that the script does not have or that members share, and
        values that the field cannot take.
    """
    try:
        described = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"space is '{path}', which cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"space is '{path}', which is no YAML: {' '.join(str(error).split())[:150]}") from None
    good = isinstance(described, dict) and bool(described)
    require(good, "space", str(path), "a file of fields, each with {low, high} or {choices}")
    return tuple(_dimension(str(name), values, config_class) for name, values in described.items())


def _dimension(name: str, values: Any, config_class: type[Run]) -> Dimension:
    known = [field.name for field in dataclasses.fields(config_class) if field.name not in NOT_BY_MEMBER]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    require(name in known, "space", name, f"a field of the script in which members can differ{hint}")
    kinds = kinds_of(config_class, name)
    numeric = any(kind in (int, float) for kind in kinds)
    if isinstance(values, dict) and set(values) == {"choices"} and isinstance(values["choices"], list):
        require(bool(values["choices"]), f"space: {name}", values, "{choices: [one or more values]}")
        return Dimension(name, CategoricalDistribution([_told(choice) for choice in values["choices"]]), GRID_COUNT)
    shaped = isinstance(values, dict) and {"low", "high"} <= set(values) <= RANGE
    require(shaped, f"space: {name}", values, "{low: ..., high: ...}, with log or step if wanted, or {choices: [...]}")
    require(numeric, f"space: {name}", values, "{choices: [...]}: the field is not one number")
    count = values.get("count", GRID_COUNT)
    several = isinstance(count, int) and not isinstance(count, bool) and count >= 1
    require(several, f"space: {name}, count", count, "a whole number of at least 1")
    stepped = values.get("step") is not None
    require(not stepped or "count" not in values, f"space: {name}, count", count, "left out beside a step")
    return Dimension(name, _range(name, values, float in kinds), None if stepped else count)


def _told(choice: Any) -> Any:
    """A choice as Optuna stores it."""
    return json.dumps(choice) if isinstance(choice, list) else choice


def _range(name: str, values: Mapping[str, Any], real: bool) -> BaseDistribution:
    kind: type = float if real else int
    numbers: dict[str, Any] = {}
    for end in ("low", "high", "step"):
        number = values.get(end)
        whole = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        whole = whole and (real or number == int(number))  # type: ignore[arg-type]
        allowed = "a number (in YAML 1.0e-4 and not 1e-4)" if real else "a whole number"
        require(number is None or whole, f"space: {name}, {end}", number, allowed)
        numbers[end] = None if number is None else kind(number)
    log = bool(values.get("log", False))
    require(numbers["low"] is not None, f"space: {name}, low", None, "a number")
    require(numbers["high"] is not None, f"space: {name}, high", None, "a number")
    try:
        if real:
            return FloatDistribution(numbers["low"], numbers["high"], log=log, step=numbers["step"])
        return IntDistribution(numbers["low"], numbers["high"], log=log, step=numbers["step"] or 1)
    except ValueError as error:
        raise InputError(f"space: {name} is {dict(values)}: {' '.join(str(error).split())[:150]}") from None


def setting_of(trial: Trial | FrozenTrial, build: Any, config: Run) -> dict[str, Any]:
    """A trial's fields, without those that have no effect beside the others.

    Args:
      trial: asked of a study.
      build: of the script.
      config: of the sweep, of all that the trial does not say.

    Raises:
      InputError: if the script does not take them.
    """
    told = trial.params.items()
    setting = {name: Dimension(name, trial.distributions[name], GRID_COUNT).value(value) for name, value in told}
    with warnings.catch_warnings(), envs.shared():
        warnings.simplefilter("ignore", InputWarning)
        _, read = build_and_tell(build, config.with_setting(setting))
    return {name: value for name, value in setting.items() if name in read or name in DRIVER_FIELDS}


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of the points of all dimensions, as Optuna's values."""
    for values in itertools.product(*(dimension.points() for dimension in space)):
        yield {dimension.name: value for dimension, value in zip(space, values, strict=True)}


def ends(space: Space) -> Iterator[tuple[str, Any]]:
    """The values by which it can be seen whether a script takes a dimension: the ends of ranges, and all choices."""
    for dimension in space:
        own: Any = dimension.distribution
        for value in (own.low, own.high) if dimension.is_range else own.choices:
            yield dimension.name, dimension.value(value)
