"""From a configuration to the training of its members: as one program, or as several."""

import contextlib
import contextvars
import dataclasses
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxq import envs
from jaxq.configs import DRIVER_FIELDS, Member, Population, Run, in_words
from jaxq.errors import InputError, InputWarning, require
from jaxq.training import Training
from jaxq.training.numbers import Numbers, differences, numbers_at_first, numbers_of, stacked

ConfigT = TypeVar("ConfigT", bound=Run)
Build = Callable[[ConfigT], Training]


def member_keys(config: Run) -> jax.Array:
    """[N] the key of each member."""
    return jax.vmap(jax.random.key)(np.array([member.seed for member in config.all_members]))


class Assembly(NamedTuple):
    """The training of all members of a configuration.

    Attributes:
      training: of all.
      numbers: each one's.
      others: trainings made for other members, between them with another value than `training` of every number that
        differs: the program of each must be the same.
    """

    training: Training
    numbers: Numbers
    others: list[Training]


def assemble(build: Build[ConfigT], config: ConfigT) -> Assembly:
    """The training of all members of a configuration.

    Raises:
      InputError: if members differ in what is compiled in, naming the fields; or for what `build` refuses.
    """
    trainings = _built(build, config)
    first = trainings[0]
    for member, training in zip(config.all_members, trainings, strict=True):
        where = differences(first, training)
        if where or _driven(config.all_members[0]) != _driven(member):
            fields = _static_fields(build, config, member)
            values = {name: member.setting.get(name, getattr(config, name)) for name in fields}
            require(False, ", ".join(fields) or where[0], values, "the same for all members of one program")
    numbers = stacked([numbers_of(training) for training in trainings])
    unseen = {path for path, values in numbers.items() if (values != values[0]).any()}
    others = []
    for i, training in enumerate(trainings):
        seen = {path for path in unseen if numbers[path][i] != numbers[path][0]}
        if seen:
            others.append(training)
            unseen -= seen
    return Assembly(first, numbers, others)


def programs(build: Build[ConfigT], config: ConfigT) -> list[ConfigT]:
    """A configuration whose members differ in anything, as configurations each of which is one program.

    What all members of a program have in common is its configuration's; only numbers in which they differ stay the
    members' own.

    Raises:
      InputError: for what `build` refuses.
    """
    if not config.population:
        return [config]
    groups: list[tuple[Training, tuple[Any, ...], list[Member]]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # each run says them when it begins
        trainings = _built(build, config)
    for member, training in zip(config.all_members, trainings, strict=True):
        for one, driven, members in groups:
            if driven == _driven(member) and not differences(one, training):
                members.append(member)
                break
        else:
            groups.append((training, _driven(member), [member]))
    return [config.with_population(tuple(members)) for *_, members in groups]


class Renumbering:
    """The numbers of members whose settings change while they are trained; each of those is tried once.

    Args:
      build, config: of the run.
      training: with which all members must remain one program.

    Raises:
      InputError: if copies are to have other numbers in a field that acts only where a member begins.
    """

    def __init__(self, build: Build[ConfigT], config: ConfigT, training: Training):
        self._build: Build[Any] = build
        self._config, self._training = config, training
        self._known: dict[str, dict[str, float] | None] = {}
        controller = config.make_controller()
        if controller is not None and not controller.begins_anew:
            self._require_lasting(numbers_at_first(training))

    def apart(self) -> Training:
        """The training of the run once more, with environments that are not the run's."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            return contextvars.Context().run(self._build, self._config)

    def allows(self, setting: Mapping[str, Any]) -> bool:
        """Whether a member can have this setting."""
        return self._numbers(setting) is not None

    def numbers(self, members: Population) -> Numbers:
        """The numbers of members.

        Raises:
          InputError: for a setting that a member cannot have.
        """
        found = []
        for member in members:
            if (numbers := self._numbers(member.setting)) is None:
                allowed = "settings with which all members are one program"
                raise InputError(f"population has {in_words(member.setting)}, but must be of {allowed}", "population")
            found.append(numbers)
        return stacked(found)

    def lengthened(self, members: Population, total_steps: int) -> Numbers:
        """The numbers of members that would be others in a run of so many steps: where schedules end."""
        now = self.numbers(members)
        shorter = dataclasses.replace(self._config, total_steps=total_steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            then = _built(self._build, shorter.with_population(members))
        before = stacked([numbers_of(training) for training in then])
        return {path: values for path, values in now.items() if not np.array_equal(values, before.get(path, values))}

    def _require_lasting(self, at_first: set[str]) -> None:
        """Refuse fields in which members differ and that end in no number but these."""
        acts = "left out with --controller pbt: it acts only where a member begins, and pbt's are copies"
        for name, (values, moved) in self._moved().items():
            require(not moved or not moved <= at_first, name, values, acts)

    def fields_of(self, paths: Collection[str]) -> list[str]:
        """The fields in which members differ and that move any of these numbers."""
        return [name for name, (_, moved) in self._moved().items() if not moved.isdisjoint(paths)]

    def _moved(self) -> dict[str, tuple[list[Any], set[str]]]:
        """By fields in which members differ: the values, and the paths of the numbers that they move."""
        members, config = self._config.all_members, self._config
        by_field = {}
        for name in sorted({name for member in members for name in member.setting}):
            values = list(dict.fromkeys(member.setting.get(name, getattr(config, name)) for member in members))
            found = [self._numbers({**members[0].setting, name: value}) or {} for value in values]
            by_field[name] = values, {p for one in found for p, number in one.items() if number != found[0].get(p)}
        return by_field

    def _numbers(self, setting: Mapping[str, Any]) -> dict[str, float] | None:
        words = repr(sorted(setting.items()))
        if words not in self._known:
            self._known[words] = None
            with contextlib.suppress(InputError), warnings.catch_warnings():
                warnings.simplefilter("ignore", InputWarning)
                training = self._build(self._config.with_setting(setting))
                if not differences(self._training, training):
                    self._known[words] = numbers_of(training)
        return self._known[words]


def _built(build: Build[ConfigT], config: ConfigT) -> list[Training]:
    """Each member's training, of which those of one setting are one."""
    found: list[tuple[dict[str, Any], Training]] = []
    trainings = []
    with envs.shared():
        for member in config.all_members:
            training = next((t for setting, t in found if setting == member.setting), None)
            if training is None:
                with warnings.catch_warnings():
                    if found:  # the first has said it
                        warnings.simplefilter("ignore", InputWarning)
                    training = build(config.with_setting(member.setting))
                found.append((dict(member.setting), training))
            trainings.append(training)
    return trainings


def _driven(member: Member) -> tuple[Any, ...]:
    """What a member has otherwise of how runs are driven, which members of a program cannot."""
    return tuple(sorted((k, v) for k, v in member.setting.items() if k in DRIVER_FIELDS))


def _static_fields(build: Build[ConfigT], config: ConfigT, member: Member) -> list[str]:
    """The fields in which a member differs from the first by what is compiled in."""
    first = config.all_members[0].setting
    names = [k for k in sorted({*member.setting, *first}) if member.setting.get(k) != first.get(k)]
    found = []
    with envs.shared():
        for name in names:
            values = [setting.get(name, getattr(config, name)) for setting in (first, member.setting)]
            one, other = (build(config.with_setting({**first, name: value})) for value in values)
            if name in DRIVER_FIELDS or differences(one, other):
                found.append(name)
    return found
