"""Launchers, as far as they go without the clusters that they are for."""

import runpy
import subprocess
import sys

import pytest
import yaml
from test_runs import ROOT, dqn
from test_sweeps import FLAGS, SPACE, spaced, study_in

from jaxq.runs.scripts import scripts
from jaxq.runs.sinks import WandbSink

LAUNCH = ROOT / "experiments" / "launch"


def test_launchers_are_no_experiments():
    assert not {path.stem for path in LAUNCH.glob("*.py")} & set(scripts())


@pytest.mark.slow
def test_an_array_of_workers_by_submitit_on_this_host(tmp_path):
    pytest.importorskip("submitit")
    space = spaced(tmp_path, SPACE)
    sweep = ["dqn", "--env", "gymnax/CartPole-v1", "--study", "s", "--space", space, "--trials", 2,
             "--directory", tmp_path / "sweeps", *FLAGS]  # fmt: skip
    own = ["--cluster", "local", "--wait", "--folder", tmp_path / "logs", "--workers", 1, "--"]
    done = subprocess.run(
        [sys.executable, LAUNCH / "slurm_array.py", *map(str, [*own, *sweep])],
        capture_output=True, text=True, cwd=ROOT, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [trial.state.name for trial in study_in(tmp_path).get_trials()] == ["COMPLETE"] * 2


def test_what_is_wrong_ends_an_array_with_its_code(tmp_path):
    pytest.importorskip("submitit")
    own = ["--cluster", "local", "--wait", "--folder", str(tmp_path / "logs"), "--"]
    sweep = ["dqn", "--env", "gymnax/CartPole-v1", "--study", "s", "--space", str(tmp_path / "none.yaml")]
    done = subprocess.run(
        [sys.executable, LAUNCH / "slurm_array.py", *own, *sweep],
        capture_output=True, text=True, cwd=ROOT, timeout=500,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr


def test_a_worker_that_was_killed_is_no_success_of_its_array():
    array = runpy.run_path(str(LAUNCH / "slurm_array.py"))
    killed = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]).wait()
    assert [array["worst"](codes) for codes in ([0, 0], [0, 2], [killed, 0])] == [0, 2, 9]


def test_a_job_of_kubernetes_gives_the_command_flags_that_it_has():
    (job,) = yaml.safe_load_all((LAUNCH / "kubernetes_job.yaml").read_text())
    assert (job["kind"], job["apiVersion"]) == ("Job", "batch/v1")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:4] == ["python", "-m", "jaxq.cli.main", "sweep"]
    shown = subprocess.run([sys.executable, "-m", "jaxq.cli.main", "sweep", "--help"], capture_output=True, text=True)
    assert all(argument.split("=")[0] in shown.stdout for argument in container["args"])
    assert pod["terminationGracePeriodSeconds"] >= 30
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_skypilot_s_task_runs_a_script_that_is_there():
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    assert {"resources", "workdir", "setup", "run"} <= set(task)
    script = next(word for word in task["run"].split() if word.endswith(".py"))
    assert (ROOT / script).is_file()


def test_a_sweep_of_w_and_b_names_a_script_and_its_fields():
    sweep = yaml.safe_load((LAUNCH / "wandb_sweep.yaml").read_text())
    assert (ROOT / sweep["program"]).is_file()
    assert set(sweep["parameters"]) <= {*dqn.Config.__dataclass_fields__}
    assert sweep["metric"]["name"] == "eval_return"
    assert "${args}" in sweep["command"]


def test_a_run_under_an_agent_is_the_agent_s(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_RUN_ID", "agents1")
    sink = WandbSink(tmp_path, {"learning_rate": 1.0}, "dqn")
    sink.log({"step": 1, "eval_return": [2.0]})
    sink.close()
    assert list(tmp_path.glob("wandb/offline-run-*-agents1"))


def test_the_shell_script_is_one(tmp_path):
    checked = subprocess.run(["bash", "-n", LAUNCH / "tpu_pod.sh"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    fake = tmp_path / "gcloud"
    fake.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    fake.chmod(0o755)
    done = subprocess.run(
        [LAUNCH / "tpu_pod.sh", "pod", "zone", "runs/x", "experiments/discrete/dqn.py", "--seed", "3"],
        capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    command = done.stdout.splitlines()[-1]
    assert command.endswith("experiments/discrete/dqn.py --seed 3 --coordinator auto --device tpu --run-dir runs/x")
    assert "--worker=all" in done.stdout
