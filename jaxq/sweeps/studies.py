"""Studies: where they are stored, what they are of, and trials whose worker has died."""

import contextlib
import dataclasses
import datetime
import fcntl
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from jaxq.errors import InputError, missing_extra, require
from jaxq.sweeps.plans import Pruner, Sampler

HEARTBEAT = 15  # seconds between two signs of life
SILENCE = 90  # seconds after which a worker that gives none is taken to be dead
ATTEMPTS = 2  # at a trial: one that was lost with its worker is tried once more
CONNECT_SECONDS = 10

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(url: str) -> RDBStorage:
    """The database of a URL.

    Raises:
      InputError: if there is none, or the package that speaks to it is missing.
    """
    # SQLAlchemy's own choice for PostgreSQL is a package of the past.
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            url = "postgresql+psycopg://" + url.removeprefix(scheme)
    shown = url
    try:
        parsed = sqlalchemy.make_url(url)
        shown = parsed.render_as_string(hide_password=True)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            waits: dict[str, Any] = {"timeout": 60}
        else:
            waits = {"connect_timeout": CONNECT_SECONDS}
        options: dict[str, Any] = {"connect_args": waits, "pool_pre_ping": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Optuna calls experimental
            return _made(url, options)
    except ImportError as error:
        raise missing_extra(f"storage {shown}", "sweep", error) from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, OSError, RuntimeError) as error:
        # A driver tells of each address that it tried in a line of its own.
        reason = " ".join(str(error).splitlines()[0].split())[:150] if str(error) else type(error).__name__
        raise InputError(f"storage is {shown!r}, which cannot be reached: {reason}") from None


def _made(url: str, options: dict[str, Any]) -> RDBStorage:
    for tries_left in (4, 3, 2, 1, 0):
        try:
            return RDBStorage(url, engine_kwargs=options, heartbeat_interval=HEARTBEAT, grace_period=SILENCE)
        except (
            sqlalchemy.exc.OperationalError,
            sqlalchemy.exc.ProgrammingError,
            sqlalchemy.exc.IntegrityError,
        ) as error:
            # Another worker is about to make the tables; SQLite calls that operational, as it does much else.
            makes = not isinstance(error, sqlalchemy.exc.OperationalError) or "already exists" in str(error)
            if not tries_left or not makes:
                raise
            time.sleep(1.0)
    raise AssertionError("unreachable")


def open_study(storage: RDBStorage, name: str) -> Study:
    """A study that there is.

    Raises:
      InputError: if there is none of this name, naming those that there are.
    """
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none yet"
        raise InputError(f"study is {name!r}, but must be one of this storage ({known})") from None


def make_study(storage: RDBStorage, name: str, facts: Mapping[str, Any], resume: bool) -> Study:
    """A study for a sweep: a new one, or with `resume` one that may be there.

    Args:
      storage: where it lies.
      name: of it.
      facts: what it is of (experiment, environment, configuration, space), which stay as they are.
      resume: whether it may be there.

    Raises:
      InputError: if it is there and must not be, or is of something else.
    """
    there = name in optuna.get_all_study_names(storage)
    require(resume or not there, "study", name, "a new name, or given with --resume: there is a study of this name")
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    theirs = study.user_attrs
    for fact, ours in facts.items():
        if fact not in theirs:
            study.set_user_attr(fact, ours)
        elif theirs[fact] != ours:
            _refuse(name, fact, ours, theirs[fact])
    return study


def _refuse(name: str, fact: str, ours: Any, theirs: Any) -> None:
    """Name what differs, of a configuration its first field."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        field = next(k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k))
        fact, ours, theirs = f"{fact}: {field}", ours.get(field), theirs.get(field)
    raise InputError(f"{fact} is {ours!r}, but must be {theirs!r}, as in the study {name!r}")


def make_sampler(name: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler; of a grid the points are trials that wait from the beginning.

    Raises:
      InputError: if a package is missing.
    """
    samplers = optuna.samplers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "cmaes":
            _require_package("cmaes", "sweep")
            return samplers.CmaEsSampler(seed=seed)
        if name == "gp":
            _require_package("torch", None)
            return samplers.GPSampler(seed=seed)
        return samplers.TPESampler(seed=seed) if name == "tpe" else samplers.RandomSampler(seed=seed)


def _require_package(package: str, extra: str | None) -> None:
    try:
        __import__(package)
    except ImportError as error:
        if extra is not None:
            raise missing_extra(f"--sampler {package}", extra, error) from None
        raise InputError(
            f"sampler is 'gp', which needs a package that is not installed: pip install {package}"
        ) from None


def make_pruner(name: Pruner) -> optuna.pruners.BasePruner:
    """A pruner."""
    pruners = optuna.pruners
    made = {"median": pruners.MedianPruner, "hyperband": pruners.HyperbandPruner, "none": pruners.NopPruner}
    return made[name]()


@dataclasses.dataclass(frozen=True)
class Worker:
    """A process that trains trials, told apart from all that there are and were.

    Attributes:
      host, process: where it runs.
      begun: when it did, by its host's clock; a number may be given to another process.
    """

    host: str
    process: int
    begun: int

    @classmethod
    def this(cls) -> "Worker":
        """Of the process that asks."""
        return cls(socket.gethostname(), os.getpid(), _begun(os.getpid()))

    def __str__(self) -> str:
        return f"{self.host}:{self.process}:{self.begun}"

    @classmethod
    def named(cls, words: str) -> "Worker":
        """What `str` made."""
        host, process, begun = words.rsplit(":", 2)
        return cls(host, int(process), int(begun))

    @property
    def is_known_dead(self) -> bool:
        """Whether it ran on this host and does no longer; of other hosts only silence tells."""
        return self.host == socket.gethostname() and _begun(self.process) != self.begun


def _begun(process: int) -> int:
    """When a process of this host began, in ticks since the host did; -1 if there is none, 0 where nobody says."""
    if not Path("/proc/self").exists():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return -1
        except PermissionError:
            pass
        return 0
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except OSError:
        return -1


@contextlib.contextmanager
def one_at_a_time(storage: RDBStorage) -> Iterator[None]:
    """Within it no other worker is, where the database does not keep two of them from taking the same trial.

    SQLite locks no rows. Its workers share a disk, and so a file beside the database, free again when one dies.
    """
    url = sqlalchemy.make_url(storage.url)
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    with Path(f"{url.database}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def superseded(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that were lost, and for which another was begun; and of twins that were dropped."""
    lost = {trial.user_attrs["again_of"] for trial in trials if "again_of" in trial.user_attrs}
    return lost | {trial.number for trial in trials if "twin_of" in trial.user_attrs}


def drop_twin(study: Study, trial: Trial) -> bool:
    """End a trial of a grid if another is of the same point; whether it was one.

    Workers that begin together may each have told the study of a point before they saw that it knew it.
    """
    trials = study.get_trials(deepcopy=False)
    gone = superseded(trials)
    for other in trials[: trial.number]:
        if other.params == trial.params and other.number not in gone and other.state != TrialState.FAIL:
            trial.set_user_attr("twin_of", other.number)
            study.tell(trial, state=TrialState.FAIL)
            return True
    return False


def take_over(study: Study, storage: RDBStorage) -> int:
    """Have the trials of dead workers tried again, if they were not before; how many."""
    known_dead = [
        trial._trial_id
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if _is_known_dead(trial)
    ]
    silent = storage._get_stale_trial_ids(study._study_id)
    return sum(give_back(study, storage, trial, lost=True) for trial in dict.fromkeys([*known_dead, *silent]))


def _is_known_dead(trial: FrozenTrial) -> bool:
    """Whether the worker of a trial that runs is; one that has not even said who it is has died while it asked."""
    if words := trial.user_attrs.get("worker"):
        return Worker.named(words).is_known_dead
    begun = trial.datetime_start or datetime.datetime.min
    return (datetime.datetime.now() - begun).total_seconds() > SILENCE


def give_back(study: Study, storage: RDBStorage, trial_id: int, *, lost: bool) -> bool:
    """End a trial that is not finished, and have it tried again; whether it was this process that did.

    Args:
      study, storage: whose trial it is.
      trial_id: of it.
      lost: with its worker, which counts as an attempt; not if the worker was told to stop.
    """
    try:
        if not storage.set_trial_state_values(trial_id, state=TrialState.FAIL):
            return False
    except optuna.exceptions.UpdateFinishedTrialError:
        return False
    trial = storage.get_trial(trial_id)
    attempts = trial.user_attrs.get("attempts", 1) + lost
    if attempts > ATTEMPTS or not trial.params:
        return False
    kept = {"again_of": trial.number, "attempts": attempts}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING, params=trial.params, distributions=trial.distributions, user_attrs=kept
        )
    )
    return True


@contextlib.contextmanager
def alive(storage: RDBStorage, trial_ids: Sequence[int]) -> Iterator[None]:
    """Give signs of life for some trials, to which others may be added."""
    done = threading.Event()

    def beat() -> None:
        while True:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError):
                for trial_id in tuple(trial_ids):
                    storage.record_heartbeat(trial_id)
            if done.wait(HEARTBEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
