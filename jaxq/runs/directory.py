"""A run's directory on disk: claiming it, what is written into it, and reading it back.

config.json  experiment.py  provenance.json  metrics.jsonl  checkpoints/  summary.json  curve.png
"""

import contextlib
import dataclasses
import datetime
import fcntl
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from jaxq import platforms
from jaxq.configs import SESSION_FIELDS, Member, Run, from_plain
from jaxq.errors import InputError, require, warn

ConfigT = TypeVar("ConfigT", bound=Run)
LONGEST_DIFF = 50_000  # characters
PLAN = "plan.json"  # of a run that was made longer: for how many steps it was first to be
RESUMED = "as in the run being resumed; --init-from begins a new run, of other numbers, with what that one has learned"

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "gymnax", "envpool", "brax", "playground",
    "mujoco-mjx", "warp-lang",
)  # fmt: skip


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n")
    os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote; empty where there is no such file."""
    return json.loads(path.read_text()) if path.exists() else {}


def provenance() -> dict[str, Any]:
    """Where a result comes from: versions, device, git revision, command.

    A copy without its repository, as in a container, is told what it is of in JAXQ_REVISION, as
    `git describe --always --abbrev=40 --dirty` says it.
    """

    def version(package: str) -> str | None:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    def git(*args: str) -> str | None:
        program = shutil.which("git")
        if program is None:
            return None
        # Neither cwd nor closed files: then Python spawns without a fork, which JAX's threads would not survive well.
        command = [program, "-C", str(Path(__file__).parent), *args]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, close_fds=False)
        return done.stdout.strip() if done.returncode == 0 else None

    device = platforms.device()
    # An installed package may lie in a repository that is its user's.
    ours = bool(git("ls-files", Path(__file__).name))
    # Results that a benchmark wrote before this one are no change of what is measured.
    sources = ("--", ":(top)", ":(top,exclude)benchmarks/results")
    dirty = ours and bool(git("status", "--porcelain", "--untracked-files=no", *sources))
    diff = (git("-c", "core.quotePath=off", "diff", "HEAD", *sources) or "") if dirty else ""
    revision = git("rev-parse", "HEAD") if ours else None
    if told := os.environ.get("JAXQ_REVISION"):
        revision, dirty, diff = told.removesuffix("-dirty"), told.endswith("-dirty"), ""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": _command(),
        "git_revision": revision,
        "git_dirty": dirty,
        # What the revision lacks; of a large change its beginning.
        **({"git_diff": diff[:LONGEST_DIFF]} if dirty else {}),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in ("jaxq", *PACKAGES)},
        "device": f"{device.platform}: {device.device_kind}",
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "platform": platform.platform(),
    }


def _processor() -> str:
    """Its name, and by which numbers it is known where the name says little, as Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    numbers = [
        f"{name.removeprefix('cpu ')} {told[name]}" for name in ("cpu family", "model", "stepping") if name in told
    ]
    return ", ".join(filter(None, [told.get("model name") or platform.processor(), *numbers]))


def _command() -> str:
    """What was typed, as it would be in the repository, wherever that is."""
    program, *arguments = sys.argv
    if Path(program).name == "jaxq":
        return " ".join(["jaxq", *arguments])
    return " ".join([Path(sys.executable).name, program, *arguments]).replace(f"{Path(__file__).parents[2]}/", "")


class InUseError(InputError):
    """Another process uses a run's directory."""


class RunDirectory:
    """An exclusive claim on a run directory; `close` gives it up."""

    def __init__(self, path: Path, *, resume: bool):
        """Claim `path` for a new run, or for the continuation of the one in it.

        Raises:
          InputError: if another process uses it, if it holds a run and `resume` is false, or if it cannot be written.
        """
        self.path = path
        self._made = not path.exists()
        self._metrics: Any = None
        _require_fitting(path, resume=resume)  # before anything is made
        self._lock = _locked(path)
        try:
            _require_fitting(path, resume=resume)  # another process may have begun a run and ended meanwhile
        except InputError:
            self.close()
            raise

    @property
    def metrics_path(self) -> Path:
        """metrics.jsonl."""
        return self.path / "metrics.jsonl"

    def log(self, line: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl; numbers that are not finite become null."""
        if self._metrics is None:
            self._metrics = self.metrics_path.open("a")
        self._metrics.write(json.dumps(finite_or_null(line)) + "\n")
        self._metrics.flush()

    def sync(self) -> None:
        """Put what was logged on the disk, so that a checkpoint is never ahead of its metrics."""
        if self._metrics is not None:
            os.fsync(self._metrics.fileno())

    def rewind(self, step: int) -> None:
        """Drop the metrics of steps after `step`, and a line that was cut short."""
        kept = [line for line in read_metrics(self.path) if line["step"] <= step]
        temporary = self.metrics_path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        os.replace(temporary, self.metrics_path)

    def close(self) -> None:
        """Give up the claim; what was made for it and is still empty goes."""
        if self._metrics is not None:
            self._metrics.close()
        # While it is still locked: afterwards it may be another's.
        with contextlib.suppress(OSError):  # of what is not empty, or not there
            (self.path / "checkpoints").rmdir()
        with contextlib.suppress(OSError):
            if self._made and [path.name for path in self.path.iterdir()] == [".lock"]:
                (self.path / ".lock").unlink()
                self.path.rmdir()
        self._lock.close()


def _require_fitting(path: Path, *, resume: bool) -> None:
    holds_run = (path / "config.json").exists()
    if holds_run and not resume:
        raise InputError(
            f"run_dir is '{path}', which already holds a run: add --resume to go on with it, and more "
            "--total-steps if it is finished, or give another directory"
        )
    if not holds_run and resume:
        raise InputError(f"run_dir is '{path}', but --resume needs a directory with a run in it (no config.json)")


def _locked(path: Path) -> IO[str]:
    """The lock file of a directory, which is made if it is not there, locked; that which is there, and no deleted one.

    Raises:
      InputError: as of `RunDirectory`.
    """
    while True:
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("a")
        except OSError as error:
            raise InputError(f"run_dir is '{path}', which cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUseError(f"run_dir is '{path}', which is in use by another process") from None
        except OSError as error:
            warn(
                f"run_dir is '{path}', which no other process may use meanwhile: it cannot be locked ({error.strerror})"
            )
            return lock
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(path / ".lock")):
                return lock
        lock.close()  # whoever had it gave it up, and took it away, between its opening and its locking


def finite_or_null(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: finite_or_null(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(v) for v in value]
    return value


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, up to the first that is not whole."""

    def lines() -> Iterator[dict[str, Any]]:
        path = run_dir / "metrics.jsonl"
        if not path.exists():
            return
        with path.open() as file:
            for line in file:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    return

    return list(lines())


def to_json(config: Run) -> dict[str, Any]:
    """A Config as plain JSON values."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, Member):
            return value.to_json()
        if isinstance(value, tuple):
            return [plain(part) for part in value]
        return value

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
        if name in ("run_dir", "init_from"):
            return None if value is None else Path(value)
        if name == "population":
            return tuple(Member.from_json(member) for member in value)
        return from_plain(value)

    return config_class(**{name: typed(name, value) for name, value in values.items()})


def load_config(run_dir: Path) -> dict[str, Any]:
    """The values of a run directory's config.json, the experiment's name among them.

    Raises:
      InputError: if there is no run in the directory, or its file cannot be read.
    """
    path = run_dir / "config.json"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"run_dir is '{run_dir}', but must be a directory with a run in it (no config.json)") from None
    except (OSError, ValueError) as error:  # no JSON, or no text
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} cannot be read: it holds no fields by name")
    return values


def first_length(run_dir: Path) -> int:
    """For how many steps a run was first to be trained, by which it is cut into chunks however long it is made."""
    return int((read_json(run_dir / PLAN) or load_config(run_dir))["total_steps"])


def going_on(config: ConfigT, experiment: str) -> ConfigT:
    """The same configuration, to be resumed if its directory was given and holds its run, which is not finished.

    So a command that was stopped, by whatever, can simply be given again. One that is to be resumed is held against
    the run there in any case.

    Raises:
      InputError: if the run there is another: of another experiment, or configured otherwise.
    """
    path = config.run_dir
    if path is None or not (path / "config.json").exists():
        return config
    if not config.resume and (path / "summary.json").exists():
        return config
    saved = load_config(path)
    theirs = saved.pop("experiment", experiment)
    other = "or give another directory: this one holds a run that is not finished"
    where = RESUMED if config.resume else other
    require(experiment == theirs, "experiment", experiment, f"{theirs}, {where}")
    require_same(config, from_json(type(config), saved), where)
    return dataclasses.replace(config, resume=True)


def require_same(config: Run, saved: Run, where: str = RESUMED) -> None:
    """A run goes on as it began; but it may be made longer.

    Args:
      config: how it is to go on.
      saved: how it began.
      where: that was, for the error.

    Raises:
      InputError: naming the first field that differs.
    """
    for field in dataclasses.fields(config):
        name, ours, theirs = field.name, getattr(config, field.name), getattr(saved, field.name)
        if name == "total_steps":
            require(ours >= theirs, name, ours, f"at least {theirs}, {where}")
        elif name == "population":
            require(ours == theirs, name, f"{len(ours)} members", f"the {len(theirs)} members there, {where}")
        elif name not in SESSION_FIELDS:
            require(ours == theirs, name, ours, f"{theirs!r}, {where}")
