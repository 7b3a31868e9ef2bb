"""`jaxq sweep EXPERIMENT ...`, `jaxq sweep status | plot | best STUDY`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from jaxq.errors import missing_extra, require, require_writable
from jaxq.runs.scripts import find_script
from jaxq.sweeps.plans import Plan, Pruner, Sampler, default_storage


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Look for good settings of an experiment: trials are asked of an Optuna study, trained and told.

    All other flags are the experiment's, but for --run-dir, --init-from, --controller. Many of these commands, on one
    host or on many, can work on one study. Of a study that there is: `jaxq sweep status STUDY` lists its trials, `jaxq
    sweep plot STUDY` draws them, `jaxq sweep best STUDY` prints the command that trains the best setting.
    """

    experiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="EXPERIMENT")]
    """Name of an experiment (jaxq agents lists them), or a file."""
    env: str
    """Environment, backend/Name."""
    study: str
    """Name of the study."""
    space: Path
    """What is looked through, a YAML file: learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}."""
    trials: int = 100
    """Trials of the whole study; of each, --num-seeds seeds are trained."""
    population: int = 1
    """Trials that are trained side by side as one program."""
    storage: str | None = None
    """URL of the study's database, as postgresql://user@host/name; a file DIRECTORY/STUDY/study.db unless given."""
    sampler: Sampler = "tpe"
    """How settings are chosen; grid takes every `step` of a range, or `count` points of it."""
    pruner: Pruner = "none"
    """Which trials are not worth going on with; a population ends when all of its trials are such."""
    directory: Path = Path("sweeps")
    """Where the trials' runs are written, in DIRECTORY/STUDY."""
    resume: bool = False
    """Go on with the study, or work on one that others work on; it is made if there is none."""


@dataclasses.dataclass(frozen=True)
class Study:
    """A study that there is."""

    study: Annotated[str, tyro.conf.Positional]
    """Name of the study."""
    storage: str | None = None
    """URL of its database; the file DIRECTORY/STUDY/study.db unless given."""
    directory: Path = Path("sweeps")
    """Where its runs are, and its database unless --storage is given."""

    def open(self) -> Any:
        """It, from its database."""
        if self.storage is None:
            file = self.directory / self.study / "study.db"
            require(
                file.exists(), "study", self.study, f"one whose database is there ({file} is not), or give --storage"
            )
        from jaxq.sweeps.studies import open_storage, open_study

        return open_study(open_storage(self.storage or default_storage(self.directory, self.study)), self.study)


@dataclasses.dataclass(frozen=True)
class Status(Study):
    """The trials of a study as a table, the best first."""


@dataclasses.dataclass(frozen=True)
class Picture(Study):
    """Draw a study: importance of its fields, parallel coordinates, curves of the best trials."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("study.png")
    """The picture to write: png, pdf or svg."""


@dataclasses.dataclass(frozen=True)
class Best(Study):
    """The command that trains the best setting of a study."""


def main(args: Sequence[str]) -> None:
    """The command after `jaxq sweep`.

    Raises:
      InputError: for whatever cannot be used.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise missing_extra("jaxq sweep", "sweep", error) from None
    from jaxq.sweeps.worker import sweep

    about: dict[str, Any] = {"status": Status, "plot": Picture, "best": Best}
    if args and args[0] in about:
        _about(tyro.cli(about[args[0]], args=list(args[1:]), prog=f"jaxq sweep {args[0]}"))
        return
    asked, flags = tyro.cli(Sweep, args=list(args), prog="jaxq sweep", return_unknown_args=True)
    plan = Plan(
        script=find_script(asked.experiment),
        study=asked.study,
        space=asked.space,
        trials=asked.trials,
        population=asked.population,
        storage=asked.storage or default_storage(asked.directory, asked.study),
        sampler=asked.sampler,
        pruner=asked.pruner,
        directory=asked.directory,
        resume=asked.resume,
        flags=("--env", asked.env, *flags),
    )
    study = sweep(plan)
    _print_status(study, 10)
    where = f" --storage {asked.storage}" if asked.storage else ""
    where += f" --directory {asked.directory}" if asked.directory != Sweep.directory else ""
    print(f"next   jaxq sweep best {asked.study}{where}; jaxq sweep plot {asked.study}{where}")


def _about(command: Any) -> None:
    from jaxq.runs.plots import PICTURES
    from jaxq.sweeps.report import best_of, plot_study

    study = command.open()
    if isinstance(command, Status):
        _print_status(study, None)
    elif isinstance(command, Picture):
        require_writable(command.out, *PICTURES)
        plot_study(study, command.out)
        print(command.out)
    else:
        best, words = best_of(study, find_script(study.user_attrs["experiment"]))
        print(f"# trial {best.number}: {best.value:.4g} (mean return of the last evaluation)")
        print(words)


def _print_status(study: Any, most: int | None) -> None:
    from jaxq.sweeps.report import status_of

    rows = status_of(study)
    names = list(dict.fromkeys(name for row in rows for name in row.setting))
    table = Table(box=None, pad_edge=False)
    for title in ("trial", "return", *names, "state"):
        table.add_column(title, no_wrap=True)
    for row in rows[:most]:
        value = "-" if row.value is None else f"{row.value:.4g}"
        setting = [f"{v:.4g}" if isinstance(v := row.setting.get(name, "-"), float) else str(v) for name in names]
        table.add_row(str(row.number), value, *setting, row.state)
    counts: dict[str, int] = {}
    for row in rows:
        state = row.state.split(" ")[0].rstrip(":")
        counts[state] = counts.get(state, 0) + 1
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table, highlight=False)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"{len(rows)} trials: {told or 'none yet'}")
