"""`make reproduce`: which results are to be there, and that a stop loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import reproduce, settings
from benchmarks.suites import EVERYWHERE_AGENTS, POLE_FLAGS
from jaxq.errors import InputError
from jaxq.runs import parse
from jaxq.runs.results import Result, load
from jaxq.runs.scripts import experiment, scripts

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("suite", sorted(reproduce.SUITES))
def test_every_command_of_a_suite_is_one_that_its_script_takes(suite):
    for task in reproduce.chosen(suite, None, ["*"]):
        module = experiment(task.agent)
        parse(module.Config, module.PRESETS, task.command.split()[1:])


@pytest.mark.parametrize("agent", POLE_FLAGS)
def test_what_the_pole_has_of_presets_for_classic_control_is_theirs(agent):
    module, flags = experiment(agent), POLE_FLAGS[agent].split()
    config = parse(module.Config, module.PRESETS, ["--env", "envpool/InvertedPendulum-v4", *flags])
    names = [flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")]
    assert {name: getattr(config, name) for name in names} == {name: module.PRESETS["classic"][name] for name in names}


def test_everywhere_is_every_agent_with_continuous_actions():
    assert set(EVERYWHERE_AGENTS) == {name for name, path in scripts().items() if path.parent.name == "continuous"}


def test_what_has_a_result_is_left_alone_but_for_other_commands_and_other_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "RUNS", tmp_path)
    there = reproduce.Task("a", "dqn --env gymnax/CartPole-v1")
    assert there.state == "to do"

    def keep(**config):
        parts = {"config": config, "summary": {}, "curve": {}}
        provenance = {"command": "python experiments/dqn.py --env gymnax/CartPole-v1 --run-dir runs/a"}
        (tmp_path / "a.json").write_text(json.dumps({**parts, "provenance": provenance}))

    # What has gone from a script since, what says how a run is driven, and what has no effect counts for nothing.
    keep(target_period=500, discount=0.99, risk_level=0.25, experiment="dqn", num_logs=7, importance_exponent=0.9)
    assert there.state == "there"
    assert reproduce.Task("a", "dqn --env gymnax/Acrobot-v1").state == "to do, there by another command"
    assert reproduce.Task("a", "qr_dqn --env gymnax/CartPole-v1").state == "to do, there by another command"
    keep(target_period=64, discount=0.9)
    assert there.state == "to do, there with another discount, target_period"
    assert settings.changed(load(there.result)) == {"target_period": (64, 500), "discount": (0.9, 0.99)}
    keep(operator="max", hidden_widths=[64, 64])
    assert settings.changed(load(there.result)) == {"operator": ("max", "double")}


def test_a_command_that_is_taken_no_longer_has_changed(tmp_path):
    provenance = {"command": "python experiments/dqn.py --env gymnax/CartPole-v1 --num-envs 0 --run-dir runs/a"}
    kept = Result("a", {"num_envs": 0}, provenance, {}, {})
    assert list(settings.changed(kept)) == ["command"]


@pytest.mark.parametrize(
    ("suite", "agents", "patterns", "field"),
    [("minitar", None, ["*"], "suite"), ("minatar", ["sac"], ["*"], "agent"), ("minatar", None, ["no-*"], "only")],
)
def test_unknown_suites_agents_and_names_are_one_line(suite, agents, patterns, field):
    with pytest.raises(InputError, match=f"^{field} is") as error:
        reproduce.chosen(suite, agents, patterns)
    assert "\n" not in str(error.value)


def finish(task):
    """Write what a run leaves when it is at its end."""
    task.run_dir.mkdir(parents=True)
    for name in ("config", "provenance", "summary"):
        (task.run_dir / f"{name}.json").write_text("{}")
    line = {"step": 10, "eval_return": [1.0], "episode_return": [1.0], "wall_seconds": 1.0}
    (task.run_dir / "metrics.jsonl").write_text(json.dumps(line) + "\n")


def test_a_run_that_ended_before_a_stop_is_kept_and_not_begun_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "RUNS", tmp_path / "kept")
    monkeypatch.setattr(reproduce, "RUNNING", tmp_path / "running")
    monkeypatch.setattr(reproduce.subprocess, "Popen", None)
    (tmp_path / "kept").mkdir()
    task = reproduce.Task("a", "dqn --env gymnax/CartPole-v1")
    finish(task)
    assert reproduce.run(task)
    assert task.result.exists()
    assert not task.run_dir.exists()


def test_what_a_run_has_learned_can_be_left_and_is_not_taken_away_by_the_next(tmp_path, monkeypatch):
    for name in ("RUNS", "RUNNING", "LEFT"):
        monkeypatch.setattr(reproduce, name, tmp_path / name)
    (tmp_path / "RUNS").mkdir()
    task = reproduce.Task("a", "dqn --env gymnax/CartPole-v1")
    for written, leave in (("first", True), ("second", True), ("third", False)):
        finish(task)
        (task.run_dir / "learned").write_text(written)
        assert reproduce.kept(task, leave)
        assert not task.run_dir.exists()
        assert (tmp_path / "LEFT" / "a" / "learned").read_text() == ("second" if written == "third" else written)


WORKER = """
import sys
from pathlib import Path
from benchmarks import reproduce, settings
from benchmarks.suites import POLE_FLAGS
reproduce.RUNNING, reproduce.RUNS = Path(sys.argv[1]), Path(sys.argv[2])
reproduce.SUITES = {"small": {
  "one": "dqn --env gymnax/CartPole-v1 --total-steps 60000 --num-logs 100 --num-evaluations 1 --eval-episodes 1",
}}
sys.argv = ["reproduce", "small"]
sys.exit(reproduce.main())
"""


@pytest.mark.slow
def test_a_stopped_suite_goes_on_to_the_same_numbers(tmp_path):
    def start(name: str) -> subprocess.Popen:
        command = [sys.executable, "-c", WORKER, str(tmp_path / f"{name}-runs"), str(tmp_path / f"{name}-results")]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    assert start("whole").wait() == 0
    stopped = start("cut")
    metrics = tmp_path / "cut-runs" / "one" / "metrics.jsonl"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 3):
        assert stopped.poll() is None, "it ended before it could be stopped"
        time.sleep(0.02)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait() == 0
    kept = tmp_path / "cut-results" / "one.json"
    assert not kept.exists()
    assert start("cut").wait() == 0
    whole, cut = load(tmp_path / "whole-results" / "one.json"), load(kept)
    for metric in ("step", "episode_return", "eval_return"):
        assert whole.curve[metric] == cut.curve[metric]
    assert not (tmp_path / "cut-runs" / "one").exists()


def test_the_settings_page_is_of_these_suites():
    assert settings.PAGE.read_text() == settings.page()
