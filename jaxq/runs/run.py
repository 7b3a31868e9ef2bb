"""A run from beginning to end: what can be checked is checked, the directory claimed, and a session trains."""

import contextlib
import dataclasses
import datetime
import errno
import inspect
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax

from jaxq import envs, platforms
from jaxq.configs import NOT_BY_MEMBER, FromReplay, FromRollouts, Run
from jaxq.errors import InputError, require, warn
from jaxq.runs.checkpoints import KEPT, learned_by
from jaxq.runs.devices import divide_processors, idle, keep_small_loops_whole, spread, state_shape, use_device
from jaxq.runs.directory import PLAN, first_length, going_on, load_config, provenance, to_json, write_json
from jaxq.runs.hosts import claimed, connect, first, noticing_lost_hosts, require_agreement
from jaxq.runs.interruption import Interruption
from jaxq.runs.memory import bytes_of, described, free_bytes, parts_of, require_memory
from jaxq.runs.population import Renumbering, assemble
from jaxq.runs.session import Session
from jaxq.runs.sinks import Sink, require_tracker
from jaxq.training import Plan, Training
from jaxq.types import PyTree

ConfigT = TypeVar("ConfigT", bound=Run)

# Who is to be told of a program's metrics, by its configuration.
Watch = Callable[[Run], Sink]


def default_run_dir(config: Run, experiment: str) -> Path:
    """runs/<experiment>_<env>_s<seed>_<time>."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    environment = re.sub(r"[^A-Za-z0-9_.-]+", "-", config.env).strip("-")
    return Path("runs") / f"{experiment}_{environment}_s{config.seed}_{now}"


def run(build: Callable[[ConfigT], Training], config: ConfigT, watch: Watch | None = None) -> dict[str, Any]:
    """Train by an experiment's configuration, or go on with a run begun earlier.

    Told to stop (SIGTERM, SIGINT), a run writes a last checkpoint; the same configuration with the same `run_dir` goes
    on from it. Told before there is anything to save, while it compiles, it ends the process at once, with code 0; in
    an interactive Python it stops when that is done.

    Args:
      build: puts the training together from the configuration; its file is kept in the run directory, so that
        `jaxq video` can put the same agent together again.
      config: of the experiment, all of whose members are trained as one program.
      watch: makes what is told of the metrics besides the run directory and the trackers, if anything is; whatever it
        raises ends the run.

    Returns:
      The values of summary.json.

    Raises:
      InputError: for whatever the user gave that cannot be used, before anything is compiled or written.
      DivergedError: if a metric of every member has become NaN or infinite.
      HostLostError: if another process that trains with this one is gone.
      SystemExit: with code 0, after a last checkpoint, when the process is told to stop (SIGTERM, SIGINT).
    """
    keep_small_loops_whole()
    connect(config.coordinator, config.num_processes, config.process_id)
    if config.num_members > 1:
        divide_processors()
    with noticing_lost_hosts(config.run_dir):
        require_agreement(config)
        alone = jax.process_count() == 1
        require(alone or not config.profile, "profile", config.profile, "left out where there are several processes")
        # The environments of members whose numbers change are the same.
        with Interruption(ends=not hasattr(sys, "ps1")) as told, envs.shared():
            return _run(build, config, told, watch)


def _run(
    build: Callable[[ConfigT], Training], config: ConfigT, told: Interruption, watch: Watch | None
) -> dict[str, Any]:
    script = Path(inspect.getfile(inspect.unwrap(build)))
    experiment = script.stem
    config = going_on(config, experiment)
    use_device(config.device)
    if config.resume and config.run_dir:
        config = dataclasses.replace(config, resumption=load_config(config.run_dir).get("resumption", 0) + 1)
    require_population(config)
    assembly = spread(assemble(build, config), config)
    training = assembly.training
    renumbering = Renumbering(build, config, getattr(training, "whole", training))
    plan = plan_of(training, config)
    path = config.run_dir or default_run_dir(config, experiment)
    config = dataclasses.replace(config, run_dir=path)
    shape = state_shape(assembly, config)
    require_tracker(config.track)
    if config.init_from is not None and not config.resume:
        _require_learned(config, experiment, config.init_from, shape.agent)
    parts, device = parts_of(training, shape), platforms.device()
    devices = len(shape.key.sharding.addressable_devices)
    free = free_bytes(device, sharing=devices)
    require_memory(config, parts, free)
    if not config.resume:
        _require_disk(path, shape)
    directory = claimed(path, resume=config.resume)
    try:
        session = Session(config, script, assembly, plan, directory, shape, renumbering, told, watch and watch(config))
        with contextlib.closing(session):
            of_host = training.environment.host_bytes + training.evaluation.environment.host_bytes
            session.display.say(f"memory  {described(parts, device, free, devices, of_host)}")
            if training.environment.resumable and (line := idle(config, devices)):
                session.display.say(line)
            # What cannot be traced or compiled leaves nothing behind, by which a corrected command would be refused.
            prepared = session.prepare()
            with first() as writes:
                if writes and config.resume:
                    _note_resumption(path, config)
                elif writes:
                    _note_run(path, script, {"experiment": experiment, **to_json(config)})
            return session.train(*prepared)
    except Exception as error:
        if _disk_is_full(error):
            message = f"run_dir is '{path}', on a disk that is full; the last whole checkpoint is kept"
            raise InputError(message) from None
        raise
    finally:
        directory.close()


# Fields of loops, by which no parameter has another shape.
SHAPES_NOTHING = tuple(
    field.name for axis in (FromReplay, FromRollouts) for field in dataclasses.fields(axis) if field.name != "env"
)


def _require_learned(config: Run, experiment: str, run_dir: Path, agents: PyTree) -> None:
    """Check that agents can go on with what those of another run have learned, and name what is otherwise there."""
    try:
        learned_by(run_dir, agents)
    except InputError as error:
        if not (run_dir / "config.json").exists():
            raise
        saved = load_config(run_dir)
        if saved["experiment"] != experiment:
            other = f"one of {experiment}, or whose agents are the same ({error})"
            require(False, "init_from", f"{run_dir}, a run of {saved['experiment']}", other)
        ours = {name: value for name, value in to_json(config).items() if name not in (*NOT_BY_MEMBER, *SHAPES_NOTHING)}
        # Step sizes and the like shape no parameters either.
        shapes = {name: value for name, value in saved.items() if name in ours and not isinstance(value, float)}
        there = [f"{name} {value}" for name, value in shapes.items() if ours[name] != value]
        raise InputError(f"{error}; there are {', '.join(there)}" if there else str(error)) from None


def require_population(config: Run) -> None:
    """Check that a controller has members that differ.

    Raises:
      InputError: if they do not.
    """
    if config.make_controller() is not None:
        require(config.num_members > 1, "controller", config.controller, "left out where a program has a single member")
        differing = any(member.setting for member in config.all_members)
        require(differing, "controller", config.controller, "left out: members differ in no number")


def _note_run(path: Path, script: Path, config: dict[str, Any]) -> None:
    """What was begun, how, and by whom."""
    kept = path / "experiment.py"
    if not (kept.exists() and kept.samefile(script)):  # it is not the one that is being run
        shutil.copyfile(script, kept)
    write_json(path / "provenance.json", provenance())
    # Last, because it is what makes the directory one that holds a run.
    write_json(path / "config.json", config)


def _note_resumption(path: Path, config: Run) -> None:
    """A run made longer is so from now on; for how many steps it was cut into chunks at first is kept."""
    saved = load_config(path)
    if config.total_steps > saved["total_steps"]:
        write_json(path / PLAN, {"total_steps": first_length(path)})
        # It tells of the shorter run, and would pass for that of the longer one if this one is stopped.
        (path / "summary.json").unlink(missing_ok=True)
    now = {"total_steps": config.total_steps, "resumption": config.resumption}
    write_json(path / "config.json", {**saved, **now})


def _disk_is_full(error: BaseException) -> bool:
    """Whether that is what an error says; the storage layers below Orbax raise ValueError with errno's text in it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def _require_disk(path: Path, shape: PyTree) -> None:
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    needed = (KEPT + 1) * bytes_of(shape) / 1e6
    free = shutil.disk_usage(existing).free / 1e6
    require(
        free >= needed,
        "run_dir",
        str(path),
        f"on a disk with {needed:,.0f} MB free for checkpoints, replay included; it has {free:,.0f} MB",
    )


def plan_of(training: Training, config: Run) -> Plan:
    """How a run is cut up; one gone on with keeps the chunks that it began with, though it may have more of them.

    Raises:
      InputError: for a run too short for anything.
    """
    if config.num_evaluations > config.num_logs:
        warn(
            f"num_evaluations is {config.num_evaluations}, more than num_logs, {config.num_logs}: an evaluation comes "
            "with a line of metrics, so there will be no more than those"
        )
    if not (config.resume and config.run_dir):
        return training.plan(config.total_steps, config.num_logs, config.num_evaluations)
    return training.plan(first_length(config.run_dir), config.num_logs, config.num_evaluations).extended(
        config.total_steps
    )
