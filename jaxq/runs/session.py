"""One process's share of a run: dispatch chunks ahead of reading their metrics, log, checkpoint, resume, finish."""

import json
import math
import signal
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxq import platforms
from jaxq.configs import Member, Run
from jaxq.errors import DivergedError, require, warn
from jaxq.runs.aggregate import interquartile_mean
from jaxq.runs.checkpoints import KEPT, Checkpoints, learned_by
from jaxq.runs.directory import RunDirectory, finite_or_null, read_metrics, to_json, write_json
from jaxq.runs.display import Display
from jaxq.runs.hosts import Follower, any_of, first, is_first, noticing_lost_hosts
from jaxq.runs.memory import bytes_of, readable
from jaxq.runs.plots import load_curves, merge, plot_curves
from jaxq.runs.population import Assembly, Renumbering, member_keys
from jaxq.runs.programs import Programs, compiled, turn_program
from jaxq.runs.scripts import command_of
from jaxq.runs.sinks import Sink, open_sinks
from jaxq.training import Plan
from jaxq.training.controllers import Turn
from jaxq.types import Metrics, PyTree

# Metrics that are NaN where nothing was there to average; any other NaN means that learning has diverged.
MAY_BE_MISSING = ("episode_return", "episode_length", "eval_return", "eval_length")

Values = dict[str, list[float]]  # a metric of each member


def _on_the_host(metrics: Metrics) -> Values:
    return {name: np.asarray(value, np.float64).tolist() for name, value in metrics.items()}


def _first_of(values: jax.Array) -> int:
    """A member's, of those that are on this host."""
    return int(values.addressable_shards[0].data[0])


class Session:
    """One process's share of a run."""

    def __init__(
        self,
        config: Run,
        script: Path,
        assembly: Assembly,
        plan: Plan,
        directory: RunDirectory | Follower,
        state_shape: PyTree,
        renumbering: Renumbering,
    ):
        self.config, self.assembly, self.plan = config, assembly, plan
        self.training = assembly.training
        self.script = script
        self.experiment = script.stem
        self.directory, self.state_shape = directory, state_shape
        self.display = Display(f"{script.stem} {config.env}", plan.total_steps, quiet=not is_first())
        self.checkpoints = Checkpoints(directory.path)
        self.sinks: list[Sink] = []
        self.begun = time.monotonic()
        self.compile_seconds = 0.0
        self.earlier_seconds = 0.0
        self.chunk_seconds: list[float] = []
        self.evaluation_seconds = 0.0
        self.since = self.begun  # when the last metrics were there, or whatever came after them was done
        self.stop_signal: int | None = None
        self.stopped = False  # this process or another
        self.diverged: list[int | None] = [None] * config.num_members  # the step at which each member was found so
        self.renumbering, self.controller = renumbering, config.make_controller()
        self.members = config.all_members  # with the numbers that they have now
        self.remembered: dict[str, Any] = {}  # by the controller

    def close(self) -> None:
        """Release what the session holds."""
        self.display.stop()
        for sink in self.sinks:
            sink.close()
        self.checkpoints.close()

    def train(self) -> dict[str, Any]:
        """The whole session."""
        track = self.config.track if is_first() else "none"
        self.sinks = open_sinks(track, self.directory.path, to_json(self.config), self.experiment)
        checkpoints = readable((KEPT + 1) * bytes_of(self.state_shape))
        self.display.say(f"{self.directory.path}: up to {checkpoints} in checkpoints; compiling")
        begun = time.monotonic()
        programs = compiled(self.assembly, self.plan.iterations, self.state_shape)
        if self.controller is not None:
            self.turn_program = turn_program(self.assembly, self.state_shape)
        self.compile_seconds = time.monotonic() - begun
        state, chunk, unread = self._resume(programs) if self.config.resume else self._start(programs)
        self.display.start(self.plan.steps_after(chunk))
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            with noticing_lost_hosts(f"to go on, start all again as before, with --resume: {self.directory.path}"):
                self._loop(programs, state, chunk, unread)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        with first() as writes:
            if writes:
                self._finish()
        return json.loads((self.directory.path / "summary.json").read_text())

    def _start(self, programs: Programs) -> tuple[PyTree, int, Values | None]:
        def learned(state: PyTree) -> PyTree:
            if self.config.init_from is None:
                return state
            return state.replace(agent=learned_by(self.config.init_from, state.agent))

        return programs.start(member_keys(self.config), learned), 0, None

    def _resume(self, programs: Programs) -> tuple[PyTree, int, Values | None]:
        if self.checkpoints.empty:
            self.directory.rewind(-1)
            self.display.say(f"{self.directory.path}: stopped before its first checkpoint, so it begins anew")
            return self._start(programs)
        state, notes = self.checkpoints.restore(self.state_shape)
        chunk, unlogged = int(notes["chunk"]), notes["unlogged"]
        members = tuple(Member.from_json(member) for member in notes["members"])
        same = self.controller is not None or members == self.members
        require(same, "run_dir", str(self.directory.path), "of this population: its checkpoint is of another")
        self.earlier_seconds, self.diverged = notes["wall_seconds"], notes["diverged"]
        self.members, self.remembered = members, notes["controller"]
        self.directory.rewind(self.plan.steps_after(chunk) - (unlogged is not None))
        self.display.say(f"{self.directory.path}: resumed at step {self.plan.steps_after(chunk):,}")
        if not self.training.environment.resumable and chunk < self.plan.chunks:
            self.display.say(f"{self.config.env} cannot save its state: fresh episodes begin here")
            state = jax.jit(self.training.with_fresh_episodes, donate_argnums=0)(state)
        return state, chunk, unlogged

    def _loop(self, programs: Programs, state: PyTree, chunk: int, unlogged: Values | None) -> None:
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
        while not self._told_to_stop() and (chunk < self.plan.chunks or unlogged is not None):
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
                turn = self._decided(chunk, {**unlogged, **evaluated})
                self._log(chunk, {**unlogged, **evaluated}, turn)
                state = self._turned(state, turn)
                unlogged, last_saved = None, None if last_saved == chunk else last_saved
            (due,) = any_of(time.monotonic() - saved_at >= 60.0 * self.config.checkpoint_minutes)
            if due:
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
        if self.stopped and (chunk < self.plan.chunks or unlogged is not None):
            self.display.stop()
            by = f" by {signal.Signals(self.stop_signal).name}" if self.stop_signal else ""
            self.display.say(
                f"stopped{by} at step {self.plan.steps_after(chunk):,}, "
                f"checkpoint written; to go on: {command_of(self.script)} --run-dir {self.directory.path} --resume"
            )
            raise SystemExit(0)

    def _told_to_stop(self) -> bool:
        """Whether this or another process of the run was."""
        (self.stopped,) = any_of(self.stop_signal is not None)
        return self.stopped

    def _decided(self, chunk: int, values: Values) -> Turn | None:
        """What the controller has the lanes go on with, if it is asked after this chunk."""
        if self.controller is None or chunk == self.plan.chunks:
            return None
        evaluations = sum(self.plan.evaluates(c) for c in range(1, chunk + 1))
        if evaluations % self.controller.period:
            return None
        self._note_diverged(values, self.plan.steps_after(chunk))
        alive = [step is None for step in self.diverged]
        scores = np.where(alive, np.nan_to_num(values["eval_return"], nan=-np.inf), -np.inf)
        rng = np.random.default_rng([self.config.seed, chunk])
        turn, self.remembered = self.controller.turn(
            self._whole_settings(), scores, self.remembered, self.renumbering.allows, rng
        )
        return turn

    def _turned(self, state: PyTree, turn: Turn | None) -> PyTree:
        """The state after a turn."""
        if turn is None or turn.source == list(range(len(self.members))):
            return state
        changed = [lane != source for lane, source in enumerate(turn.source)]
        pairs = zip(self.members, turn.settings, changed, strict=True)
        self.members = tuple(Member(m.seed, setting) if new else m for m, setting, new in pairs)
        self.diverged = [None if new else step for step, new in zip(self.diverged, changed, strict=True)]
        numbers = self.renumbering.numbers(self.members)
        return self.turn_program(state, np.array(turn.source, np.int32), numbers)

    def _evaluate(self, programs: Programs, state: PyTree) -> Values | None:
        """Test the members, part by part; None if the run is told to stop before the end."""
        begun = time.monotonic()
        evaluation, more = programs.begin_evaluation(state), True
        while more:
            if self._told_to_stop():
                return None
            evaluation, unfinished = programs.evaluate(state, evaluation)
            more = bool(unfinished)
            self.display.evaluating(_first_of(evaluation.time), self.training.evaluation.longest)
        self.since = time.monotonic()
        self.evaluation_seconds += self.since - begun
        return _on_the_host(programs.evaluated(evaluation))

    def _take(self, metrics: Metrics) -> Values:
        """Wait for a chunk's metrics."""
        values = _on_the_host(metrics)
        now = time.monotonic()
        self.chunk_seconds.append(now - self.since)
        self.since = now
        return values

    def _log(self, chunk: int, values: Values, turn: Turn | None = None) -> None:
        """Write down a chunk's metrics, and what the controller has decided by them."""
        step = self.plan.steps_after(chunk)
        self._note_diverged(values, step)
        values = {
            name: [math.nan if lost is not None else v for v, lost in zip(value, self.diverged, strict=True)]
            for name, value in values.items()
        }
        nothing = [None] * self.config.num_members
        missing = {name: nothing for name in ("eval_return", "eval_length") if name not in values}
        wall_seconds = round(self._wall_seconds(time.monotonic()), 3)
        source = {} if turn is None else {"source": turn.source}
        told = {**values, **missing, **self._settings(), **source, "wall_seconds": wall_seconds}
        line = finite_or_null({"step": step, **told})
        self.directory.log(line)
        for sink in self.sinks:
            sink.log(line)
        self.display.update(line, self._steps_per_second() or 0.0)

    def _note_diverged(self, values: Values, step: int) -> None:
        """Tell of members that have diverged; the program has frozen them.

        Raises:
          DivergedError: if no other is left.
        """
        for name, value in values.items():
            if name in MAY_BE_MISSING or all(math.isfinite(v) for v in value):
                continue
            new = [i for i, v in enumerate(value) if not math.isfinite(v) and self.diverged[i] is None]
            for i in new:
                self.diverged[i] = step
            if None not in self.diverged:
                raise DivergedError(
                    f"{name} is {value} at step {step:,}: learning has diverged; "
                    f"the last good checkpoint is in {self.checkpoints.path}"
                )
            for i in new:
                self.display.say(f"member {i} ({self._row(i)}) has diverged at step {step:,} and is frozen")

    def _settings(self) -> dict[str, list[Any]]:
        """Of each field that members have of their own, every member's value."""
        settings = self._whole_settings()
        return {f"setting/{name}": [setting[name] for setting in settings] for name in settings[0]}

    def _whole_settings(self) -> list[dict[str, Any]]:
        """Each member's value of every field that some members have of their own."""
        names = sorted({name for member in self.members for name in member.setting})
        return [{name: m.setting.get(name, getattr(self.config, name)) for name in names} for m in self.members]

    def _row(self, member: int) -> str:
        """A member in words."""
        return ", ".join(f"{name} {value}" for name, value in self.members[member].to_json().items())

    def _save(self, chunk: int, state: PyTree, unlogged: Values | None = None) -> None:
        self.directory.sync()
        notes = {
            "chunk": chunk,
            "wall_seconds": self._wall_seconds(time.monotonic()),
            "unlogged": unlogged,
            "diverged": self.diverged,
            "members": [member.to_json() for member in self.members],
            "controller": self.remembered,
        }
        self.checkpoints.save(chunk, state, notes)

    def _finish(self) -> None:
        """Write down and say what has come of the run."""
        self.display.stop()
        # The last evaluation and no earlier one, though it may not be finite.
        returns = read_metrics(self.directory.path)[-1]["eval_return"]
        lost = sum(step is not None for step in self.diverged)
        counted = [score for score, step in zip(returns, self.diverged, strict=True) if step is None]
        finite = None not in counted
        speed = self._steps_per_second()
        device = platforms.device()
        summary = {
            "agent": self.experiment,
            "env": self.config.env,
            "total_steps": self.plan.total_steps,
            "num_seeds": self.config.num_seeds,
            "members": [
                {"seed": member.seed, "setting": dict(member.setting), "return": score, "diverged": step}
                for member, score, step in zip(self.members, returns, self.diverged, strict=True)
            ],
            "returns": returns,
            # Of what has diverged there is no return, and means over the others would say too much.
            "return_mean": float(np.mean(returns)) if finite and not lost else None,
            "return_iqm": interquartile_mean(np.array(returns)) if finite and not lost else None,
            "env_steps_per_second": speed,
            "updates_per_second": None if speed is None else speed * self.training.updates_per_step,
            "compile_seconds": self.compile_seconds,
            "evaluation_share": self.evaluation_seconds / max(time.monotonic() - self.begun, 1e-9),
            "wall_seconds": self._wall_seconds(time.monotonic()),
            "device": f"{device.platform}: {device.device_kind}",
        }
        write_json(self.directory.path / "summary.json", summary)
        picture = self.directory.path / "curve.png"
        curves = load_curves(self.directory.path)
        if curves:
            plot_curves(merge(curves), picture)
        kind = "members" if self.config.population else "seeds"
        over = f" over {len(counted)} {kind}" if len(returns) > 1 else ""
        mean = f"{np.mean(counted):.4g} (mean return of the last evaluation{over})" if finite else ""
        score = mean or "- (the last evaluation is not finite)"
        if lost:
            rows = "; ".join(self._row(i) for i, step in enumerate(self.diverged) if step is not None)
            warn(f"{lost} of {len(returns)} members diverged and were frozen: {rows}")
        self.display.say(
            f"score  {score}\nspeed  {'-' if speed is None else f'{speed:,.0f}'} environment steps/s\ncurve  {picture}"
        )

    def _on_signal(self, number: int, frame: Any) -> None:
        del frame
        if self.stop_signal is not None:  # told twice: stop at once
            raise KeyboardInterrupt
        self.stop_signal = number

    def _chunk_steps(self) -> int:
        return self.plan.steps_per_chunk * self.config.num_members

    def _steps_per_second(self) -> float | None:
        """Steps of all members a second: the median over this session's chunks, those with an evaluation left out."""
        return self._chunk_steps() / float(np.median(self.chunk_seconds)) if self.chunk_seconds else None

    def _wall_seconds(self, now: float) -> float:
        return self.earlier_seconds + now - self.begun
