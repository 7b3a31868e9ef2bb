"""A worker of a sweep: ask the study for a population of settings, train it as one program, tell; again and again."""

import contextlib
import dataclasses
import hashlib
import json
import math
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from jaxq import envs
from jaxq.configs import SESSION_FIELDS, Member, Run, build_and_tell
from jaxq.errors import DivergedError, InputError, InputWarning, require
from jaxq.runs.command_line import obeying, parse
from jaxq.runs.devices import divide_processors, keep_small_loops_whole, use_device
from jaxq.runs.directory import InUseError, from_json, load_config, read_metrics, to_json
from jaxq.runs.fields import fields_by_member
from jaxq.runs.interruption import Interruption, before_leaving, going_on_by
from jaxq.runs.scripts import load_script
from jaxq.runs.several import train
from jaxq.runs.sinks import require_tracker
from jaxq.sweeps.plans import Plan
from jaxq.sweeps.space import Space, ends, grid, read_space, setting_of
from jaxq.sweeps.studies import (
    Worker,
    alive,
    drop_twin,
    give_back,
    make_pruner,
    make_sampler,
    make_study,
    one_at_a_time,
    open_storage,
    superseded,
    take_over,
)


class AllPruned(Exception):
    """Nobody of a population is worth going on with."""


def sweep(plan: Plan) -> Study:
    """Train trials until the study has as many as it is to have.

    Raises:
      InputError: for whatever cannot be used, before anything is trained.
      SystemExit: with code 0, if told to stop; the same command with --resume goes on.
    """
    require(plan.trials >= 1, "trials", plan.trials, "at least 1")
    require(plan.population >= 1, "population", plan.population, "at least 1")
    keep_small_loops_whole()
    if plan.population > 1:
        divide_processors()
    module: Any = load_script(plan.script, f"jaxq_sweep_{plan.script.stem}")
    config = parse(module.Config, module.PRESETS, list(plan.flags), module.build)
    for name in ("population", "run_dir", "resume", "init_from"):
        value = getattr(config, name)
        require(not value, name, str(value), "left out of the script's flags in a sweep")
    no_controller = "left out of the script's flags in a sweep, whose trials keep the settings that they have"
    require(config.make_controller() is None, "controller", config.controller, no_controller)
    if config.num_members > 1:
        divide_processors()
    # What is this worker's own is not to be found out trial by trial, each of which would be refused for it.
    use_device(config.device)
    require_tracker(config.track)
    space = read_space(plan.space, module.Config)
    build = obeying(module.build, config, module.PRESETS)
    _require_space(module.build, config, space, plan.population)
    make_sampler(plan.sampler, 0)  # which a study is not to be made without
    storage = open_storage(plan.storage)
    facts = {
        "experiment": plan.script.stem,
        "env": config.env,
        "config": of_the_study(config),
        "space": {d.name: optuna.distributions.distribution_to_json(d.distribution) for d in space},
    }
    with one_at_a_time(storage):
        study = make_study(storage, plan.study, facts, plan.resume)
    return _Sweep(plan, module, build, config, space, study, storage).work()


def of_the_study(config: Run) -> dict[str, Any]:
    """The fields of a sweep's configuration that all of its trials have in common, and no other study's need have."""
    return {name: value for name, value in to_json(config).items() if name not in SESSION_FIELDS}


def _require_space(build: Any, config: Run, space: Space, population: int) -> None:
    """Check that the script takes what is looked through.

    Raises:
      InputError: if it does not, if a field has no effect beside the other choices, or if a range would make every
        member of a population a program of its own.
    """
    read: set[str] = {field.name for field in dataclasses.fields(Run)}
    with warnings.catch_warnings(), envs.shared():
        warnings.simplefilter("ignore", InputWarning)
        for name, value in ends(space):
            read |= build_and_tell(build, config.with_setting({name: value}))[1]
    for dimension in space:
        name = dimension.name
        require(
            name in read, "space", name, "left out: beside the script's flags and the other fields it has no effect"
        )
    ranges = [dimension.name for dimension in space if dimension.is_range]
    if population > 1 and ranges:
        numbers = fields_by_member(build, config)
        allowed = (
            "{choices: [...]}, or swept with --population 1: it is compiled in, and no number that members can have"
        )
        for name in ranges:
            require(name in numbers, f"space: {name}", "a range", allowed)


class _Sweep:
    """One worker's part."""

    def __init__(
        self, plan: Plan, module: Any, build: Any, config: Run, space: Space, study: Study, storage: RDBStorage
    ):
        self.plan, self.module, self.build, self.config, self.space = plan, module, build, config, space
        self.study, self.storage = study, storage
        self.worker = Worker.this()
        self.distributions = {dimension.name: dimension.distribution for dimension in space}
        self.known: dict[int, dict[str, Any]] = {}  # each trial's fields

    def work(self) -> Study:
        """Until there are as many trials as there are to be."""
        if self.plan.sampler == "grid":  # by every worker, as another may have died before it came to all points
            with one_at_a_time(self.storage):
                for point in list(grid(self.space))[: self.plan.trials]:
                    self.study.enqueue_trial(point, skip_if_exists=True)
        while trials := self._ask():
            self._train(trials)
        return self.study

    def _ask(self) -> list[Trial]:
        """The trials of the next population."""
        with one_at_a_time(self.storage):
            take_over(self.study, self.storage)
        asked: list[Trial] = []
        ids: list[int] = []
        # Each is put together to see whether it can be, which may take long: so they show life, and may be stopped.
        with Interruption(), before_leaving(lambda _: self._give_back(ids)), alive(self.storage, ids):
            while len(asked) < self.plan.population:
                with one_at_a_time(self.storage):
                    trial = self._next()
                if trial is None:
                    break
                ids.append(trial._trial_id)
                if self.plan.sampler == "grid" and drop_twin(self.study, trial):
                    continue
                reason = self._refused(trial)
                if reason is None:
                    asked.append(trial)
                else:
                    self._refuse(trial, reason)
        return asked

    def _next(self) -> Trial | None:
        """One more trial, if there is to be one."""
        trials = self.study.get_trials(deepcopy=False)
        gone = superseded(trials)
        counted = [trial for trial in trials if trial.number not in gone]
        waiting = any(trial.state == TrialState.WAITING for trial in counted)
        if not waiting and (len(counted) >= self.plan.trials or self.plan.sampler == "grid"):
            return None
        # A worker that goes on draws other numbers than it began with, and each worker its own.
        seed = zlib.crc32(f"{self.config.seed} {len(trials)} {self.worker}".encode())
        self.study.sampler = make_sampler(self.plan.sampler, seed)
        self.study.pruner = make_pruner(self.plan.pruner)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # signs of life are given here
            trial = self.study.ask(self.distributions)
        trial.set_user_attr("worker", str(self.worker))
        self.storage.record_heartbeat(trial._trial_id)
        return trial

    def setting(self, trial: Trial | FrozenTrial) -> dict[str, Any]:
        """See `setting_of`, of each trial once."""
        if trial.number not in self.known:
            self.known[trial.number] = setting_of(trial, self.module.build, self.config)
        return self.known[trial.number]

    def _give_back(self, ids: Sequence[int]) -> None:
        """Have trials tried again by whoever asks next, as this worker is told to stop."""
        for trial_id in ids:
            give_back(self.study, self.storage, trial_id, lost=False)

    def _refused(self, trial: Trial) -> str | None:
        """Why the script does not take a setting, if it does not."""
        try:
            self.setting(trial)
        except InputError as error:
            return str(error)
        return None

    def _refuse(self, trial: Trial, reason: str) -> None:
        """Tell of a trial that cannot be trained."""
        trial.set_user_attr("refused", reason)
        self._say(trial, state=TrialState.FAIL)

    def _say(self, trial: Trial, value: float | None = None, state: TrialState | None = None) -> None:
        """Tell the study of a trial, unless another worker, which took it for lost, has."""
        self.study.tell(trial, value, state=state, skip_if_finished=True)

    def _train(self, trials: list[Trial]) -> None:
        """Train trials side by side, and tell what came of each."""
        ids = [trial._trial_id for trial in trials]
        settings = [self.setting(trial) for trial in trials]
        seeds = range(self.config.seed, self.config.seed + self.config.num_seeds)
        members = [Member(seed, setting) for setting in settings for seed in seeds]
        place = self._place(settings)
        for trial in trials:
            trial.set_user_attr("run_dir", str(place))
        names = ", ".join(str(trial.number) for trial in trials)
        print(f"study {self.plan.study}: trial{'s' * (len(trials) > 1)} {names} of {self.plan.trials} in {place}")
        config = dataclasses.replace(self.config.with_population(tuple(members)), run_dir=place)
        watch = _Watch(self.study, trials, self) if self.plan.pruner != "none" else None

        refused = None
        way = "the same `jaxq sweep` command with --resume"
        with alive(self.storage, ids), before_leaving(lambda _: self._give_back(ids)), going_on_by(way):
            try:
                if not (place / "summary.json").exists():
                    train(self.build, config, None if watch is None else watch.of)
            except (DivergedError, AllPruned):
                pass
            except InUseError:  # a worker that took these trials for lost
                return
            except InputError as error:  # as of memory and devices, which are known when all is put together
                refused = str(error)
            except jax.errors.JaxRuntimeError as error:  # as of a device's memory, when all is compiled
                refused = str(error).strip().splitlines()[0]
            except (SystemExit, KeyboardInterrupt):
                self._give_back(ids)
                raise
            self._go_on(self._tell(trials, settings, place, watch, refused), refused)

    def _go_on(self, left: list[Trial], refused: str | None) -> None:
        """What becomes of trials that nothing has come of yet.

        Whether one can be trained does not depend on those that it was asked with, so where a population is refused
        each is tried by itself.

        Args:
          left: these trials.
          refused: why their population was, if it was; otherwise another's end was theirs.
        """
        if refused is None:
            for trial in left:
                give_back(self.study, self.storage, trial._trial_id, lost=True)
        elif len(left) == 1:
            self._refuse(left[0], refused)
        else:
            names = ", ".join(str(trial.number) for trial in left)
            print(f"study {self.plan.study}: trials {names} each by itself: {refused}")
            for trial in left:
                self._train([trial])

    def _place(self, settings: list[dict[str, Any]]) -> Path:
        """The directory of a population, named after its settings: tried again, it goes on where it was."""
        # And after all else: what was found of another length, or in another environment, is none of theirs.
        own = [self.plan.script.stem, of_the_study(self.config), settings]
        words = json.dumps(own, sort_keys=True, default=list)
        return self.plan.directory / self.plan.study / hashlib.sha256(words.encode()).hexdigest()[:12]

    def _tell(
        self,
        trials: list[Trial],
        settings: list[dict[str, Any]],
        place: Path,
        watch: "_Watch | None",
        refused: str | None,
    ) -> list[Trial]:
        """Tell the study what came of trials.

        Returns:
          Those that are not told, as they were never begun, or were broken off because their population was refused.
        """
        found, left = list(results(place, self.module.Config)), []
        for trial, setting in zip(trials, settings, strict=True):
            if watch is not None and trial.number in watch.pruned:
                self._say(trial, state=TrialState.PRUNED)
                continue
            own = [result for result in found if result.has(setting)]
            scores = [result.score for result in own if result.score is not None]
            if not own or (refused is not None and len(scores) < len(own)):
                left.append(trial)
                continue
            reported = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
            lost = [result.diverged for result in own if result.diverged is not None]
            with contextlib.suppress(UpdateFinishedTrialError):  # another worker took it for lost
                for step, value in mean_curve(own):
                    if step not in reported:
                        trial.report(value, step)
                if lost:
                    trial.set_user_attr("diverged", min(lost))
            if lost or len(scores) < len(own):
                # Worse than any that came to its end, which is what samplers make of it.
                self._say(trial, state=TrialState.PRUNED)
            else:
                self._say(trial, sum(scores) / len(scores))
        return left


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a member.

    Attributes:
      config: of it alone.
      curve: steps, and returns of evaluations.
      score: the last of them; None if it is not finite.
      diverged: the step at which it was found to have.
    """

    config: Run
    curve: list[tuple[int, float]]
    score: float | None
    diverged: int | None

    def has(self, setting: dict[str, Any]) -> bool:
        """Whether it was trained with this setting."""
        return all(getattr(self.config, name) == value for name, value in setting.items())


def results(place: Path, config_class: type[Run]) -> Iterator[Result]:
    """Those of all members that were trained in a directory, of one program or of several."""
    for folder in [place, *sorted(path.parent for path in place.glob("*/config.json"))]:
        # The directory of several programs has no provenance, and one that diverged in its first chunk no metrics.
        if not all((folder / name).exists() for name in ("config.json", "provenance.json")):
            continue
        values = load_config(folder)
        values.pop("experiment", None)
        config = from_json(config_class, values)
        lines = [line for line in read_metrics(folder) if any(value is not None for value in line["eval_return"])]
        summary = folder / "summary.json"
        rows = json.loads(summary.read_text())["members"] if summary.exists() else None
        for i in range(config.num_members):
            curve = [(line["step"], line["eval_return"][i]) for line in lines if line["eval_return"][i] is not None]
            # Without a summary nobody was left.
            diverged = rows[i]["diverged"] if rows else (lines[-1]["step"] if lines else 0)
            yield Result(config.alone(i), curve, rows[i]["return"] if rows else None, diverged)


def mean_curve(own: list[Result]) -> Iterator[tuple[int, float]]:
    """Means over the seeds at the steps that all of them have."""
    values: dict[int, list[float]] = {}
    for result in own:
        for step, value in result.curve:
            values.setdefault(step, []).append(value)
    for step in sorted(values):
        if len(values[step]) == len(own):
            yield step, sum(values[step]) / len(own)


class _Watch:
    """Tells the study of evaluations as they come, and ends a population of which nobody is worth going on with.

    Members are lanes of one program, and one that is pruned costs no less; so it goes on as long as another does.
    """

    def __init__(self, study: Study, trials: list[Trial], own: _Sweep):
        self.study, self.trials = study, trials
        self.settings = [own.setting(trial) for trial in trials]
        self.pruned: set[int] = set()
        self.members: list[Run] = []

    def of(self, config: Run) -> "_Watch":
        """Follow the run of this program."""
        self.members = [config.alone(i) for i in range(config.num_members)]
        return self

    def log(self, line: dict[str, Any]) -> None:
        """See `jaxq.runs.sinks.Sink`."""
        if all(value is None for value in line["eval_return"]):
            return
        for trial, setting in zip(self.trials, self.settings, strict=True):
            lanes = [i for i, m in enumerate(self.members) if all(getattr(m, k) == v for k, v in setting.items())]
            if not lanes:
                continue
            values = [line["eval_return"][i] for i in lanes]
            if trial.number in self.pruned or any(value is None or not math.isfinite(value) for value in values):
                continue
            with contextlib.suppress(UpdateFinishedTrialError):  # another worker took it for lost
                trial.report(sum(values) / len(values), line["step"])
            if trial.should_prune():
                self.pruned.add(trial.number)
        if len(self.pruned) == len(self.trials):
            raise AllPruned

    def close(self) -> None:
        """See `jaxq.runs.sinks.Sink`."""
