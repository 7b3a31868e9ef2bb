"""What an installed jaxq can do without the repository: its scripts by name, as copies, and as modules."""

import json
import runpy
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import jaxq
from jaxq.cli.main import main
from jaxq.errors import InputError
from jaxq.runs import scripts as places
from jaxq.runs.scripts import command_of, copy_script, experiment, find_script, scripts

ROOT = Path(__file__).parent.parent
SMALL = [
    *("--env", "gymnax/CartPole-v1", "--total-steps", "1500", "--hidden-widths", "8", "--num-evaluations", "1"),
    *("--epsilon-steps", "1000", "--warmup-steps", "200", "--eval-episodes", "1"),
]


def jaxq_command(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/jaxq", *map(str, args)])
    main()


def test_the_package_is_its_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jaxq", "agents", "--match", "munchausen_iqn"])
    runpy.run_module("jaxq", run_name="__main__")
    assert "munchausen_iqn" in capsys.readouterr().out


def test_every_folder_with_modules_is_packaged_and_the_scripts_lie_inside(monkeypatch):
    given = {}
    monkeypatch.setattr("setuptools.setup", lambda **keywords: given.update(keywords))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    modules = [path for room in ("jaxq", "experiments") for path in ROOT.glob(f"{room}/**/*.py")]
    folders = {path.parent.relative_to(ROOT) for path in modules if path.parent.name != "launch"}
    names = {str(folder).replace("/", ".") for folder in folders}
    assert set(given["packages"]) == {f"jaxq.{n}" if n.startswith("experiments") else n for n in names}
    assert given["package_dir"] == {"jaxq.experiments": "experiments"}


def test_the_citation_s_version_is_the_package_s():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_scripts_are_found_in_a_checkout_and_in_an_installed_package(tmp_path, monkeypatch):
    assert scripts()["dqn"] == ROOT / "experiments" / "discrete" / "dqn.py"
    package = tmp_path / "site-packages" / "jaxq"
    (package / "experiments" / "discrete").mkdir(parents=True)
    installed = package / "experiments" / "discrete" / "dqn.py"
    installed.write_bytes(scripts()["dqn"].read_bytes())
    monkeypatch.setattr(places, "PACKAGE", package)
    assert scripts() == {"dqn": installed}
    assert command_of(installed) == "jaxq train dqn"


def test_a_script_of_one_s_own_is_run_by_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command_of(tmp_path / "mine.py") == "python mine.py"
    dqn = ROOT / "experiments" / "discrete" / "dqn.py"
    assert command_of(dqn) == "jaxq train dqn"
    monkeypatch.setattr(sys, "argv", [str(dqn), "--seed", "1"])
    assert command_of(dqn) == f"python {dqn}"


def test_the_command_ends_by_a_line_while_it_is_being_imported():
    program = """
import os, signal, sys
from jaxq import cli

class Told:
    def find_spec(name, *rest):
        if name == "jaxq.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Told)
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "stopped\n")


def test_an_experiment_that_is_none_is_told_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"experiment is 'munchausen_dqm'.*; did you mean munchausen_dqn or"):
        find_script("munchausen_dqm")
    with pytest.raises(InputError, match=r"experiment is 'nowhere\.py', but must be a script that exists"):
        find_script("nowhere.py")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(InputError, match="a script with Config and PRESETS and build"):
        experiment(str(tmp_path / "empty.py"))


def test_a_copy_overwrites_nothing(tmp_path):
    out = copy_script("dqn", tmp_path / "mine.py")
    assert out.read_bytes() == scripts()["dqn"].read_bytes()
    assert copy_script("dqn", tmp_path) == tmp_path / "dqn.py"
    out.write_text("mine")
    with pytest.raises(InputError, match="a name that is not taken"):
        copy_script("dqn", out)
    assert out.read_text() == "mine"
    with pytest.raises(InputError, match=r"a name ending in \.py"):
        copy_script("dqn", tmp_path / "mine.txt")


def test_train_takes_the_script_s_own_flags(tmp_path, monkeypatch, capsys):
    jaxq_command(monkeypatch, "train", "dqn", *SMALL, "--seed", 3, "--run-dir", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["experiment"], config["seed"], config["hidden_widths"]) == ("dqn", 3, [8])
    command = json.loads((tmp_path / "run" / "provenance.json").read_text())["command"]
    assert command.startswith("jaxq train dqn --env gymnax/CartPole-v1 ")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        jaxq_command(monkeypatch, "train", "dqn", "--help")
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "usage: jaxq train dqn" in said
    assert "--target-period" in said
    with pytest.raises(SystemExit) as stop:
        jaxq_command(monkeypatch, "train", "dqn", "--sede", "3")
    assert stop.value.code == 2
    assert "did you mean --seed?" in capsys.readouterr().err


def test_an_edited_copy_trains_and_its_run_is_loaded_by_the_script_that_it_keeps(tmp_path, monkeypatch, capsys):
    mine = copy_script("dqn", tmp_path / "my_dqn.py")
    edited = mine.read_text().replace(
        "presets(Config, Q_LEARNING)", 'presets(Config, Q_LEARNING, everywhere={"seed": 7})'
    )
    assert edited != mine.read_text()
    mine.write_text(edited)
    jaxq_command(monkeypatch, "train", mine, *SMALL, "--run-dir", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["experiment"], config["seed"]) == ("my_dqn", 7)
    mine.unlink()
    assert jaxq.load(tmp_path / "run")(np.zeros(4)) in (0, 1)
    assert "is about to be executed" in capsys.readouterr().err
    with pytest.raises(InputError, match="may not be executed"):
        jaxq.load(tmp_path / "run", run_code=False)


def test_an_experiment_is_a_module_with_what_a_run_needs():
    dqn = jaxq.experiment("dqn")
    config = jaxq.parse(dqn.Config, dqn.PRESETS, ["--env", "gymnax/CartPole-v1"])
    assert dqn.build(config).environment.num_envs == config.num_envs * config.num_seeds
