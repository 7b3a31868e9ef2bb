"""One process's share of a run: dispatch chunks ahead of reading their metrics, log, checkpoint, resume, finish."""

import contextlib
import dataclasses
import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxq import platforms
from jaxq.configs import Member, Run, in_words
from jaxq.errors import DivergedError, require, warn
from jaxq.host_memory import readable
from jaxq.runs.aggregate import interquartile_mean
from jaxq.runs.checkpoints import KEPT, Checkpoints, learned_by
from jaxq.runs.directory import RunDirectory, finite_or_null, first_length, read_metrics, to_json, write_json
from jaxq.runs.display import Display
from jaxq.runs.hosts import Follower, agreed, any_of, first, is_first
from jaxq.runs.interruption import Interruption, before_leaving
from jaxq.runs.memory import bytes_of
from jaxq.runs.pace import Pace
from jaxq.runs.plots import load_curves, merge, plot_curves
from jaxq.runs.population import Assembly, Renumbering, member_keys
from jaxq.runs.profile import EVALUATION_SECONDS, Profiler, Report, alone, with_names_kept
from jaxq.runs.profile import FOLDER as PROFILE
from jaxq.runs.programs import Programs, compiled, renumbering_program, turn_program
from jaxq.runs.scripts import command_of
from jaxq.runs.sinks import Sink, open_sinks
from jaxq.training import ChunkState, Plan, TrainState
from jaxq.training.controllers import Turn
from jaxq.training.evaluation import EVALUATED
from jaxq.types import Metrics, PyTree

# Metrics that are NaN where nothing was there to average; any other NaN means that learning has diverged.
MAY_BE_MISSING = ("episode_return", "episode_length", "eval_return", "eval_length")
BEST_TOLD = 5  # settings of a population, in the end

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


def scored(members: Sequence[Member], returns: Mapping[int, float]) -> str:
    """The mean return, or that of each setting where members have several, the best of them first; in words.

    Args:
      members: of the run.
      returns: of the last evaluation, by the numbers of the members that count.
    """
    of_settings: dict[str, list[float]] = {}
    for number, score in returns.items():
        of_settings.setdefault(in_words(members[number].setting), []).append(score)

    def told(scores: list[float]) -> str:
        over = f" over {len(scores)} seeds" if len(scores) > 1 else ""
        return f"{np.mean(scores):.4g} (mean return of the last evaluation{over})"

    if len(of_settings) == 1:
        return told(list(returns.values()))
    best = sorted(of_settings.items(), key=lambda item: -np.mean(item[1]))
    rows = [f"{told(scores)}, {setting or 'as configured'}" for setting, scores in best[:BEST_TOLD]]
    left = len(best) - len(rows)
    return "\n       ".join([*rows, *([f"and {left} more, in summary.json"] if left else [])])


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
        self.begun = time.monotonic()
        self.compile_seconds = 0.0
        self.earlier_seconds = 0.0
        self.chunk_seconds: list[float] = []
        self.evaluation_seconds = 0.0
        self.since = self.begun  # when the last metrics were there, or whatever came after them was done
        self.profiler: Profiler | None = None
        self.pace, self.evaluation_pace = Pace(), Pace()
        self.stopped = False  # this process or another
        self.diverged: list[int | None] = [None] * config.num_members  # the step at which each member was found so
        self.renumbering, self.controller = renumbering, config.make_controller()
        self.members = config.all_members  # with the numbers that they have now
        self.remembered: dict[str, Any] = {}  # by the controller
        self.played: list[list[float]] = []  # the training returns of each chunk since it was last asked

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
        if self.config.resume and not goes_on:
            ended = (self.directory.path / "summary.json").exists()  # and so has had one
            allowed = "one with a checkpoint to go on from: this run has ended, and its checkpoints are gone"
            require(not ended, "run_dir", str(self.directory.path), allowed)
        checkpoints = readable((KEPT + 1) * bytes_of(self.state_shape))
        self.display.say(f"{self.directory.path}: up to {checkpoints} in checkpoints; compiling")
        begun = time.monotonic()
        if self.controller is not None:
            self.turn_program = turn_program(
                self.assembly, self.state_shape, self.renumbering, self.config.controller, self.config.deterministic
            )
        with with_names_kept() if self.config.profile else contextlib.nullcontext():
            keys = None if goes_on else member_keys(self.config)
            programs = compiled(self.assembly, self.plan.iterations, self.state_shape, keys, self.config.deterministic)
        self.compile_seconds = time.monotonic() - begun
        progress = self._start(programs, keys) if keys is not None else self._resume(programs)
        jax.block_until_ready(progress.state)
        return programs, progress

    def _leave_at_once(self, name: str) -> None:
        """Told to stop before there was anything to save."""
        for sink in self.sinks:
            sink.close()
        resumed = f"goes on: {command_of(self.script)} --run-dir {shlex.quote(str(self.directory.path))} --resume"
        then = resumed if self.config.resume else "begins again"
        self.display.say(f"stopped by {name} before anything new was learned; the same command {then}")

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
        members = tuple(Member.from_json(member) for member in notes["members"])
        same = self.controller is not None or members == self.members
        require(same, "run_dir", str(self.directory.path), "of this population: its checkpoint is of another")
        self.earlier_seconds, self.diverged = notes["wall_seconds"], notes["diverged"]
        self.members, self.remembered, self.played = members, notes["controller"], notes.get("played", [])
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
            numbers = self.renumbering.lengthened(self.members, begun)
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
        saved_at = self.since = time.monotonic()
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
                saved, saved_at = now.place, time.monotonic()
                self.since = saved_at
        if pending is not None:
            self._log(pending[0], self._take(pending[1]))
        if saved != now.place:
            self._save(now)
        self.checkpoints.wait()
        if self.stopped and (now.chunk < self.plan.chunks or now.unlogged is not None):
            self.display.stop()
            by = f" by {self.told.name}" if self.told else ""
            self.display.say(
                f"stopped{by} at step {self._step(now):,}, checkpoint written; the same command goes on: "
                f"{command_of(self.script)} --run-dir {shlex.quote(str(self.directory.path))} --resume"
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
        if self.controller is None or chunk == self.plan.chunks:
            return None
        evaluations = sum(self.plan.evaluates(c) for c in range(1, chunk + 1))
        if evaluations % self.controller.period:
            return None
        self._note_diverged(values, self.plan.steps_after(chunk))
        alive = [step is None for step in self.diverged]
        scores = np.where(alive, np.nan_to_num(self._scores(values), nan=-np.inf), -np.inf)
        self.played = []
        rng = np.random.default_rng([self.config.seed, chunk])
        turn, self.remembered = self.controller.turn(
            self._whole_settings(), scores, self.remembered, self.renumbering.allows, rng
        )
        return turn

    def _scores(self, evaluated: Values) -> np.ndarray:
        """[N] what each member has come to, by the episodes that it learned from since the controller was last asked.

        Those are many more than an evaluation's. Where a member has ended none, all are scored by their evaluations.
        """
        played = np.array(self.played)
        count = np.isfinite(played).sum(axis=0)
        means = np.where(np.isfinite(played), played, 0.0).sum(axis=0) / np.maximum(count, 1)
        going = np.array([step is None for step in self.diverged])
        return means if count[going].all() else np.array(evaluated["eval_return"])

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
        self.since = time.monotonic()

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
        self.since = time.monotonic()
        self.evaluation_seconds += self.since - begun
        return _on_the_host(programs.evaluated(evaluation))

    def _take(self, metrics: Metrics) -> Values:
        """Wait for a chunk's metrics."""
        values = _on_the_host(metrics)
        now = time.monotonic()
        if self.controller is not None:
            self.played.append(values["episode_return"])
        self.pace.took(self.plan.iterations, now - self.since)
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
        missing = {name: nothing for name in EVALUATED if name not in values}
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
            steps = [step for step in self.diverged if step is not None]
            if len(steps) == len(self.diverged):
                place = f"the last good checkpoint is in {self.checkpoints.path}"
                last = "before a first checkpoint" if self.checkpoints.empty else place
                raise DivergedError(f"{name} is {value} at step {step:,}: learning has diverged; {last}", steps)
            for i in new:
                self.display.say(f"member {i} ({self.members[i]!s}) has diverged at step {step:,} and is frozen")

    def _settings(self) -> dict[str, list[Any]]:
        """Of each field that members have of their own, every member's value."""
        settings = self._whole_settings()
        return {f"setting/{name}": [setting[name] for setting in settings] for name in settings[0]}

    def _whole_settings(self) -> list[dict[str, Any]]:
        """Each member's value of every field that some members have of their own."""
        names = sorted({name for member in self.members for name in member.setting})
        return [{name: m.setting.get(name, getattr(self.config, name)) for name in names} for m in self.members]

    def _save(self, now: Progress) -> None:
        self.directory.sync()
        notes = {
            "chunk": now.chunk,
            "done": now.done,
            "wall_seconds": self._wall_seconds(time.monotonic()),
            "unlogged": now.unlogged,
            "diverged": self.diverged,
            "members": [member.to_json() for member in self.members],
            "controller": self.remembered,
            "played": self.played,
        }
        self.checkpoints.save(now.state, notes, now.under_way)

    def _was_finished(self) -> bool:
        """Whether there was nothing left to do: then the summary, with the speed that there was, stays as it is."""
        done = not self.chunk_seconds and (self.directory.path / "summary.json").exists()
        if done:
            self.display.stop()
            self.display.say(f"{self.directory.path}: this run is finished; more --total-steps make it longer")
        return done

    def _finish(self) -> None:
        """Write down and say what has come of the run."""
        self.display.stop()
        # The last evaluation and no earlier one, though it may not be finite.
        returns = read_metrics(self.directory.path)[-1]["eval_return"]
        lost = sum(step is not None for step in self.diverged)
        counted = {i: score for i, score in enumerate(returns) if self.diverged[i] is None}
        finite = None not in counted.values()
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
        self._warn_of_what_was_not_finite()
        score = scored(self.members, counted) if finite else "- (the last evaluation is not finite)"
        if lost:
            rows = "; ".join(str(self.members[i]) for i, step in enumerate(self.diverged) if step is not None)
            warn(f"{lost} of {len(returns)} members diverged and were frozen: {rows}")
        self.display.say(
            f"score  {score}\nspeed  {'-' if speed is None else f'{speed:,.0f}'} environment steps/s\ncurve  {picture}"
        )

    def _warn_of_what_was_not_finite(self) -> None:
        lines = read_metrics(self.directory.path)
        lost = sum(int(value or 0) for line in lines for value in line.get("non_finite_steps", ()))
        if lost:
            steps = self.plan.total_steps * self.config.num_members
            warn(f"of {steps:,} steps {lost:,} came to a reward or observation that is not finite: they taught nothing")
        broken = sum(int(value or 0) for value in lines[-1].get("eval_broken_off", ()))
        if broken:
            episodes = self.training.evaluation.environment.num_envs
            warn(
                f"of the last evaluation's {episodes} episodes {broken} were broken off by such a step: they count "
                "with what they had come to, and a member of whom all were has no return"
            )

    def _chunk_steps(self) -> int:
        return self.plan.steps_per_chunk * self.config.num_members

    def _steps_per_second(self) -> float | None:
        """Steps of all members a second: the median over this session's chunks, without what evaluations take."""
        return self._chunk_steps() / float(np.median(self.chunk_seconds)) if self.chunk_seconds else None

    def _wall_seconds(self, now: float) -> float:
        return self.earlier_seconds + now - self.begun
