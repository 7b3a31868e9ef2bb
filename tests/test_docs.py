"""Every block of code in the documentation runs, at small size; the site is whole and asks nothing of the network."""

import dataclasses
import importlib.util
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jaxq
import jaxq.runs
from jaxq.cli.main import main as jaxq_main
from jaxq.configs import DRIVER_FIELDS, build_and_tell
from jaxq.runs import several
from jaxq.runs.command_line import flags_of
from jaxq.runs.run import run as whole_run
from jaxq.runs.scripts import scripts

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MADE = {"results.md"}  # made of results by a command of its own; has no fenced blocks
PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name not in MADE)
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)

# Numbers of a run at small size, of those that its script has; they are the same for a run and its continuation.
SMALL = {
    "warmup_steps": 200, "replay_capacity": 2000, "epsilon_steps": 500, "num_envs": 2, "batch_size": 16,
    "eval_episodes": 1, "eval_max_steps": 50, "num_evaluations": 2, "num_logs": 4, "hidden_widths": (8,),
    "rollout_steps": 16, "minibatches": 2, "num_fractions": 4, "num_act_fractions": 4,
}  # fmt: skip
STEPS = 100  # a run of so many steps becomes one of a hundredth, of a thousand at least


def small_run(build, config, watch=None):
    fields = {field.name for field in dataclasses.fields(config)}
    obeyed = build_and_tell(inspect.unwrap(build), config)[1] | {*DRIVER_FIELDS}
    numbers = {name: value for name, value in SMALL.items() if name in fields & obeyed}
    if not config.resume:
        numbers["total_steps"] = max(config.total_steps // STEPS, 1000)
    elif config.total_steps > 10_000:
        numbers["total_steps"] = config.total_steps // STEPS
    return whole_run(build, dataclasses.replace(config, **numbers), watch)


def test_flags_and_commands_of_the_front_page_are_there():
    text = (ROOT / "README.md").read_text()
    configs = [jaxq.experiment(name).Config for name in scripts()]
    flags = {name.replace("_", "-") for config in configs for name in flags_of(config)}
    said = {flag.removeprefix("no-") for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]*[a-z])", text)}
    of_commands = {"backend", "episodes", "help", "match", "member", "pruner", "sampler", "space", "storage", "study",
                   "trials"}  # fmt: skip
    assert said - flags <= of_commands
    assert len(said & flags) > 30
    lines = re.findall(r"^python (experiments/\S+) ([^#\n]*)", text, re.MULTILINE)
    assert len(lines) > 8
    for path, words in lines:
        script = jaxq.experiment(str(ROOT / path))
        jaxq.parse(script.Config, script.PRESETS, shlex.split(words))


def blocks(page):
    return [match.groups() for match in BLOCK.finditer((DOCS / page).read_text())]


class Commands:
    """What a page's shell blocks may say, done in this process where that is quicker."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch

    def run(self, line):
        line = line.split("#")[0].strip()
        refused = line.endswith("|| true")
        words = shlex.split(line.removesuffix("|| true"))
        if not words:
            return
        kind = {"jaxq": self.jaxq, "python": self.python, "pip": self.pip, "make": self.make, "ls": self.ls}
        assert words[0] in kind, f"{line}: how this is tried is not known"
        if refused:
            with pytest.raises(SystemExit) as stop:
                kind[words[0]](words)
            assert stop.value.code == 2
        else:
            kind[words[0]](words)

    def called(self, words, function):
        self.monkeypatch.setattr(sys, "argv", words)
        try:
            function()
        except SystemExit as stop:
            if stop.code:
                raise

    def jaxq(self, words):
        self.called(words, jaxq_main)

    def python(self, words):
        script = next((path for path in (Path(words[1]), ROOT / words[1]) if path.exists()), None)
        assert script is not None, words[1]
        self.called(words[1:], lambda: runpy.run_path(str(script), run_name="__main__"))

    def pip(self, words):
        extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
        named = re.search(r"\[(.+)\]", words[-1])
        assert named is None or set(named[1].split(",")) <= extras

    def make(self, words):
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def ls(self, words):
        assert all(Path(word).exists() for word in words[1:])


# Whose commands are, but for their numbers, other pages' too, and those that build agents of their own.
LONG = {"report.md", "scale.md", "sweep.md", "axes.md", "own-environment.md", "add-representation.md", "add-backend.md"}


def cases():
    for page in PAGES:
        if any(kind != "text" for kind, *_ in blocks(page)):
            yield pytest.param(page, marks=[pytest.mark.slow] if page in LONG else [])


@pytest.mark.parametrize("page", cases())
def test_every_block_runs(page, tmp_path, monkeypatch):
    """In the order of the page, in an empty folder; a block with a title is a file of that name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for home in (jaxq.runs, several):
        monkeypatch.setattr(home, "run", small_run)
    # All scripts are built by tests of their own.
    few = {name: script for name, script in scripts().items() if "munchausen" in name}
    monkeypatch.setattr("jaxq.runs.catalog.scripts", lambda directory: few)
    files = {Path(title).stem for _, title, _ in blocks(page) if title}
    namespace = {"__name__": page}
    monkeypatch.setitem(sys.modules, page, type(sys)(page))
    try:
        for kind, title, code in blocks(page):
            if title:
                Path(title).write_text(code)
            elif kind == "python":
                exec(compile(code, page, "exec"), namespace)
            elif kind == "sh":
                for line in code.replace("\\\n", " ").splitlines():
                    Commands(monkeypatch).run(line)
            else:
                assert kind == "text", f"a block of {kind} is not tried"
    finally:
        for name in files:
            sys.modules.pop(name, None)
        for home in (jaxq.envs.BACKENDS, jaxq.envs.registry.OWN):
            home.pop("bandits", None)
            home.pop("Corridor", None)


def test_every_page_has_its_place_in_the_site():
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    assert set(re.findall(r"(\S+\.md)", nav)) == {path.name for path in DOCS.glob("*.md")}


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_an_agent_s_page_lists_its_flags_by_domain_and_marks_what_has_changed(monkeypatch):
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    rows = {row.split(" | ")[0]: row.split(" | ")[1] for row in hooks["defaults"](jaxq.experiment("dqn")).split("\n")}
    assert "| `--resumption`" not in rows, "which is no flag"
    assert rows["| `--total-steps`"] == (
        "tabular `50000`; classic, control `200000`; minatar, other `2000000`; atari `10000000`"
    )
    assert rows["| `--replay-capacity`"].endswith("minatar, images, control, other `100000`; atari `1000000`")
    (kept,) = [run for run in hooks["kept"]("cartpole-dqn") if run.name == "cartpole-dqn"]
    before = dataclasses.replace(kept, config={**kept.config, "n_step": 3})
    monkeypatch.setitem(hooks["results"].__globals__, "kept", lambda: [kept, before])
    page = hooks["results"]("dqn")
    assert [line.startswith("| gymnax/CartPole-v1 † |") for line in page.split("\n")[2:4]] == [False, True]
    assert "† Some were run before" in page
    assert "n_step 3 (now 10): gymnax/CartPole-v1" in page


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_the_site_is_built_whole_and_asks_nothing_of_the_network(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    for name in ("index", "agents/index", "agents/dqn", "agents/sac", "api/bellman", "changelog"):
        assert (site / f"{name}.html").exists(), name
    assert "Human-level control" in (site / "agents" / "dqn.html").read_text()
    # What a browser fetches by itself; links that a reader may follow are no concern.
    fetched = [
        r'<(?:script|img|iframe|source)[^>]+src="?https?:',
        r'<link[^>]+rel="?(?:stylesheet|preconnect|icon)"?[^>]+href="?https?:',
        r"url\([\"']?https?:",
    ]
    for path in (*site.glob("**/*.html"), *site.glob("**/*.css")):
        text = path.read_text(errors="replace")
        assert not any(re.search(pattern, text) for pattern in fetched), path
