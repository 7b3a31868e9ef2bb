"""The host side of a run: compile once, dispatch chunks ahead of reading their metrics, log, checkpoint, resume."""

import contextlib
import dataclasses
import datetime
import errno
import inspect
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxq.errors import DivergedError, InputError, require
from jaxq.runs.aggregate import interquartile_mean
from jaxq.runs.checkpoints import KEPT, Checkpoints
from jaxq.runs.config import RunConfig, to_json
from jaxq.runs.directory import RunDirectory, finite_or_null, provenance, read_metrics, write_json
from jaxq.runs.display import Display
from jaxq.runs.plots import load_curve, plot_curves
from jaxq.runs.sinks import Sink, open_sinks, require_tracker
from jaxq.training import Plan, Training
from jaxq.types import Metrics, PyTree

ConfigT = TypeVar("ConfigT", bound=RunConfig)

# Metrics that are NaN where nothing was there to average; any other NaN means that learning has diverged.
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


def member_keys(config: RunConfig) -> jax.Array:
    """[N] one key for each seed."""
    return jax.vmap(jax.random.key)(jnp.arange(config.seed, config.seed + config.num_seeds))


def default_run_dir(config: RunConfig, experiment: str) -> Path:
    """runs/<experiment>_<env>_s<seed>_<time>."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{experiment}_{config.env.replace('/', '-')}_s{config.seed}_{now}"


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
    script = Path(inspect.getfile(build))
    experiment = script.stem
    use_device(config.device)
    training = build(config)
    plan = training.plan(config.total_steps, config.num_logs, config.num_evaluations)
    path = config.run_dir or default_run_dir(config, experiment)
    config = dataclasses.replace(config, run_dir=path)
    state_shape = jax.eval_shape(training.init, member_keys(config))
    require_tracker(config.track)
    if not config.resume:
        _require_disk(path, state_shape)
    directory = RunDirectory(path, resume=config.resume)
    try:
        if not config.resume:
            shutil.copyfile(script, path / "experiment.py")
            write_json(path / "provenance.json", provenance())
            # Last, because it is what makes the directory one that holds a run.
            write_json(path / "config.json", {"experiment": experiment, **to_json(config)})
        with contextlib.closing(_Session(config, experiment, training, plan, directory, state_shape)) as session:
            return session.train()
    except Exception as error:
        if _disk_is_full(error):
            message = f"run_dir is '{path}', on a disk that is full; the last whole checkpoint is kept"
            raise InputError(message) from None
        raise
    finally:
        directory.close()


def _disk_is_full(error: BaseException) -> bool:
    """Whether that is what an error says; the storage layers below Orbax raise ValueError with errno's text in it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def _require_disk(path: Path, state_shape: PyTree) -> None:
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    needed = (KEPT + 1) * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state_shape))
    free = shutil.disk_usage(existing).free
    require(
        free >= needed,
        "run_dir",
        str(path),
        f"on a disk with {needed / 1e6:,.0f} MB free for checkpoints, replay included; it has {free / 1e6:,.0f} MB",
    )


class _Session:
    """One process's share of a run."""

    def __init__(
        self,
        config: RunConfig,
        experiment: str,
        training: Training,
        plan: Plan,
        directory: RunDirectory,
        state_shape: PyTree,
    ):
        self.config, self.experiment, self.training, self.plan = config, experiment, training, plan
        self.directory, self.state_shape = directory, state_shape
        self.display = Display(f"{experiment} {config.env}", plan.total_steps)
        self.checkpoints = Checkpoints(directory.path)
        self.sinks: list[Sink] = []
        self.begun = time.monotonic()
        self.compile_seconds = 0.0
        self.earlier_seconds = 0.0
        self.chunk_seconds: list[float] = []
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
        self.display.say(f"{self.directory.path}: compiling")
        state, chunk = self._resume() if self.config.resume else self._start()
        compiled = self._compile()
        self.display.start(self.plan.steps_after(chunk))
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._loop(compiled, state, chunk)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self._finish()

    def _compile(self) -> Any:
        begun = time.monotonic()
        train_chunk = jax.jit(lambda state: self.training.train_chunk(state, self.plan), donate_argnums=0)
        compiled = train_chunk.lower(self.state_shape).compile()
        self.compile_seconds = time.monotonic() - begun
        return compiled

    def _start(self) -> tuple[PyTree, int]:
        state = jax.jit(self.training.init)(member_keys(self.config))
        return jax.jit(self.training.warm_up, donate_argnums=0)(state), 0

    def _resume(self) -> tuple[PyTree, int]:
        if self.checkpoints.empty:
            self.directory.rewind(-1)
            self.display.say(f"{self.directory.path}: stopped before its first checkpoint, so it begins anew")
            return self._start()
        state, notes = self.checkpoints.restore(self.state_shape)
        chunk = int(notes["chunk"])
        self.earlier_seconds = notes["wall_seconds"]
        self.directory.rewind(self.plan.steps_after(chunk))
        self.display.say(f"{self.directory.path}: resumed at step {self.plan.steps_after(chunk):,}")
        if not self.training.environment.resumable and chunk < self.plan.chunks:
            self.display.say(f"{self.config.env} cannot save its state: fresh episodes begin here")
            state = jax.jit(self.training.with_fresh_episodes, donate_argnums=0)(state)
        return state, chunk

    def _loop(self, compiled: Any, state: PyTree, chunk: int) -> None:
        """Dispatch the chunks that are left; the metrics of one are read while the next one runs."""
        saved_at = time.monotonic()
        last_saved = chunk if chunk else None
        pending: tuple[int, Metrics] | None = None
        ready_at = time.monotonic()
        while chunk < self.plan.chunks and self.stop_signal is None:
            state, metrics = compiled(state)
            chunk += 1
            if pending is not None:
                ready_at = self._read(*pending, ready_at)
            pending = (chunk, metrics)
            if time.monotonic() - saved_at >= 60.0 * self.config.checkpoint_minutes:
                # The metrics come first: a checkpoint is never ahead of them, nor of a NaN in them.
                ready_at, pending = self._read(*pending, ready_at), None
                self._save(chunk, state)
                last_saved, saved_at = chunk, time.monotonic()
                ready_at = saved_at
        if pending is not None:
            self._read(*pending, ready_at)
        if last_saved != chunk:
            self._save(chunk, state)
        self.checkpoints.wait()
        if self.stop_signal is not None and chunk < self.plan.chunks:
            self.display.stop()
            self.display.say(
                f"stopped by {signal.Signals(self.stop_signal).name} at step {self.plan.steps_after(chunk):,}, "
                f"checkpoint written; to go on: python experiments/{self.experiment}.py "
                f"--run-dir {self.directory.path} --resume"
            )
            raise SystemExit(0)

    def _read(self, chunk: int, metrics: Metrics, since: float) -> float:
        """Wait for a chunk's metrics and write them down; returns when they were there."""
        values = {name: np.asarray(value, np.float64).tolist() for name, value in metrics.items()}
        now = time.monotonic()
        step = self.plan.steps_after(chunk)
        for name, value in values.items():
            if name not in MAY_BE_MISSING and not all(math.isfinite(v) for v in value):
                raise DivergedError(
                    f"{name} is {value} at step {step:,}: learning has diverged; "
                    f"the last good checkpoint is in {self.checkpoints.path}"
                )
        line = finite_or_null({"step": step, **values, "wall_seconds": round(self._wall_seconds(now), 3)})
        self.directory.log(line)
        for sink in self.sinks:
            sink.log(line)
        if not self.plan.evaluates(chunk) or self.plan.chunks_per_evaluation == 1:
            self.chunk_seconds.append(now - since)
        self.display.update(line, self._steps_per_second() or self._chunk_steps() / (now - since))
        return now

    def _save(self, chunk: int, state: PyTree) -> None:
        self.directory.sync()
        notes = {"chunk": chunk, "wall_seconds": self._wall_seconds(time.monotonic())}
        self.checkpoints.save(chunk, state, notes)

    def _finish(self) -> dict[str, Any]:
        self.display.stop()
        returns = next(
            line["eval_return"]
            for line in reversed(read_metrics(self.directory.path))
            if None not in line["eval_return"]
        )
        speed = self._steps_per_second()
        device = jax.devices()[0] if self.config.device == "auto" else jax.devices(self.config.device)[0]
        summary = {
            "agent": self.experiment,
            "env": self.config.env,
            "total_steps": self.plan.total_steps,
            "num_seeds": self.config.num_seeds,
            "returns": returns,
            "return_mean": float(np.mean(returns)),
            "return_iqm": interquartile_mean(np.array(returns)),
            "env_steps_per_second": speed,
            "updates_per_second": None if speed is None else speed * self.training.updates_per_step,
            "compile_seconds": self.compile_seconds,
            "wall_seconds": self._wall_seconds(time.monotonic()),
            "device": f"{device.platform}: {device.device_kind}",
        }
        write_json(self.directory.path / "summary.json", summary)
        picture = self.directory.path / "curve.png"
        plot_curves([load_curve(self.directory.path)], picture)
        seeds = f" over {len(returns)} seeds" if len(returns) > 1 else ""
        self.display.say(
            f"score  {summary['return_mean']:,.1f} (mean evaluation return{seeds})\n"
            f"speed  {'-' if speed is None else f'{speed:,.0f}'} environment steps/s\n"
            f"curve  {picture}"
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
