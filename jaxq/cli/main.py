"""`jaxq agents | attention | envs | plot | sweep | video`: thin commands over the rooms below."""

import dataclasses
import fnmatch
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from jaxq.cli import sweep
from jaxq.errors import InputError, clean_errors, require


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
    """Run directories; members and runs that differ in seed alone are joined into one curve."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("curves.png")
    """The picture to write: png, pdf or svg."""
    by: str | None = None
    """Tell runs apart by this field alone, whatever else differs."""
    label: tuple[str, ...] = ()
    """What to call the curves in the legend, in the order of their first runs."""

    def __call__(self) -> None:
        """Write the picture."""
        from jaxq.runs.plots import load_curves, merge, plot_curves

        require(bool(self.run_dirs), "run_dirs", [], "one or more run directories")
        require(
            self.out.suffix in (".png", ".pdf", ".svg"), "out", str(self.out), "a name ending in .png, .pdf or .svg"
        )
        require(self.out.absolute().parent.is_dir(), "out", str(self.out), "in a directory that exists")
        loaded = {run_dir: load_curves(run_dir) for run_dir in self.run_dirs}
        for run_dir, curves in loaded.items():
            require(bool(curves), "run_dirs", str(run_dir), "runs with at least one evaluation in metrics.jsonl")
        curves = merge([curve for curves in loaded.values() for curve in curves], self.by)
        if self.label:
            count = len(self.label)
            require(count == len(curves), "label", self.label, f"{len(curves)} names, one for each curve")
            curves = [dataclasses.replace(curve, label=label) for curve, label in zip(curves, self.label, strict=True)]
        plot_curves(curves, self.out)
        print(self.out)


@dataclasses.dataclass(frozen=True)
class Video:
    """Play the trained policy of a run and write it as a film."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run directory."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The film to write, .mp4 or .gif; RUN_DIR/video.mp4 unless given, or .gif where the extra `video` is missing."""
    member: int = 0
    """Which of the run's seeds plays, counted from 0."""
    seed: int = 0
    """Seed of the episode."""
    max_steps: int = 1_000
    """The film ends here, or with the episode."""
    run_code: bool = True
    """Whether the run's own experiment.py may be executed, where it is not the installed script."""

    def __call__(self) -> None:
        """Write the film."""
        from jaxq.runs.video import record

        settings = {"member": self.member, "seed": self.seed, "max_steps": self.max_steps}
        print(record(self.run_dir, self.out, **settings, run_code=self.run_code))


@dataclasses.dataclass(frozen=True)
class Agents:
    """List the experiments, each with its choice along every axis and its paper."""

    match: str | None = None
    """Only those with this in a name, choice or paper, in any case."""
    directory: Path | None = None
    """Where the experiments are; beside the package unless given."""

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
        for row in rows:
            console.print(f"[bold]{row['experiment']}[/bold]  ", end="", highlight=False)
            console.print(row["paper"], markup=False, highlight=False, soft_wrap=True)
            choices = "; ".join(f"{axis}: {row[axis]}" for axis in AXES)
            console.print(f"    {choices}", markup=False, highlight=False, soft_wrap=True)


@dataclasses.dataclass(frozen=True)
class Attention:
    """Draw where the Action Q-Transformer of a run looks for each action."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run directory."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The picture to write: png, pdf or svg; RUN_DIR/attention.png unless given."""
    member: int = 0
    """Which of the run's seeds plays, counted from 0."""
    seed: int = 0
    """Seed of the episode."""
    frames: int = 4
    """Rows of the picture."""
    every: int = 10
    """Steps between them."""

    def __call__(self) -> None:
        """Write the picture."""
        from jaxq.runs.attention import draw_attention

        settings = {"member": self.member, "seed": self.seed, "frames": self.frames, "every": self.every}
        print(draw_attention(self.run_dir, self.out, **settings))


def main() -> None:
    """Entry point of the `jaxq` command."""
    commands: dict[str, Any] = {
        "agents": Agents,
        "attention": Attention,
        "envs": Envs,
        "plot": Plot,
        "sweep": sweep.Sweep,
        "video": Video,
    }
    with clean_errors():
        if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
            if sys.argv[1] == "sweep":  # whose flags are also an experiment's
                sweep.main(sys.argv[2:])
                return
            require(sys.argv[1] in commands, "command", sys.argv[1], f"one of {', '.join(commands)}")
        command = tyro.extras.subcommand_cli_from_dict(commands, prog="jaxq", description=__doc__)
        command()


if __name__ == "__main__":
    main()
