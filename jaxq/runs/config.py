"""The flags that every experiment shares, and how a script's command line becomes its Config."""

import contextlib
import dataclasses
import difflib
import io
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import tyro

from jaxq import envs
from jaxq.errors import InputError, clean_errors, require

Track = Literal["none", "wandb", "tensorboard"]
Device = Literal["auto", "cpu", "gpu", "tpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run has; an experiment's Config adds its agent's own fields.

    Whole numbers are counts and sizes, so they must be at least 1, but for those that a class names in `UNRESTRICTED`,
    which whoever uses them checks. No number may be NaN.
    """

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("seed",)

    env: str = "gymnax/CartPole-v1"
    """Environment, backend/Name; `jaxq envs` lists them."""
    seed: int = 0
    """Seed of the first member; member i of a population has seed + i."""
    num_seeds: int = 1
    """Seeds trained side by side as one program."""
    total_steps: int = 200_000
    """Environment steps of each seed, warm-up included; rounded down to whole chunks."""
    num_envs: int = 1
    """Training environments of each seed."""
    run_dir: Path | None = None
    """Where the run is written; runs/<experiment>_<env>_s<seed>_<time> unless given."""
    resume: bool = False
    """Continue the run in --run-dir from its last checkpoint."""
    track: Track = "none"
    """Where metrics go besides metrics.jsonl; wandb obeys WANDB_MODE=offline."""
    device: Device = "auto"
    """Device to train on; auto takes the best there is."""
    num_logs: int = 100
    """Lines in metrics.jsonl: the run is cut into about as many chunks."""
    num_evaluations: int = 20
    """Evaluations over the run, the last one at its end."""
    eval_episodes: int = 16
    """Episodes of each seed in an evaluation."""
    checkpoint_minutes: float = 5.0
    """Least time between two checkpoints; 0 writes one after every chunk, inf only the last."""

    def __post_init__(self) -> None:
        unrestricted = {name for kind in type(self).__mro__ for name in vars(kind).get("UNRESTRICTED", ())}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float):
                    require(not math.isnan(number), field.name, value, "a number")
                elif isinstance(number, int) and not isinstance(number, bool) and field.name not in unrestricted:
                    require(number >= 1, field.name, value, "at least 1")
        require(0 <= self.seed < 2**31 - self.num_seeds, "seed", self.seed, "in 0 .. 2^31 - num_seeds")
        require(self.total_steps < 2**31, "total_steps", self.total_steps, "below 2^31")
        require(self.checkpoint_minutes >= 0, "checkpoint_minutes", self.checkpoint_minutes, "0 or more")
        require(not self.resume or self.run_dir is not None, "resume", self.resume, "given with --run-dir")


# Fields that may differ between a run and its continuation: they say how it is run, not what is run.
SESSION_FIELDS = ("resume", "run_dir", "track", "device", "checkpoint_minutes")

ConfigT = TypeVar("ConfigT", bound=RunConfig)


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
        saved = load_config(Path(run_dir))
        default = from_json(config_class, saved)
    else:
        env = given_env or config_class.env
        default = dataclasses.replace(config_class(env=env), **presets.get(envs.domain(env), {}))
    config = _tyro(config_class, default, args)
    if config.resume:
        _require_same(config, default)
    return config


def everywhere(**fields: Any) -> dict[str, dict[str, Any]]:
    """A preset that is the same in every domain."""
    return {domain: dict(fields) for domain in envs.DOMAINS}


def merged(*presets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Presets by domain, of which later ones go before earlier ones."""
    domains = dict.fromkeys(domain for preset in presets for domain in preset)
    return {domain: {k: v for preset in presets for k, v in preset.get(domain, {}).items()} for domain in domains}


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
        text = re.sub(r"[╭╮╰╯─│]+|-{5,}", " ", err.getvalue() or out.getvalue())
        text = re.sub(r"\s+", " ", text).strip()
        text = text.removeprefix("Value error Error parsing Config: ")
        raise InputError(re.split(r" Argument helptext| For full helptext", text)[0]) from None
    if unknown:
        flags = ["--" + field.name.replace("_", "-") for field in dataclasses.fields(config_class)]
        near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
        hint = f"did you mean {near[0]}?" if near else "see --help"
        raise InputError(f"{unknown[0]} is not a flag of this experiment; {hint}")
    return config


def _value_of(args: Sequence[str], flag: str) -> str | None:
    """The value of a flag before the command line is parsed as a whole."""
    for spelling in (f"--{flag}", f"--{flag.replace('-', '_')}"):
        for i, arg in enumerate(args):
            if arg == spelling and i + 1 < len(args):
                return args[i + 1]
            if arg.startswith(spelling + "="):
                return arg.split("=", 1)[1]
    return None


def to_json(config: RunConfig) -> dict[str, Any]:
    """A Config as plain JSON values."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        return list(value) if isinstance(value, tuple) else value

    return {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(config_class: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """The Config that `to_json` wrote.

    Raises:
      InputError: for fields that the class does not have.
    """
    known = {field.name for field in dataclasses.fields(config_class)}
    unknown = sorted(set(values) - known)
    require(not unknown, "config.json", unknown, f"fields of this experiment ({', '.join(sorted(known))})")

    def typed(name: str, value: Any) -> Any:
        if name == "run_dir":
            return None if value is None else Path(value)
        return tuple(value) if isinstance(value, list) else value

    return config_class(**{name: typed(name, value) for name, value in values.items()})


def load_config(run_dir: Path) -> dict[str, Any]:
    """The values of a run directory's config.json, without the experiment's name.

    Raises:
      InputError: if there is no run in the directory, or its file cannot be read.
    """
    path = run_dir / "config.json"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"run_dir is '{run_dir}', but must be a directory with a run in it (no config.json)") from None
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    values.pop("experiment", None)
    return values


def _require_same(config: RunConfig, saved: RunConfig) -> None:
    for field in dataclasses.fields(config):
        if field.name in SESSION_FIELDS:
            continue
        ours, theirs = getattr(config, field.name), getattr(saved, field.name)
        require(ours == theirs, field.name, ours, f"{theirs!r}, as in the run being resumed")


__all__ = ["RunConfig", "clean_errors", "everywhere", "from_json", "load_config", "merged", "parse", "to_json"]
