"""How a script's command line becomes its Config, and the end of every script."""

import contextlib
import dataclasses
import difflib
import functools
import io
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from jaxq import envs
from jaxq.configs import DRIVER_FIELDS, SESSION_FIELDS, Run, build_and_tell
from jaxq.errors import InputError, clean_errors, require
from jaxq.runs.directory import from_json, load_config
from jaxq.runs.run import run
from jaxq.training import Training

ConfigT = TypeVar("ConfigT", bound=Run)


def parse(
    config_class: type[ConfigT], presets: Mapping[str, Mapping[str, Any]], args: Sequence[str] | None = None
) -> ConfigT:
    """The Config that a command line asks for.

    Defaults come from the class, then from the preset of the environment's domain (`envs.domain`), or on --resume from
    the run directory.

    Args:
      config_class: the experiment's dataclass.
      presets: for each domain, the fields whose defaults differ.
      args: command line; of the process unless given.

    Raises:
      InputError: for unknown flags and values that are not allowed.
      SystemExit: after --help.
    """
    args = list(sys.argv[1:] if args is None else args)
    given_env = _value_of(args, "env")
    run_dir = _value_of(args, "run-dir")
    if "--resume" in args and run_dir is not None:
        saved, experiment = load_config(Path(run_dir)), sys.modules[config_class.__module__]
        script = Path(getattr(experiment, "__file__", None) or config_class.__module__).stem
        theirs = saved.pop("experiment", script)
        require(theirs == script, "resume", script, f"{theirs}, the experiment of the run in {run_dir}")
        default = from_json(config_class, saved)
    else:
        env = given_env or config_class.env
        default = dataclasses.replace(config_class(env=env), **presets.get(envs.domain(env), {}))
    config = _tyro(config_class, default, args)
    if config.resume:
        _require_same(config, default)
    return config


def _tyro(config_class: type[ConfigT], default: ConfigT, args: list[str]) -> ConfigT:
    """tyro's parser, with its errors as one line."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
            config, unknown = tyro.cli(
                config_class,
                default=default,
                args=args,
                description=sys.modules[config_class.__module__].__doc__,
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if not stop.code:
            print(out.getvalue(), end="")
            raise
        raise InputError(_in_our_words(err.getvalue() or out.getvalue(), args)) from None
    if unknown:
        flags = ["--" + name.replace("_", "-") for name in flags_of(config_class)]
        near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
        hint = f"did you mean {near[0]}?" if near else "see --help"
        raise InputError(f"{unknown[0]} is not a flag of this experiment; {hint}")
    return config


def flags_of(config_class: type[Run]) -> list[str]:
    """The fields of a Config that are flags."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    return [
        field.name
        for field in dataclasses.fields(config_class)
        if tyro.conf.Suppress not in getattr(hints[field.name], "__metadata__", ())
    ]


KINDS = {"INT": "a whole number", "FLOAT": "a number", "[INT [INT ...]]": "whole numbers", "{None}": "None"}


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


def _require_same(config: Run, saved: Run) -> None:
    """A run goes on as it began; but it may be made longer."""
    for field in dataclasses.fields(config):
        name, ours, theirs = field.name, getattr(config, field.name), getattr(saved, field.name)
        if name == "total_steps":
            require(ours >= theirs, name, ours, f"at least {theirs}, as in the run being resumed")
        elif name not in SESSION_FIELDS:
            require(ours == theirs, name, ours, f"{theirs!r}, as in the run being resumed")


def main(
    config_class: type[ConfigT],
    presets: Mapping[str, Mapping[str, Any]],
    build: Callable[[ConfigT], Training],
    args: Sequence[str] | None = None,
) -> None:
    """The end of a script: train by the command line; errors of the user's are one line.

    Args:
      config_class, presets, args: as of `parse`.
      build: as of `run`.
    """
    with clean_errors():
        config = parse(config_class, presets, args)
        run(obeying(build, config, presets), config)


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
