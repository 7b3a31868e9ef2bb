"""One process's share of a run: dispatch chunks ahead of reading their metrics, log, checkpoint, resume, finish."""

import contextlib
import dataclasses
import json
import shlex
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxq import platforms
from jaxq.configs import Run
from jaxq.errors import DivergedError, require
from jaxq.host_memory import readable
from jaxq.runs.checkpoints import KEPT, Checkpoints, learned_by
from jaxq.runs.clock import Clock
from jaxq.runs.directory import RunDirectory, finite_or_null, first_length, read_metrics, to_json, write_json
from jaxq.runs.display import Display
from jaxq.runs.ending import outcome, score_of, warn_of_the_diverged, warn_of_what_was_not_finite
from jaxq.runs.hosts import Follower, agreed, any_of, first, is_first
from jaxq.runs.interruption import Interruption, before_leaving, way_of_going_on
from jaxq.runs.memory import bytes_of
from jaxq.runs.pace import Pace
from jaxq.runs.plots import load_curves, merge, plot_curves
from jaxq.runs.population import Assembly, Renumbering, member_keys
from jaxq.runs.profile import EVALUATION_SECONDS, Profiler, Report, alone, with_names_kept
from jaxq.runs.profile import FOLDER as PROFILE
from jaxq.runs.programs import Programs, compiled, renumbering_program, turn_program
from jaxq.runs.roster import Roster
from jaxq.runs.scripts import command_of
from jaxq.runs.sinks import Sink, open_sinks
from jaxq.training import ChunkState, Plan, TrainState
from jaxq.training.controllers import Turn
from jaxq.training.evaluation import EVALUATED
from jaxq.types import Metrics, PyTree

Values = dict[str, list[float]]  # a metric of each member


def _on_the_host(metrics: Metrics) -> Values:
    return {name: np.asarray(value, np.float64).tolist() for name, value in metrics.items()}


@dataclasses.dataclass
class Progress:
    """Where a run is.

    Attributes:
      state: of everything.
      chunk: chunks done.
      under_way: the next one, if it is begun.
      done: iterations of it.
      unlogged: the last one's metrics, until the evaluation after it is done.
    """

    state: TrainState
    chunk: int = 0
    under_way: ChunkState | None = None
    done: int = 0
    unlogged: Values | None = None

    @property
    def place(self) -> tuple[int, int, bool]:
        """What of the run is done and written, to compare by."""
        return self.chunk, self.done, self.unlogged is None


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
        told: Interruption,
        watch: Sink | None,
    ):
        self.config, self.assembly, self.plan = config, assembly, plan
        self.training = assembly.training
        self.script = script
        self.experiment = script.stem
        self.directory, self.state_shape, self.told = directory, state_shape, told
        self.display = Display(
            f"{script.stem} {config.env}", plan.total_steps, config.num_members, quiet=not is_first()
        )
        self.checkpoints = Checkpoints(directory.path)
        self.sinks: list[Sink] = []
        self.watch = watch
        self.clock = Clock()
        self.profiler: Profiler | None = None
        self.pace, self.evaluation_pace = Pace(), Pace()
        self.stopped = False  # this process or another
        self.renumbering = renumbering
        self.roster = Roster(config, renumbering)

    def close(self) -> None:
        """Release what the session holds."""
        self.display.stop()
        for sink in self.sinks:
            sink.close()
        self.checkpoints.close()

    def prepare(self) -> tuple[Programs, Progress]:
        """Compile, and do what is to be done before anything new is learned: what `train` goes on with.

        Raises:
          InputError: for what cannot be traced or compiled, or a checkpoint that does not fit.
          SystemExit: with code 0, if told to stop.
        """
        if self.config.resume and self.checkpoints.empty:
            ended = (self.directory.path / "summary.json").exists()  # and so has had one
            allowed = "one with a checkpoint to go on from: this run has ended, and its checkpoints are gone"
            require(not ended, "run_dir", str(self.directory.path), allowed)
        track = self.config.track if is_first() else "none"
        self.sinks = open_sinks(track, self.directory.path, to_json(self.config), self.experiment)
        self.sinks += [self.watch] if self.watch else []
        with before_leaving(self._leave_at_once):
            prepared = self._begin()
            self.told.hold()
        return prepared

    def train(self, programs: Programs, progress: Progress) -> dict[str, Any]:
        """All that is left to be learned: the values of summary.json."""
        if self.config.profile:
            self.profiler = Profiler(self.directory.path / PROFILE, programs.advance_chunk.as_text())
        self.display.start(self._step(progress))
        self._loop(programs, progress)
        with first() as writes:
            if writes and not self._was_finished():
                self._finish()
        return json.loads((self.directory.path / "summary.json").read_text())

    def _begin(self) -> tuple[Programs, Progress]:
        """What is to be done before anything new is learned."""
        goes_on = self.config.resume and not self.checkpoints.empty
        checkpoints = readable((KEPT + 1) * bytes_of(self.state_shape))
        self.display.say(f"{self.directory.path}: up to {checkpoints} in checkpoints; compiling")
        begun = time.monotonic()
        if self.roster.controller is not None:
            self.turn_program = turn_program(
                self.assembly, self.state_shape, self.renumbering, self.config.controller, self.config.deterministic
            )
        with with_names_kept() if self.config.profile else contextlib.nullcontext():
            keys = None if goes_on else member_keys(self.config)
            programs = compiled(self.assembly, self.plan.iterations, self.state_shape, keys, self.config.deterministic)
        self.clock.compiling = time.monotonic() - begun
        progress = self._start(programs, keys) if keys is not None else self._resume(programs)
        jax.block_until_ready(progress.state)
        return programs, progress

    def _leave_at_once(self, name: str) -> None:
        """Told to stop before there was anything to save."""
        for sink in self.sinks:
            sink.close()
        then = f"to go on: {self._way_of_going_on()}" if self.config.resume else "the same command begins again"
        self.display.say(f"stopped by {name} before anything new was learned; {then}")

    def _way_of_going_on(self) -> str:
        own = f"{command_of(self.script)} --run-dir {shlex.quote(str(self.directory.path))} --resume"
        return way_of_going_on(own)

    def _start(self, programs: Programs, keys: jax.Array) -> Progress:
        if self.config.resume:
            self.directory.rewind(-1)
            self.display.say(f"{self.directory.path}: stopped before its first checkpoint, so it begins anew")

        def learned(state: PyTree) -> PyTree:
            if self.config.init_from is None:
                return state
            return state.replace(agent=learned_by(self.config.init_from, state.agent))

        return Progress(programs.warm_up(learned(programs.init(keys, self.assembly.numbers))))

    def _resume(self, programs: Programs) -> Progress:
        state, under_way, notes = self.checkpoints.restore(self.state_shape, programs.chunk_shape)
        progress = Progress(state, int(notes["chunk"]), under_way, int(notes["done"]), notes["unlogged"])
        self.roster.restore(notes, str(self.directory.path))
        self.clock.earlier = notes["wall_seconds"]
        self.directory.rewind(self.plan.steps_after(progress.chunk) - (progress.unlogged is not None))
        self.display.say(f"{self.directory.path}: resumed at step {self._step(progress):,}")
        self._lengthen(progress)
        if not self.training.environment.resumable and progress.chunk < self.plan.chunks:
            self.display.say(f"{self.config.env} cannot save its state: fresh episodes begin here")
            progress.state = jax.jit(self.training.with_fresh_episodes, donate_argnums=0)(progress.state)
        return progress

    def _lengthen(self, progress: Progress) -> None:
        """In a run made longer schedules end where it does now, whatever they were when the state was saved."""
        begun = first_length(self.directory.path)
        if begun < self.config.total_steps:
            numbers = self.renumbering.lengthened(self.roster.members, begun)
            if numbers:
                renumber = renumbering_program(self.assembly, self.state_shape, numbers)
                progress.state = renumber(progress.state, numbers)

    def _step(self, progress: Progress) -> int:
        """Steps of each member so far."""
        of_chunk = self.plan.steps_per_chunk * progress.done // self.plan.iterations
        return self.plan.steps_after(progress.chunk) + of_chunk

    def _loop(self, programs: Programs, now: Progress) -> None:
        """Dispatch the chunks that are left; the metrics of one are read while the next one runs.

        A chunk that takes long is dispatched in parts, so that a run that is told to stop can save soon. What is
        learned and logged is the same, however it is cut.
        """
        saved_at = self.clock.go_on()
        saved: tuple[int, int, bool] | None = now.place if now.place != (0, 0, True) else None
        pending: tuple[int, Metrics] | None = None
        while not self._told_to_stop() and (now.chunk < self.plan.chunks or now.unlogged is not None):
            if now.unlogged is None:
                metrics = self._advance(programs, now, pending)
                pending = None if metrics is None else (now.chunk, metrics)
                if metrics is not None and self.plan.evaluates(now.chunk):
                    pending, now.unlogged = None, self._take(metrics)
            if now.unlogged is not None:
                evaluated = self._evaluate(programs, now.state)
                if evaluated is None:  # told to stop in the middle of it
                    break
                values = {**now.unlogged, **evaluated}
                turn = self._decided(now.chunk, values)
                self._log(now.chunk, values, turn)
                now.state, now.unlogged = self._turned(now.state, turn), None
            (due,) = any_of(time.monotonic() - saved_at >= 60.0 * self.config.checkpoint_minutes)
            if due:
                # The metrics come first: a checkpoint is never ahead of them, nor of a NaN in them.
                if pending is not None:
                    self._log(pending[0], self._take(pending[1]))
                    pending = None
                self._save(now)
                saved, saved_at = now.place, self.clock.go_on()
        if pending is not None:
            self._log(pending[0], self._take(pending[1]))
        if saved != now.place:
            self._save(now)
        self.checkpoints.wait()
        if self.stopped and (now.chunk < self.plan.chunks or now.unlogged is not None):
            self.display.stop()
            by = f" by {self.told.name}" if self.told else ""
            self.display.say(
                f"stopped{by} at step {self._step(now):,}, checkpoint written; to go on: {self._way_of_going_on()}"
            )
            raise SystemExit(0)

    def _advance(self, programs: Programs, now: Progress, pending: tuple[int, Metrics] | None) -> Metrics | None:
        """Go on for about as long as one may be kept waiting; the metrics of the chunk if that was its end.

        Args:
          programs: compiled.
          now: goes on.
          pending: the metrics of the chunk before, to be logged once there is other work under way.
        """
        if now.under_way is None:
            now.under_way = programs.begin_chunk(now.state)
        left = self.plan.iterations - now.done
        wanted = self.profiler.count if self.profiler else None
        count = agreed(min(wanted or self.pace.count, left))

        def advance() -> Any:
            return programs.advance_chunk(now.state, now.under_way, np.int32(count))

        if self.profiler and wanted:
            jax.block_until_ready(now.under_way)
            now.state, now.under_way, done = self.profiler.watch(count, advance)
        else:
            now.state, now.under_way, done = advance()
        if pending is not None:
            self._log(pending[0], self._take(pending[1]))
        if self.profiler and wanted and self.profiler.shares:
            self._tell_profile(programs, now.state)
        if count < left:
            begun = time.monotonic()
            jax.block_until_ready(done)
            if not wanted:  # what was watched is done already
                self.pace.took(count, time.monotonic() - begun)
            now.done += count
            return None
        now.state, metrics = programs.end_chunk(now.state, now.under_way)
        now.under_way, now.done, now.chunk = None, 0, now.chunk + 1
        return metrics

    def _told_to_stop(self) -> bool:
        """Whether this or another process of the run was."""
        (self.stopped,) = any_of(bool(self.told))
        return self.stopped

    def _decided(self, chunk: int, values: Values) -> Turn | None:
        """What the controller has the lanes go on with, if it is asked after this chunk."""
        if self.roster.controller is None or chunk == self.plan.chunks:
            return None
        evaluations = sum(self.plan.evaluates(c) for c in range(1, chunk + 1))
        if evaluations % self.roster.controller.period:
            return None
        self._note_diverged(values, self.plan.steps_after(chunk))
        return self.roster.decide(values, chunk)

    def _turned(self, state: PyTree, turn: Turn | None) -> PyTree:
        """The state after a turn."""
        if turn is None or not self.roster.turn(turn):
            return state
        numbers = self.renumbering.numbers(self.roster.members)
        return self.turn_program(state, np.array(turn.source, np.int32), numbers)

    def _tell_profile(self, programs: Programs, state: TrainState) -> None:
        """Where the time goes, and what parts take alone; the state is left as it is."""
        assert self.profiler is not None
        assert self.profiler.shares is not None
        begun = time.monotonic()
        evaluation, more = programs.begin_evaluation(state), True
        while more and not self.told and time.monotonic() - begun < EVALUATION_SECONDS:
            evaluation, unfinished = programs.evaluate(state, evaluation, np.int32(self.evaluation_pace.count))
            more = bool(unfinished)
        seconds = time.monotonic() - begun
        if self.told:
            return
        steps = self.plan.steps_per_chunk // self.plan.iterations * self.config.num_members
        products, environment = alone(programs.advance_chunk.as_text(), self.renumbering.apart(), steps)
        report = Report(
            self.profiler.shares,
            self.profiler.slowdown,
            self.plan.iterations,
            (seconds, not more),
            self.plan.chunks_per_evaluation,
            products,
            environment,
        )
        write_json(self.directory.path / "profile.json", report.to_json())
        self.display.say(f"{report}\ntrace  {self.directory.path / PROFILE}, for ui.perfetto.dev")
        self.clock.go_on()

    def _evaluate(self, programs: Programs, state: PyTree) -> Values | None:
        """Test the members, part by part; None if the run is told to stop before the end."""
        begun = time.monotonic()
        evaluation, more = programs.begin_evaluation(state), True
        while more:
            if self._told_to_stop():
                return None
            since, count = time.monotonic(), agreed(self.evaluation_pace.count)
            evaluation, unfinished = programs.evaluate(state, evaluation, np.int32(count))
            more = bool(unfinished)
            if more:  # and not cut short by the end of all episodes
                self.evaluation_pace.took(count, time.monotonic() - since)
            self.display.evaluating(_first_of(evaluation.time), self.training.evaluation.longest)
        self.clock.evaluation_done(begun)
        return _on_the_host(programs.evaluated(evaluation))

    def _take(self, metrics: Metrics) -> Values:
        """Wait for a chunk's metrics."""
        values = _on_the_host(metrics)
        self.pace.took(self.plan.iterations, self.clock.chunk_done())
        self.roster.note_played(values)
        return values

    def _log(self, chunk: int, values: Values, turn: Turn | None = None) -> None:
        """Write down a chunk's metrics, and what the controller has decided by them."""
        step = self.plan.steps_after(chunk)
        self._note_diverged(values, step)
        nothing = [None] * self.config.num_members
        missing = {name: nothing for name in EVALUATED if name not in values}
        source = {} if turn is None else {"source": turn.source}
        members = {**self.roster.counted(values), **missing, **self.roster.columns(), **source}
        told = {**members, "wall_seconds": round(self.clock.wall, 3)}
        line = finite_or_null({"step": step, **told})
        self.directory.log(line)
        for sink in self.sinks:
            sink.log(line)
        self.display.update(line, self._steps_per_second() or 0.0)

    def _note_diverged(self, values: Values, step: int) -> None:
        """Tell of members that have diverged.

        Raises:
          DivergedError: if no other is left.
        """
        try:
            new = self.roster.note_diverged(values, step)
        except DivergedError as error:
            place = f"the last good checkpoint is in {self.checkpoints.path}"
            last = "before a first checkpoint" if self.checkpoints.empty else place
            raise DivergedError(f"{error}; {last}", error.steps) from None
        for i in new:
            self.display.say(f"member {i} ({self.roster.members[i]!s}) has diverged at step {step:,} and is frozen")

    def _save(self, now: Progress) -> None:
        self.directory.sync()
        notes = {
            "chunk": now.chunk,
            "done": now.done,
            "wall_seconds": self.clock.wall,
            "unlogged": now.unlogged,
            **self.roster.notes(),
        }
        self.checkpoints.save(now.state, notes, now.under_way)

    def _was_finished(self) -> bool:
        """Whether there was nothing left to do: then the summary, with the speed that there was, stays as it is."""
        done = not self.clock.chunks and (self.directory.path / "summary.json").exists()
        if done:
            self.display.stop()
            self.display.say(f"{self.directory.path}: this run is finished; more --total-steps make it longer")
        return done

    def _finish(self) -> None:
        """Write down and say what has come of the run."""
        self.display.stop()
        lines = read_metrics(self.directory.path)
        returns = lines[-1]["eval_return"]  # the last evaluation and no earlier one, though it may not be finite
        speed = self._steps_per_second()
        device = platforms.device()
        summary = {
            "agent": self.experiment,
            "env": self.config.env,
            "total_steps": self.plan.total_steps,
            "num_seeds": self.config.num_seeds,
            **outcome(self.roster, returns),
            "env_steps_per_second": speed,
            "updates_per_second": None if speed is None else speed * self.training.updates_per_step,
            "compile_seconds": self.clock.compiling,
            "evaluation_share": self.clock.evaluation_share,
            "wall_seconds": self.clock.wall,
            "device": f"{device.platform}: {device.device_kind}",
        }
        write_json(self.directory.path / "summary.json", summary)
        picture = self.directory.path / "curve.png"
        curves = load_curves(self.directory.path)
        if curves:
            plot_curves(merge(curves), picture)
        steps = self.plan.total_steps * self.config.num_members
        warn_of_what_was_not_finite(lines, steps, self.training.evaluation.environment.num_envs)
        warn_of_the_diverged(self.roster)
        told = "-" if speed is None else f"{speed:,.0f}"
        self.display.say(
            f"score  {score_of(self.roster, returns)}\nspeed  {told} environment steps/s\ncurve  {picture}"
        )

    def _steps_per_second(self) -> float | None:
        """Steps of all members a second, without what evaluations take."""
        return self.clock.rate(self.plan.steps_per_chunk * self.config.num_members)
