"""The host side of a run: compile once, dispatch chunks ahead of reading their metrics, log, checkpoint, resume."""

import contextlib
import dataclasses
import datetime
import errno
import inspect
import json
import math
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxq import platforms
from jaxq.configs import Run
from jaxq.errors import DivergedError, InputError, require
from jaxq.runs.aggregate import interquartile_mean
from jaxq.runs.checkpoints import KEPT, Checkpoints
from jaxq.runs.directory import RunDirectory, finite_or_null, load_config, provenance, read_metrics, to_json, write_json
from jaxq.runs.display import Display
from jaxq.runs.memory import bytes_of, described, free_bytes, parts_of, readable, require_memory
from jaxq.runs.plots import load_curve, plot_curves
from jaxq.runs.sinks import Sink, open_sinks, require_tracker
from jaxq.training import Plan, Training
from jaxq.types import Metrics, PyTree

ConfigT = TypeVar("ConfigT", bound=Run)

# Metrics that are NaN where nothing was there to average; any other NaN means that learning has diverged.
PLAN = "plan.json"  # of a run that was made longer: the steps for which it was cut into chunks

MAY_BE_MISSING = ("episode_return", "episode_length", "eval_return", "eval_length")


def use_device(device: str) -> None:
    """Make `device` (auto, cpu, gpu or tpu) the one that everything runs on, and turn on the compilation cache.

    Raises:
      InputError: if there is no such device.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxq" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if device == "auto":
        return
    try:
        devices = jax.devices(device)
    except RuntimeError:
        available = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise InputError(f"device is {device!r}, but this machine has only: {available}") from None
    jax.config.update("jax_default_device", devices[0])


def member_keys(config: Run) -> jax.Array:
    """[N] one key for each seed."""
    return jax.vmap(jax.random.key)(jnp.arange(config.seed, config.seed + config.num_seeds))


def default_run_dir(config: Run, experiment: str) -> Path:
    """runs/<experiment>_<env>_s<seed>_<time>."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    environment = re.sub(r"[^A-Za-z0-9_.-]+", "-", config.env).strip("-")
    return Path("runs") / f"{experiment}_{environment}_s{config.seed}_{now}"


def run(build: Callable[[ConfigT], Training], config: ConfigT) -> dict[str, Any]:
    """Train by an experiment's configuration, or go on with a run begun earlier.

    Args:
      build: puts the training together from the configuration; its file is kept in the run directory, so that
        `jaxq video` can put the same agent together again.
      config: of the experiment.

    Returns:
      The values of summary.json.

    Raises:
      InputError: for whatever the user gave that cannot be used, before anything is compiled or written.
      DivergedError: if a metric becomes NaN or infinite.
      SystemExit: with code 0, after a last checkpoint, when the process is told to stop (SIGTERM, SIGINT).
    """
    script = Path(inspect.getfile(inspect.unwrap(build)))
    experiment = script.stem
    use_device(config.device)
    if config.resume and config.run_dir:
        config = dataclasses.replace(config, resumption=load_config(config.run_dir).get("resumption", 0) + 1)
    training = build(config)
    plan = plan_of(training, config)
    path = config.run_dir or default_run_dir(config, experiment)
    config = dataclasses.replace(config, run_dir=path)
    state_shape = jax.eval_shape(training.init, member_keys(config))
    require_tracker(config.track)
    if config.init_from is not None:
        learned_by(config.init_from, state_shape.agent)
    parts, device = parts_of(training, state_shape), platforms.device()
    free = free_bytes(device)
    require_memory(config, parts, free)
    if not config.resume:
        _require_disk(path, state_shape)
    directory = RunDirectory(path, resume=config.resume)
    try:
        if not config.resume:
            shutil.copyfile(script, path / "experiment.py")
            write_json(path / "provenance.json", provenance())
            # Last, because it is what makes the directory one that holds a run.
            write_json(path / "config.json", {"experiment": experiment, **to_json(config)})
        else:
            _note_resumption(path, config)
        with contextlib.closing(_Session(config, script, training, plan, directory, state_shape)) as session:
            session.display.say(f"memory  {described(parts, device, free)}")
            return session.train()
    except Exception as error:
        if _disk_is_full(error):
            message = f"run_dir is '{path}', on a disk that is full; the last whole checkpoint is kept"
            raise InputError(message) from None
        raise
    finally:
        directory.close()


def _note_resumption(path: Path, config: Run) -> None:
    """A run made longer is so from now on; for how many steps it was cut into chunks at first is kept."""
    saved = load_config(path)
    if config.total_steps > saved["total_steps"] and not (path / PLAN).exists():
        write_json(path / PLAN, {"total_steps": saved["total_steps"]})
    now = {"total_steps": config.total_steps, "resumption": config.resumption}
    write_json(path / "config.json", {**saved, **now})


def _disk_is_full(error: BaseException) -> bool:
    """Whether that is what an error says; the storage layers below Orbax raise ValueError with errno's text in it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def _require_disk(path: Path, state_shape: PyTree) -> None:
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    needed = (KEPT + 1) * bytes_of(state_shape) / 1e6
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
    if not (config.resume and config.run_dir):
        return training.plan(config.total_steps, config.num_logs, config.num_evaluations)
    begun = load_config(config.run_dir)["total_steps"]
    if (config.run_dir / PLAN).exists():
        begun = json.loads((config.run_dir / PLAN).read_text())["total_steps"]
    return training.plan(begun, config.num_logs, config.num_evaluations).extended(config.total_steps)


Values = dict[str, list[float]]  # a metric of each member


def _on_the_host(metrics: Metrics) -> Values:
    return {name: np.asarray(value, np.float64).tolist() for name, value in metrics.items()}


def learned_by(run_dir: Path, agents: PyTree) -> PyTree:
    """What the agents of another run have learned, with the numbers and counts of these new ones.

    Args:
      run_dir: of the other run.
      agents: new ones, or their shapes: then only whether they fit is checked.

    Raises:
      InputError: if there is no such run, or its agents are of another kind.
    """
    require((run_dir / "checkpoints").is_dir(), "init_from", str(run_dir), "a directory with a run in it")
    checkpoints = Checkpoints(run_dir)
    try:
        learned = checkpoints.restore_agent(jax.eval_shape(lambda: agents) if _is_made(agents) else agents)
    finally:
        checkpoints.close()

    def taken(path: Any, new: jax.Array, old: jax.Array) -> jax.Array:
        names = {getattr(part, "name", None) for part in path}
        return new if names & {"hyper", "updates", "horizon", "resets"} else old

    return jax.tree_util.tree_map_with_path(taken, agents, learned)


def _is_made(tree: PyTree) -> bool:
    return all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))


class _Programs(NamedTuple):
    """What a run has compiled: a chunk, the beginning of an evaluation, and a part of one."""

    chunk: Any
    begin_evaluation: Any
    evaluate: Any


class _Session:
    """One process's share of a run."""

    def __init__(
        self,
        config: Run,
        script: Path,
        training: Training,
        plan: Plan,
        directory: RunDirectory,
        state_shape: PyTree,
    ):
        self.config, self.training, self.plan = config, training, plan
        self.script = Path(os.path.relpath(script)) if script.is_relative_to(Path.cwd()) else script
        self.experiment = script.stem
        self.directory, self.state_shape = directory, state_shape
        self.display = Display(f"{script.stem} {config.env}", plan.total_steps)
        self.checkpoints = Checkpoints(directory.path)
        self.sinks: list[Sink] = []
        self.begun = time.monotonic()
        self.compile_seconds = 0.0
        self.earlier_seconds = 0.0
        self.chunk_seconds: list[float] = []
        self.evaluation_seconds = 0.0
        self.since = self.begun  # when the last metrics were there, or whatever came after them was done
        self.stop_signal: int | None = None

    def close(self) -> None:
        """Release what the session holds."""
        self.display.stop()
        for sink in self.sinks:
            sink.close()
        self.checkpoints.close()

    def train(self) -> dict[str, Any]:
        """The whole session."""
        self.sinks = open_sinks(self.config.track, self.directory.path, to_json(self.config), self.experiment)
        checkpoints = readable((KEPT + 1) * bytes_of(self.state_shape))
        self.display.say(f"{self.directory.path}: up to {checkpoints} in checkpoints; compiling")
        state, chunk, unread = self._resume() if self.config.resume else self._start()
        programs = self._compile()
        self.display.start(self.plan.steps_after(chunk))
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._loop(programs, state, chunk, unread)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self._finish()

    def _compile(self) -> _Programs:
        begun = time.monotonic()
        training, iterations = self.training, self.plan.iterations
        chunk = jax.jit(lambda state: training.train_chunk(state, iterations), donate_argnums=0)
        begin = jax.jit(training.begin_evaluation)
        part = jax.jit(training.evaluate, donate_argnums=1)
        evaluation_shape = jax.eval_shape(training.begin_evaluation, self.state_shape)
        programs = _Programs(
            chunk.lower(self.state_shape).compile(),
            begin.lower(self.state_shape).compile(),
            part.lower(self.state_shape, evaluation_shape).compile(),
        )
        self.compile_seconds = time.monotonic() - begun
        return programs

    def _start(self) -> tuple[PyTree, int, Values | None]:
        state = jax.jit(self.training.init)(member_keys(self.config))
        if self.config.init_from is not None:
            state = state.replace(agent=learned_by(self.config.init_from, state.agent))
        return jax.jit(self.training.warm_up, donate_argnums=0)(state), 0, None

    def _resume(self) -> tuple[PyTree, int, Values | None]:
        if self.checkpoints.empty:
            self.directory.rewind(-1)
            self.display.say(f"{self.directory.path}: stopped before its first checkpoint, so it begins anew")
            return self._start()
        state, notes = self.checkpoints.restore(self.state_shape)
        chunk, unlogged = int(notes["chunk"]), notes["unlogged"]
        self.earlier_seconds = notes["wall_seconds"]
        self.directory.rewind(self.plan.steps_after(chunk) - (unlogged is not None))
        self.display.say(f"{self.directory.path}: resumed at step {self.plan.steps_after(chunk):,}")
        if not self.training.environment.resumable and chunk < self.plan.chunks:
            self.display.say(f"{self.config.env} cannot save its state: fresh episodes begin here")
            state = jax.jit(self.training.with_fresh_episodes, donate_argnums=0)(state)
        return state, chunk, unlogged

    def _loop(self, programs: _Programs, state: PyTree, chunk: int, unlogged: Values | None) -> None:
        """Dispatch the chunks that are left; the metrics of one are read while the next one runs.

        Args:
          programs: compiled.
          state: after so many chunks.
          chunk: chunks done.
          unlogged: the last one's metrics, if the run was stopped in the evaluation after it.
        """
        saved_at = self.since = time.monotonic()
        last_saved = chunk if chunk else None
        pending: tuple[int, Metrics] | None = None
        while self.stop_signal is None and (chunk < self.plan.chunks or unlogged is not None):
            if unlogged is None:
                state, metrics = programs.chunk(state)
                chunk += 1
                if pending is not None:
                    self._log(pending[0], self._take(pending[1]))
                pending = (chunk, metrics)
                if self.plan.evaluates(chunk):
                    pending, unlogged = None, self._take(metrics)
            if unlogged is not None:
                evaluated = self._evaluate(programs, state)
                if evaluated is None:  # told to stop in the middle of it
                    break
                self._log(chunk, {**unlogged, **evaluated})
                unlogged, last_saved = None, None if last_saved == chunk else last_saved
            if time.monotonic() - saved_at >= 60.0 * self.config.checkpoint_minutes:
                # The metrics come first: a checkpoint is never ahead of them, nor of a NaN in them.
                if pending is not None:
                    self._log(pending[0], self._take(pending[1]))
                    pending = None
                self._save(chunk, state)
                last_saved, saved_at = chunk, time.monotonic()
                self.since = saved_at
        if pending is not None:
            self._log(pending[0], self._take(pending[1]))
        if last_saved != chunk:
            self._save(chunk, state, unlogged)
        self.checkpoints.wait()
        if self.stop_signal is not None and (chunk < self.plan.chunks or unlogged is not None):
            self.display.stop()
            self.display.say(
                f"stopped by {signal.Signals(self.stop_signal).name} at step {self.plan.steps_after(chunk):,}, "
                f"checkpoint written; to go on: python {self.script} --run-dir {self.directory.path} --resume"
            )
            raise SystemExit(0)

    def _evaluate(self, programs: _Programs, state: PyTree) -> Values | None:
        """Test the members, part by part; None if the run is told to stop before the end."""
        begun = time.monotonic()
        evaluation, more = programs.begin_evaluation(state), True
        while more:
            if self.stop_signal is not None:
                return None
            evaluation, unfinished = programs.evaluate(state, evaluation)
            more = bool(unfinished)
            self.display.evaluating(int(evaluation.time), self.training.evaluation.longest)
        self.since = time.monotonic()
        self.evaluation_seconds += self.since - begun
        return _on_the_host(self.training.evaluation.result(evaluation))

    def _take(self, metrics: Metrics) -> Values:
        """Wait for a chunk's metrics."""
        values = _on_the_host(metrics)
        now = time.monotonic()
        self.chunk_seconds.append(now - self.since)
        self.since = now
        return values

    def _log(self, chunk: int, values: Values) -> None:
        """Write down a chunk's metrics."""
        step = self.plan.steps_after(chunk)
        for name, value in values.items():
            if name not in MAY_BE_MISSING and not all(math.isfinite(v) for v in value):
                raise DivergedError(
                    f"{name} is {value} at step {step:,}: learning has diverged; "
                    f"the last good checkpoint is in {self.checkpoints.path}"
                )
        nothing = [None] * self.config.num_seeds
        missing = {name: nothing for name in ("eval_return", "eval_length") if name not in values}
        wall_seconds = round(self._wall_seconds(time.monotonic()), 3)
        line = finite_or_null({"step": step, **values, **missing, "wall_seconds": wall_seconds})
        self.directory.log(line)
        for sink in self.sinks:
            sink.log(line)
        self.display.update(line, self._steps_per_second() or 0.0)

    def _save(self, chunk: int, state: PyTree, unlogged: Values | None = None) -> None:
        self.directory.sync()
        notes = {"chunk": chunk, "wall_seconds": self._wall_seconds(time.monotonic()), "unlogged": unlogged}
        self.checkpoints.save(chunk, state, notes)

    def _finish(self) -> dict[str, Any]:
        self.display.stop()
        # The last evaluation and no earlier one, though it may not be finite.
        returns = read_metrics(self.directory.path)[-1]["eval_return"]
        finite = None not in returns
        speed = self._steps_per_second()
        device = platforms.device()
        summary = {
            "agent": self.experiment,
            "env": self.config.env,
            "total_steps": self.plan.total_steps,
            "num_seeds": self.config.num_seeds,
            "returns": returns,
            "return_mean": float(np.mean(returns)) if finite else None,
            "return_iqm": interquartile_mean(np.array(returns)) if finite else None,
            "env_steps_per_second": speed,
            "updates_per_second": None if speed is None else speed * self.training.updates_per_step,
            "compile_seconds": self.compile_seconds,
            "evaluation_share": self.evaluation_seconds / max(time.monotonic() - self.begun, 1e-9),
            "wall_seconds": self._wall_seconds(time.monotonic()),
            "device": f"{device.platform}: {device.device_kind}",
        }
        write_json(self.directory.path / "summary.json", summary)
        picture = self.directory.path / "curve.png"
        if any(None not in line["eval_return"] for line in read_metrics(self.directory.path)):
            plot_curves([load_curve(self.directory.path)], picture)
        seeds = f" over {len(returns)} seeds" if len(returns) > 1 else ""
        mean = f"{np.mean(returns):.4g} (mean return of the last evaluation{seeds})" if finite else ""
        score = mean or "- (the last evaluation is not finite)"
        self.display.say(
            f"score  {score}\nspeed  {'-' if speed is None else f'{speed:,.0f}'} environment steps/s\ncurve  {picture}"
        )
        return summary

    def _on_signal(self, number: int, frame: Any) -> None:
        del frame
        if self.stop_signal is not None:  # told twice: stop at once
            raise KeyboardInterrupt
        self.stop_signal = number

    def _chunk_steps(self) -> int:
        return self.plan.steps_per_chunk * self.config.num_seeds

    def _steps_per_second(self) -> float | None:
        """Steps of all seeds a second: the median over this session's chunks, those with an evaluation left out."""
        return self._chunk_steps() / float(np.median(self.chunk_seconds)) if self.chunk_seconds else None

    def _wall_seconds(self, now: float) -> float:
        return self.earlier_seconds + now - self.begun
