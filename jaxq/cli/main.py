"""Train value-based agents in compiled JAX programs, and look at what came of it."""

import dataclasses
import fnmatch
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from jaxq.cli import sweep
from jaxq.errors import InputError, clean_errors, require, require_writable


@dataclasses.dataclass(frozen=True)
class Envs:
    """List environments with the shapes of their observations and actions."""

    backend: str | None = None
    """Only this backend: gymnax, envpool, brax, playground or tabular."""
    match: str | None = None
    """Only names with this in them, in any case; * and ? stand for any characters."""

    def __call__(self) -> None:
        """Print the table."""
        from jaxq.envs import BACKENDS

        allowed = ", ".join(BACKENDS)
        require(self.backend is None or self.backend in BACKENDS, "backend", self.backend, f"one of {allowed}")
        console = Console()
        listed = 0
        for backend in [self.backend] if self.backend else BACKENDS:
            try:
                names = [f"{backend}/{name}" for name in BACKENDS[backend].names()]
            except InputError as error:
                if self.backend:
                    raise
                console.print(f"{backend}: {error}", markup=False, highlight=False)
                continue
            if self.match:
                pattern = self.match.lower()
                pattern = pattern if set(pattern) & set("*?") else f"*{pattern}*"
                names = [name for name in names if fnmatch.fnmatch(name.lower(), pattern)]
            listed += len(names)
            if names:
                self._print(console, backend, names)
        own = "another: environments of your own are named by --env FILE.py:Class, or by envs.register"
        require(listed > 0 or self.match is not None, "backend", self.backend, own)
        require(listed > 0, "match", self.match, "part of an environment's name (jaxq envs lists them all)")

    def _print(self, console: Console, backend: str, names: list[str]) -> None:
        from jaxq.envs import BACKENDS
        from jaxq.networks.observations import named_arrays

        table = Table(box=None, pad_edge=False)
        for title in ("environment", "observation", "actions", "longest episode"):
            table.add_column(title, no_wrap=True)
        # The models behind brax and playground take seconds to load, so it is said what is being waited for.
        with console.status(backend) as status:
            for name in names:
                status.update(name)
                try:
                    observation, action, longest = BACKENDS[backend].describe(name.partition("/")[2])
                    shape = ", ".join(f"{part} {spec}".strip() for part, spec in named_arrays(observation).items())
                    table.add_row(name, shape, str(action), f"{longest:,}")
                except Exception as error:  # one environment that cannot be described must not hide the others
                    reason = " ".join(str(error).split())
                    table.add_row(name, f"shapes unknown: {reason[:90]}", "", "")
        width = None if console.is_terminal else 200
        Console(width=width).print(table, highlight=False)


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw learning curves of several runs: IQM over seeds and 95% stratified-bootstrap intervals."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories or kept results; members and runs that differ in seed alone are joined into one curve."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("curves.png")
    """The picture to write: png, pdf or svg."""
    by: str | None = None
    """Tell runs apart by this field alone, whatever else differs."""
    label: tuple[str, ...] = ()
    """What to call the curves in the legend, in the order of their first runs."""

    def __call__(self) -> None:
        """Write the picture."""
        from jaxq.runs.plots import PICTURES, load_curves, merge, plot_curves

        require(bool(self.run_dirs), "run_dirs", [], "one or more run directories")
        require_writable(self.out, *PICTURES)
        loaded = {run_dir: load_curves(run_dir) for run_dir in self.run_dirs}
        for run_dir, curves in loaded.items():
            require(bool(curves), "run_dirs", str(run_dir), "runs with at least one evaluation in metrics.jsonl")
        curves = merge([curve for curves in loaded.values() for curve in curves], self.by)
        if self.label:
            count = len(self.label)
            require(count == len(curves), "label", ", ".join(self.label), f"{len(curves)} names, one for each curve")
            curves = [dataclasses.replace(curve, label=label) for curve, label in zip(curves, self.label, strict=True)]
        plot_curves(curves, self.out)
        print(self.out)


@dataclasses.dataclass(frozen=True)
class Report:
    """Write one page of several runs: curves, aggregates, speeds, configurations and films; it needs no network."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories, kept results (benchmarks/results/runs/*.json), or folders of them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("report.html")
    """The page to write."""
    title: str = "Runs"
    """What stands at its head."""
    by: str | None = None
    """Tell runs apart by this field alone, whatever else differs."""

    def __call__(self) -> None:
        """Write the page."""
        from jaxq.runs.report import write_report

        print(write_report(self.runs, self.out, title=self.title, by=self.by))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfARun:
    """Base of the commands in which the trained policy of a run plays."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run directory."""
    member: int = 0
    """Which of the run's members plays, counted from 0."""
    seed: int = 0
    """Seed of what is played."""
    run_code: bool = True
    """Whether the run's own experiment.py may be executed, where it is not the installed script."""

    @property
    def playing(self) -> dict[str, Any]:
        """Who plays, and by what."""
        return {"member": self.member, "seed": self.seed, "run_code": self.run_code}

    def say_who_plays(self) -> None:
        """Of several members tell which it is, and which came to the most in the run's last evaluation."""
        rows = self._rows
        if len(rows) < 2 or not 0 <= self.member < len(rows):
            return
        scores = {i: row["return"] for i, row in enumerate(rows) if row["return"] is not None}
        best = max(scores, key=lambda i: scores[i], default=self.member)
        other = f"; --member {best} had the highest last return" if best != self.member else ""
        print(f"member {self.member} of {len(rows)}: {self.who(self.member)}{other}")

    @property
    def _rows(self) -> list[dict[str, Any]]:
        from jaxq.runs.directory import read_json

        return read_json(self.run_dir / "summary.json").get("members", [])

    def who(self, member: int) -> str:
        """A member's seed and setting; nothing of a run that has not ended."""
        from jaxq.configs import in_words

        rows = self._rows
        return in_words({"seed": rows[member]["seed"], **rows[member]["setting"]}) if rows else "of a run under way"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Video(OfARun):
    """Play the trained policy of a run and write it as a film."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The film to write, .mp4 or .gif; RUN_DIR/video.mp4 unless given, or .gif where the extra `video` is missing."""
    max_steps: int = 1_000
    """The film ends here, or with the episode."""

    def __call__(self) -> None:
        """Write the film."""
        from jaxq.runs.video import record

        self.say_who_plays()
        print(record(self.run_dir, self.out, max_steps=self.max_steps, **self.playing))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(OfARun):
    """Play many episodes with the trained policy of a run, or with those of all members, and tell what they come to."""

    episodes: int = 100
    """How many, played at once."""
    all: bool = False
    """Every member plays, the same episodes."""

    def __call__(self) -> None:
        """Print the mean return, its standard error, and quartiles; of all members a line each, and theirs together."""
        from jaxq.runs.aggregate import mean_and_error
        from jaxq.runs.evaluate import returns_of

        require(not (self.all and self.member), "member", self.member, "left out with --all")
        playing: Any = {"episodes": self.episodes, "seed": self.seed, "run_code": self.run_code}
        if self.all:
            return self._say_of_all(returns_of(self.run_dir, **playing))
        self.say_who_plays()
        returns = returns_of(self.run_dir, members=(self.member,), **playing)[0]
        lowest, low, median, high, highest = np.quantile(returns, (0.0, 0.25, 0.5, 0.75, 1.0))
        print(f"mean return {mean_and_error(returns)} (standard error of {len(returns)} episodes)")
        print(f"quartiles {low:.4g}, {median:.4g}, {high:.4g}; lowest {lowest:.4g}, highest {highest:.4g}")

    def _say_of_all(self, returns: np.ndarray) -> None:
        from jaxq.runs.aggregate import mean_and_error

        for member, of_one in enumerate(returns):
            print(f"member {member}, {self.who(member)}: mean return {mean_and_error(of_one)}")
        together = mean_and_error(returns.mean(axis=1))
        print(f"together {together} (standard error of {len(returns)} members, of {returns.shape[1]} episodes each)")


@dataclasses.dataclass(frozen=True)
class Agents:
    """List the experiments by group, each with its choice along every axis and its paper."""

    match: str | None = None
    """Only those with this in a name, choice or paper, in any case."""
    directory: Path | None = None
    """Where the experiments are; those that came with jaxq unless given."""

    def __call__(self) -> None:
        """Print the table."""
        from jaxq.runs.catalog import AXES, catalog

        console = Console()
        with console.status("experiments"):
            rows = catalog(self.directory)
        if self.match:
            rows = [row for row in rows if self.match.lower() in " ".join(row.values()).lower()]
        require(
            bool(rows), "match", self.match, "part of an experiment's name, choices or paper (jaxq agents lists all)"
        )
        group = None
        for row in rows:
            if row["group"] != group:
                group = row["group"]
                console.print(f"[underline]{group}[/underline]", highlight=False)
            console.print(f"[bold]{row['experiment']}[/bold]  ", end="", highlight=False)
            console.print(row["paper"], markup=False, highlight=False, soft_wrap=True)
            choices = "; ".join(f"{axis}: {row[axis]}" for axis in AXES)
            console.print(f"    {choices}", markup=False, highlight=False, soft_wrap=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attention(OfARun):
    """Draw where the Action Q-Transformer of a run looks for each action."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The picture to write: png, pdf or svg; RUN_DIR/attention.png unless given."""
    frames: int = 4
    """Rows of the picture."""
    every: int = 10
    """Steps between them."""

    def __call__(self) -> None:
        """Write the picture."""
        from jaxq.runs.attention import draw_attention

        self.say_who_plays()
        print(draw_attention(self.run_dir, self.out, frames=self.frames, every=self.every, **self.playing))


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an experiment: `jaxq train dqn --env gymnax/CartPole-v1`. Its flags: `jaxq train dqn --help`."""

    experiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="EXPERIMENT")]
    """Its name, of those that `jaxq agents` lists, or the path of a script; then the experiment's own flags."""

    def __call__(self, *flags: str) -> None:
        """Run the script by its own flags."""
        from jaxq.runs import experiment, main

        script = experiment(self.experiment)
        main(script.Config, script.PRESETS, script.build, flags, prog=f"jaxq train {self.experiment}")


@dataclasses.dataclass(frozen=True)
class Copy:
    """Copy an experiment's script, to edit it and run it by `python`."""

    experiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="EXPERIMENT")]
    """Its name, of those that `jaxq agents` lists."""
    out: Annotated[Path, tyro.conf.Positional]
    """The file to write, or a directory; nothing is overwritten."""

    def __call__(self) -> None:
        """Write the script."""
        from jaxq.runs.scripts import copy_script

        print(copy_script(self.experiment, self.out))


def main() -> None:
    """Entry point of the `jaxq` command."""
    commands: dict[str, Any] = {
        "agents": Agents,
        "attention": Attention,
        "copy": Copy,
        "envs": Envs,
        "evaluate": Evaluate,
        "plot": Plot,
        "report": Report,
        "sweep": sweep.Sweep,
        "train": Train,
        "video": Video,
    }
    with clean_errors():
        if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
            if sys.argv[1] == "sweep":  # whose flags are also an experiment's
                sweep.main(sys.argv[2:])
                return
            require(sys.argv[1] in commands, "command", sys.argv[1], f"one of {', '.join(commands)}")
        if sys.argv[1:2] == ["train"] and len(sys.argv) > 2 and not sys.argv[2].startswith("-"):
            return Train(sys.argv[2])(*sys.argv[3:])  # whose flags are the script's, and not for this parser
        command = tyro.extras.subcommand_cli_from_dict(commands, prog="jaxq", description=__doc__)
        command()


if __name__ == "__main__":
    main()
