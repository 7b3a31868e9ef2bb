"""What mkdocs cannot read from a file: a page for each agent, the pages of the API, and those that lie at the root.

Every default, paper and result on an agent's page is read from the scripts and the kept runs when the site is built.
"""

import ast
import dataclasses
import functools
import inspect
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from mkdocs.structure.files import File, Files  # noqa: E402

from benchmarks.learning_report import changes_told  # noqa: E402
from benchmarks.runs import as_typed, kept  # noqa: E402
from benchmarks.settings import changed  # noqa: E402
from jaxq.configs.presets import LIKE  # noqa: E402
from jaxq.envs import DOMAINS  # noqa: E402
from jaxq.runs.aggregate import interquartile_mean, stratified_bootstrap_interval  # noqa: E402
from jaxq.runs.catalog import AXES, catalog  # noqa: E402
from jaxq.runs.results import Result  # noqa: E402
from jaxq.runs.scripts import experiment, scripts  # noqa: E402

TITLES = {"discrete": "Discrete actions", "continuous": "Continuous actions"}  # of groups whose folder does not say it
# In the order of the rooms; each is described by its own docstring.
API = {
    "jaxq.runs": "runs", "jaxq.configs": "configs", "jaxq.training": "training", "jaxq.agents": "agents",
    "jaxq.replay": "replay", "jaxq.networks": "networks", "jaxq.envs": "envs", "jaxq.bellman": "bellman",
    "jaxq.bellman.operators": "operators", "jaxq.bellman.risk": "risk", "jaxq.tabular": "tabular",
    "jaxq.schedules": "schedules", "jaxq.keys": "keys", "jaxq.lanes": "lanes", "jaxq.platforms": "platforms",
    "jaxq.types": "types", "jaxq.errors": "errors",
}  # fmt: skip
MARK = "†"  # of results that were run with other numbers than their scripts have now
OF_THE_ROOT = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}


# ---- mkdocs calls these ---------------------------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Give the pages that are made here their places."""
    agents: list[Any] = ["agents/index.md"]
    for title, group in groups().items():
        agents.append({title: [{row["experiment"]: f"agents/{row['experiment']}.md"} for row in group]})
    api = [{name: f"api/{page}.md"} for name, page in API.items()]
    at = next(i for i, entry in enumerate(config.nav) if "Results" in entry)
    config.nav[at:at] = [{"Agents": agents}]
    config.nav += [{"API": api}, {"Project": [{"Changelog": "changelog.md"}, {"Contributing": "contributing.md"}]}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add them."""
    pages = {"agents/index.md": index()}
    pages |= {f"agents/{row['experiment']}.md": page(row) for row in rows()}
    pages |= {f"api/{page}.md": f"# {name}\n\n::: {name}\n" for name, page in API.items()}
    pages |= {page: (ROOT / source).read_text() for page, source in OF_THE_ROOT.items()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


# ---- agents ---------------------------------------------------------------------------------------------------------


@functools.cache
def rows() -> list[dict[str, str]]:
    """The catalog, read once."""
    return catalog()


def groups() -> dict[str, list[dict[str, str]]]:
    """Its rows under the title of their group."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows():
        found.setdefault(TITLES.get(row["group"], row["group"].capitalize()), []).append(row)
    return found


def index() -> str:
    """All agents with their choice along every axis."""
    text = [
        "# Agents",
        "Each is one file, put together from one object on each axis (see [The axes](../axes.md)): representation, "
        "operator, targets, exploration, replay. They are read from what the scripts build, as `jaxq agents` does.",
    ]
    for title, group in groups().items():
        lines = []
        for row in group:
            choices = " · ".join(f"`{row[axis]}`" for axis in AXES if axis not in ("network", "agent"))
            lines.append([f"[{row['experiment']}]({row['experiment']}.md)", f"{row['paper']}<br>{choices}"])
        text += [f"## {title}", table(["agent", "paper and choices"], lines)]
    return "\n\n".join(text) + "\n"


def page(row: dict[str, str]) -> str:
    """One agent: its paper and description, its axes, its results, its defaults by domain, its script."""
    name = row["experiment"]
    script = scripts()[name]
    module = experiment(name)
    return "\n\n".join(
        [
            f"# {name}",
            inspect.cleandoc(module.__doc__ or ""),
            "```sh\n" + f"jaxq train {name} --help\n" + "```",
            "## Axes",
            table(["axis", "choice"], [[axis, f"`{row[axis]}`"] for axis in AXES]),
            "## Results",
            results(name),
            "## Defaults",
            "By the environment's domain, where it matters; "
            + " and ".join(f"`{domain}` is as `{like}`" for domain, like in LIKE.items())
            + " where it is not named. `--help` says the same.",
            defaults(module),
            "## Script",
            f"`experiments/{row['group']}/{script.name}`; `jaxq copy {name} my_{name}.py` gives one to edit.",
            f"```python\n{script.read_text()}```",
        ]
    )


def results(name: str) -> str:
    """A row for each of the agent's kept runs; marked are those that were run with other numbers than it has now."""
    found = [run for run in kept() if run.config.get("experiment") == name and None not in run.summary["returns"]]
    if not found:
        return "None is kept yet."
    found.sort(key=lambda run: (run.config["env"], run.name))
    heads = ["environment", "steps of each seed", "seeds", "IQM of the last evaluation", "95% interval"]
    commands = dict.fromkeys(map(as_typed, found))
    lines = "\n".join(f"    {line}" for line in ["```text", *commands, "```"])
    told = [f"{MARK} {sentence}" for sentence in changes_told((run.summary["env"], changed(run)) for run in found)]
    return "\n\n".join([table(heads, [_result(run) for run in found]), *told, f'??? note "The commands"\n\n{lines}'])


def _result(run: Result) -> list[str]:
    low, high = stratified_bootstrap_interval(run.returns[None])
    interval = f"{low:,.1f} to {high:,.1f}" if len(run.returns) > 1 else ""
    iqm = f"{interquartile_mean(run.returns):,.1f}"
    env = run.summary["env"] + (f" {MARK}" if changed(run) else "")
    return [env, f"{run.summary['total_steps']:,}", str(len(run.returns)), iqm, interval]


def defaults(module: Any) -> str:
    """A row a flag: its sentence, and its default, in each domain where it differs."""
    sentences = described(module.Config)
    hints = typing.get_type_hints(module.Config, include_extras=True)
    lines = []
    for field in dataclasses.fields(module.Config):
        if field.name == "env" or tyro.conf.Suppress in getattr(hints[field.name], "__metadata__", ()):
            continue
        usual = field.default
        own = {domain: module.PRESETS.get(domain, {}).get(field.name, usual) for domain in DOMAINS}
        values = set(map(str, own.values()))
        said = f"`{plain(usual)}`" if values == {str(usual)} else ""
        if not said:
            by_value: dict[str, list[str]] = {}
            for domain, value in own.items():
                if domain not in LIKE or str(value) != str(own[LIKE[domain]]):
                    by_value.setdefault(plain(value), []).append(domain)
            said = "; ".join(f"{', '.join(places)} `{value}`" for value, places in by_value.items())
            said = f"`{next(iter(by_value))}`" if len(by_value) == 1 else said
        lines.append([f"`--{field.name.replace('_', '-')}`", said, sentences.get(field.name, "")])
    return table(["flag", "default", ""], lines)


def plain(value: Any) -> str:
    """A default as it is typed."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@functools.cache
def described(config: type) -> dict[str, str]:
    """The sentence under each field of a dataclass, its own or inherited."""
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        if not dataclasses.is_dataclass(kind):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def table(heads: list[str], lines: list[list[str]]) -> str:
    """Of Markdown."""

    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(heads), line(["---"] * len(heads)), *map(line, lines)])
