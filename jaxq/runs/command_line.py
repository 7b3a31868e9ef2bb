"""How a script's command line becomes its Config, and the end of every script."""

import contextlib
import dataclasses
import difflib
import functools
import io
import json
import re
import shlex
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from jaxq import envs
from jaxq.configs import (
    DRIVER_FIELDS,
    NOT_BY_MEMBER,
    PLACE_FIELDS,
    Member,
    Population,
    Run,
    build_and_tell,
    from_plain,
    grid,
)
from jaxq.errors import InputError, clean_errors, require
from jaxq.runs.devices import divide_processors, keep_small_loops_whole
from jaxq.runs.directory import from_json, load_config, require_same
from jaxq.runs.fields import fields_by_member, kinds_of
from jaxq.runs.hosts import connect, leaving_lost_hosts
from jaxq.runs.scripts import experiment
from jaxq.runs.several import train as train_all
from jaxq.training import Training

ConfigT = TypeVar("ConfigT", bound=Run)


def parse(
    config_class: type[ConfigT],
    presets: Mapping[str, Mapping[str, Any]],
    args: Sequence[str] | None = None,
    build: Callable[[ConfigT], Training] | None = None,
    prog: str | None = None,
) -> ConfigT:
    """The Config that a command line asks for.

    Defaults come from the class, then from the preset of the environment's domain (`envs.domain`), or on --resume from
    the run directory. A field that is given several values, `--learning-rate 1e-4 1e-3`, has one for each member.

    Args:
      config_class: the experiment's dataclass.
      presets: for each domain, the fields whose defaults differ.
      args: command line; of the process unless given.
      build: of the script, by which --help tells in what members can differ.
      prog: what --help calls the program; the script's name unless given.

    Raises:
      InputError: for unknown flags and values that are not allowed.
      SystemExit: after --help.
    """
    args = list(sys.argv[1:] if args is None else args)
    args, settings, rows = _without_members(config_class, args)
    given_env = _value_of(args, "env")
    run_dir = _value_of(args, "run-dir")
    if "--resume" in args and run_dir is not None:
        saved, experiment = load_config(Path(run_dir)), sys.modules[config_class.__module__]
        script = Path(getattr(experiment, "__file__", None) or config_class.__module__).stem
        theirs = saved.pop("experiment", script)
        require(theirs == script, "experiment", script, f"{theirs}, as of the run in {run_dir}")
        default = from_json(config_class, {k: v for k, v in saved.items() if k not in PLACE_FIELDS})
    else:
        env = given_env or config_class.env
        default = dataclasses.replace(config_class(env=env), **presets.get(envs.domain(env), {}))
    if {"-h", "--help"} & set(args):
        _tyro(explained(config_class, fields_by_member(build, default) if build else ()), default, args, prog)
    config = _tyro(config_class, default, args, prog)
    if rows is not None:
        require(not settings, "population", rows, f"left out beside several values of {', '.join(settings)}")
        config = config.with_population(_population_in(Path(rows), config))
    elif settings:
        config = config.with_population(grid(settings, range(config.seed, config.seed + config.num_seeds)))
    if config.resume:
        require_same(config, default)
    return config


def _tyro(config_class: type[ConfigT], default: ConfigT, args: list[str], prog: str | None) -> ConfigT:
    """tyro's parser, with its errors as one line."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
            config, unknown = tyro.cli(
                config_class,
                default=default,
                args=args,
                prog=prog,
                description=sys.modules[config_class.__module__].__doc__,
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if not stop.code:
            print(out.getvalue(), end="")
            raise
        raise InputError(_in_our_words(err.getvalue() or out.getvalue(), args)) from None
    if unknown and not unknown[0].startswith("-"):
        places = [i for i, word in enumerate(args) if word == unknown[0]]
        # The same word may stand where it belongs, right after another flag.
        extra = [i for i in places if i > 0 and not args[i - 1].startswith("--")] or places
        before = args[: extra[0]] if extra else []
        flag = next((word.split("=")[0] for word in reversed(before) if word.startswith("--")), None)
        if flag is not None:
            hint = "; several seeds are --num-seeds" if flag == "--seed" else ""
            raise InputError(f"{unknown[0]!r} is one value too many after {flag}{hint}")
    if unknown:
        flags = ["--" + name.replace("_", "-") for name in flags_of(config_class)]
        near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
        hint = f"did you mean {near[0]}?" if near else "see --help"
        raise InputError(f"{unknown[0]} is not a flag of this experiment; {hint}")
    return config


def explained(config_class: type[ConfigT], by_member: Sequence[str]) -> type[ConfigT]:
    """The same class for --help, which marks the fields in which members can differ."""
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    hints = typing.get_type_hints(config_class)
    mark = tyro.conf.arg(help_behavior_hint=lambda default: f"(default: {default}; may differ by member)")
    marked = {name: typing.Annotated[hints[name], mark] for name in by_member}
    marked["population"] = typing.Annotated[Population, _FILE]
    body = {name: fields[name].default for name in marked}
    kind = type(
        config_class.__name__,
        (config_class,),
        {"__annotations__": marked, "__module__": config_class.__module__, **body},
    )
    return dataclasses.dataclass(frozen=True, kw_only=True)(kind)


# What tyro is to make of a flag that is read here, beside it.
_FILE: Any = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="FILE.json",
    instance_from_str=lambda args: (),
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=lambda value: ["none" if not value else f"{len(value)} members"],
)


def _without_members(
    config_class: type[Run], args: Sequence[str]
) -> tuple[list[str], dict[str, list[Any]], str | None]:
    """What is left of a command line without what it says of single members, and that.

    Returns:
      The command line, with the first value alone of those fields that are given several; all values of those; and the
      file that lists the members.
    """
    kept: list[str] = []
    settings: dict[str, list[Any]] = {}
    rows = None
    every = {field.name for field in dataclasses.fields(config_class)}
    names = every - set(NOT_BY_MEMBER)
    i = 0
    while i < len(args):
        end = i + 1
        while end < len(args) and not re.match(r"-[^\d.]", args[end]):
            end += 1
        flag, values = args[i], args[i + 1 : end]
        name, equals, value = flag.removeprefix("--").partition("=")
        name, i = name.replace("-", "_"), end
        if name == "population":
            require(len(values) + bool(equals) == 1, name, " ".join(values), "one file")
            rows = value or values[0]
            continue
        kinds = kinds_of(config_class, name) if name in every else ()
        if flag.startswith("--") and int in kinds and float not in kinds:
            values = [whole(value) for value in values]
            flag = f"--{name.replace('_', '-')}={whole(value)}" if equals else flag
        kinds = kinds if name in names else ()
        if flag.startswith("--") and kinds and len(values) > 1:
            settings[name] = [typed(name, value, kinds) for value in values]
            require(len({*settings[name]}) == len(values), name, " ".join(values), "values that differ")
            values = values[:1]
        kept += [flag, *values]
    return kept, settings, rows


def _population_in(path: Path, config: Run) -> Population:
    """The members that a file lists.

    Raises:
      InputError: for a file that is no such list, or fields and values that members cannot have.
    """
    allowed = "a JSON list of {field: value, ...}, with `seed` where each seed is not meant"
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError) as error:  # no JSON, or no text
        raise InputError(f"population is '{path}', but must be {allowed} ({error})") from None
    good = isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)
    require(good, "population", str(path), allowed)
    seeds = range(config.seed, config.seed + config.num_seeds)
    known = [field.name for field in dataclasses.fields(config) if field.name not in NOT_BY_MEMBER]
    members = []
    for i, row in enumerate(rows):
        for name in set(row) - {"seed"}:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            require(name in known, f"population, member {i}", name, f"a field that members can have of their own{hint}")
        own_kinds = {name: kinds_of(type(config), name) for name in row if name != "seed"}
        setting = {
            name: typed(name, row[name], kinds) if kinds else from_plain(row[name]) for name, kinds in own_kinds.items()
        }
        own = [typed("seed", row["seed"], (int,))] if "seed" in row else seeds
        members += [Member(seed, setting) for seed in own]
    return tuple(members)


def typed(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    """A field's value from a command line or a file.

    Args:
      name: of the field.
      value: text, or a JSON value.
      kinds: as of `kinds_of`.

    Raises:
      InputError: for a value of none of these types.
    """
    if value in kinds:  # a choice
        return value
    if type(None) in kinds and value in (None, "None"):
        return None
    if type(value) in kinds:  # of a share of 1.0 no whole number is made
        return value
    for kind in (int, float):
        try:
            if kind in kinds and not isinstance(value, bool) and (isinstance(value, str) or kind(value) == value):
                return kind(value)
        except (TypeError, ValueError):
            continue
    words = [{int: "a whole number", float: "a number", type(None): "None"}.get(kind, repr(kind)) for kind in kinds]
    raise InputError(f"{name} is {value!r}, but must be {' or '.join(words)}")


def whole(text: str) -> str:
    """A number of a command line in digits, where it is a whole one with an exponent: 1e6 as 1000000."""
    if re.fullmatch(r"\+?\d+(\.\d*)?[eE]\+?\d+", text) and (value := float(text)).is_integer():
        return str(int(value))
    return text


def flags_of(config_class: type[Run]) -> list[str]:
    """The fields of a Config that are flags."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    return [
        field.name
        for field in dataclasses.fields(config_class)
        if tyro.conf.Suppress not in getattr(hints[field.name], "__metadata__", ())
    ]


KINDS = {
    "INT": "a whole number",
    "FLOAT": "a number",
    "[INT [INT ...]]": "whole numbers, with spaces between them",
    "{None}": "None",
}


def _in_our_words(text: str, args: Sequence[str]) -> str:
    """tyro's page about a value that cannot be, as one line like all others of ours."""
    text = re.sub(r"\s+", " ", re.sub(r"[╭╮╰╯─│]+|-{5,}", " ", text)).strip()
    if found := re.search(r"invalid choice '(.*?)' for argument '--(\S+)'\. Expected one of \((.*?)\)", text):
        value, flag, choices = found.groups()
        allowed = re.findall(r"'(.*?)'", choices)
        near = difflib.get_close_matches(value, allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{_field(flag)} is {value!r}, but must be one of {', '.join(allowed)}{hint}"
    if found := re.search(r"Error parsing --(\S+): .*Argument helptext: --\S+ (\[.*?\]\]|\S+)", text):
        flag, kind = found.groups()
        of_kind = kind if kind in KINDS else kind.split("|")
        allowed = [KINDS.get(one, one) for one in ([of_kind] if isinstance(of_kind, str) else of_kind)]
        return f"{_field(flag)} is {_value_of(args, flag)!r}, but must be {' or '.join(allowed)}"
    if found := re.search(r"Missing value for argument '--(\S+)'", text):
        return f"{_field(found[1])} is not given: --{found[1]} must have a value after it"
    text = text.removeprefix("Value error Error parsing Config: ")
    return re.split(r" Argument helptext| For full helptext", text)[0]


def _field(flag: str) -> str:
    return flag.replace("-", "_")


def _value_of(args: Sequence[str], flag: str) -> str | None:
    """The value of a flag before the command line is parsed as a whole."""
    for spelling in (f"--{flag}", f"--{flag.replace('-', '_')}"):
        for i, arg in enumerate(args):
            if arg == spelling and i + 1 < len(args):
                return args[i + 1]
            if arg.startswith(spelling + "="):
                return arg.split("=", 1)[1]
    return None


def main(
    config_class: type[ConfigT],
    presets: Mapping[str, Mapping[str, Any]],
    build: Callable[[ConfigT], Training],
    args: Sequence[str] | None = None,
    prog: str | None = None,
) -> None:
    """The end of a script: train by the command line; errors of the user's are one line.

    Args:
      config_class, presets, args, prog: as of `parse`.
      build: as of `run`.
    """
    with clean_errors(), leaving_lost_hosts():
        _train(config_class, presets, build, list(sys.argv[1:] if args is None else args), prog)


def train(name: str, args: str | Sequence[Any] = ()) -> dict[str, Any]:
    """`jaxq train NAME ARGS` from Python: `jaxq.train("dqn", ["--env", "gymnax/CartPole-v1", "--num-seeds", 3])`.

    Args:
      name: of an experiment, or the path of a script.
      args: its flags and their values, word by word, or as one line.

    Returns:
      The values of summary.json.

    Raises:
      InputError, DivergedError, HostLostError, SystemExit: as of `run`.
    """
    script = experiment(name)
    words = shlex.split(args) if isinstance(args, str) else [str(word) for word in args]
    return _train(script.Config, script.PRESETS, script.build, words, f"jaxq train {name}")


def _train(
    config_class: type[ConfigT],
    presets: Mapping[str, Mapping[str, Any]],
    build: Callable[[ConfigT], Training],
    args: list[str],
    prog: str | None,
) -> dict[str, Any]:
    keep_small_loops_whole()
    _connect(args)
    if _may_be_several(config_class, args):
        divide_processors()
    config = parse(config_class, presets, args, build, prog)
    return train_all(obeying(build, config, presets), config)


def _may_be_several(config_class: type[Run], args: Sequence[str]) -> bool:
    """Whether a command line is that of several members, or goes on with a run that may have them.

    The programs of a single one are compiled sooner where there is a single device.
    """
    _, settings, listed = _without_members(config_class, args)
    seeds = _value_of(args, "num-seeds") not in (None, "1")
    return seeds or bool(settings) or listed is not None or "--resume" in args


def _connect(args: Sequence[str]) -> None:
    """Meet the other processes; before the environments' packages are imported, of which some compute."""

    def number(flag: str) -> int | None:
        value = _value_of(args, flag)
        return None if value is None else typed(flag.replace("-", "_"), value, (int,))

    connect(_value_of(args, "coordinator"), number("num-processes"), number("process-id"))


def obeying(
    build: Callable[[ConfigT], Training], config: ConfigT, presets: Mapping[str, Mapping[str, Any]]
) -> Callable[[ConfigT], Training]:
    """`build`, refusing what was asked for and has no effect beside the other choices.

    A field that differs from its default and is not read when the training is built is not obeyed: `--temperature`
    beside `--operator max`, say.
    """
    default = dataclasses.replace(type(config)(env=config.env), **presets.get(envs.domain(config.env), {}))

    @functools.wraps(build)
    def checked(config: ConfigT) -> Training:
        training, read = build_and_tell(build, config)
        for field in dataclasses.fields(config):
            name, value = field.name, getattr(config, field.name)
            obeyed = name in read or name in DRIVER_FIELDS or value == getattr(default, name)
            require(obeyed, name, value, "left out: beside the other choices it has no effect")
        return training

    return checked
