"""The host side: configuration, run directory, resume after kills, aggregates, plots, videos and the command line."""

import contextlib
import dataclasses
import fcntl
import functools
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.stats

from jaxq import platforms
from jaxq.cli.main import main
from jaxq.errors import InputError, InputWarning
from jaxq.runs import main as run_script
from jaxq.runs import parse, programs, run
from jaxq.runs.aggregate import interquartile_mean, probability_of_improvement, stratified_bootstrap_interval
from jaxq.runs.directory import RunDirectory, from_json, read_metrics, to_json
from jaxq.runs.interruption import Interruption, going_on_by, way_of_going_on
from jaxq.runs.plots import load_curves, merge
from jaxq.runs.run import plan_of
from jaxq.runs.scripts import load_script
from jaxq.runs.several import train
from jaxq.runs.sinks import open_sinks
from jaxq.training.numbers import numbers_of

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments" / "discrete"))
import dqn  # noqa: E402

SMALL = [
    *("--total-steps", "3000", "--num-logs", "12", "--num-evaluations", "3", "--eval-episodes", "2"),
    *("--num-envs", "2", "--warmup-steps", "200", "--hidden-widths", "16"),
    *("--epsilon-steps", "2000"),
]


def launch(*args, experiment="dqn", **environment):
    return subprocess.Popen(
        [sys.executable, str(next((ROOT / "experiments").glob(f"*/{experiment}.py"))), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        cwd=ROOT,
    )


def finish(*args, **keywords):
    process = launch(*args, **keywords)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def finish_here(*args):
    """The same in this process, which has imported everything: its code and what it said as an error."""
    err, code = io.StringIO(), 0
    with contextlib.redirect_stderr(err):
        try:
            run_script(dqn.Config, dqn.PRESETS, dqn.build, [*map(str, args)])
        except SystemExit as stop:
            code = stop.code or 0
    return code, err.getvalue()


def learning_metrics(run_dir):
    """What was learned, without what the clock says."""
    return [{k: v for k, v in line.items() if k != "wall_seconds"} for line in read_metrics(run_dir)]


def final_arrays(run_dir):
    """The last checkpoint's arrays, read without jaxq."""
    import orbax.checkpoint as ocp

    last = max((run_dir.absolute() / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    checkpointer = ocp.PyTreeCheckpointer()
    arrays = {}
    for item in ("agent", "rest"):
        names = checkpointer.metadata(last / item).item_metadata.tree
        whole = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
        restored = checkpointer.restore(last / item, restore_args=whole)
        arrays |= {f"{item}/{name}": np.asarray(leaf) for name, leaf in restored.items()}
    return arrays


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """One small run of two seeds from the command line: its directory and what it printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    code, out, err = finish("--run-dir", run_dir, "--num-seeds", 2, *SMALL)
    assert code == 0, err
    return run_dir, out


def test_run_directory_holds_what_it_should(whole_run):
    run_dir, out = whole_run
    for name in ("config.json", "experiment.py", "provenance.json", "metrics.jsonl", "summary.json", "curve.png"):
        assert (run_dir / name).stat().st_size > 0, name
    summary = json.loads((run_dir / "summary.json").read_text())
    assert {"agent", "env", "total_steps", "num_seeds", "returns", "return_mean", "return_iqm", "env_steps_per_second",
            "updates_per_second", "compile_seconds", "wall_seconds", "device"} <= set(summary)  # fmt: skip
    assert (summary["agent"], summary["env"], summary["num_seeds"]) == ("dqn", "gymnax/CartPole-v1", 2)
    assert len(summary["returns"]) == 2
    assert summary["updates_per_second"] == pytest.approx(summary["env_steps_per_second"] / 2)
    lines = read_metrics(run_dir)
    assert lines[-1]["step"] == summary["total_steps"]
    assert lines[-1]["eval_return"] == summary["returns"]
    assert len(lines) == 12
    assert sum(line["eval_return"][0] is not None for line in lines) == 3
    assert f"{summary['return_mean']:.4g}" in out
    assert 0 < summary["evaluation_share"] < 1
    assert "curve.png" in out
    provenance = json.loads((run_dir / "provenance.json").read_text())
    assert provenance["packages"]["jax"]
    assert provenance["device"].startswith("cpu")
    assert ("git_diff" in provenance) == bool(provenance["git_dirty"])


def test_killed_and_resumed_equals_never_stopped(whole_run, tmp_path):
    """SIGKILL at random moments; the arrays of the last checkpoint and all metrics must come out bit for bit."""
    kill_until_done(tmp_path / "killed", ["--num-seeds", 2, *SMALL], kills=2, longest=0.3, seed=0)
    compare_runs(whole_run[0], tmp_path / "killed")


def test_programs_compiled_beside_each_other_are_the_same(whole_run, monkeypatch, tmp_path):
    monkeypatch.setattr(programs.os, "cpu_count", lambda: 32)
    assert finish_here("--run-dir", tmp_path / "many", "--num-seeds", 2, *SMALL) == (0, "")
    compare_runs(whole_run[0], tmp_path / "many")


@pytest.mark.parametrize("flags", [[], ["--no-deterministic"]])
def test_gpus_are_told_to_add_in_one_order_unless_told_otherwise(monkeypatch, tmp_path, flags):
    """With another platform assumed: the compiler of this one takes the option too."""
    told, compile_ = [], jax.stages.Lowered.compile

    def recorded(lowered, options=None):
        told.append(options)
        return compile_(lowered, options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", recorded)
    with platforms.assume("gpu"):
        assert finish_here("--run-dir", tmp_path / "gpu", *SMALL, *flags) == (0, "")
    assert told == 8 * [None if flags else {"xla_gpu_deterministic_ops": True}]


@pytest.mark.slow
def test_twenty_kills_of_dqn_on_minatar(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "false")
    args = [
        "--env",
        "gymnax/Breakout-MinAtar",
        "--total-steps",
        900_000,
        "--num-logs",
        600,
        "--replay-capacity",
        20_000,
    ]
    assert finish("--run-dir", tmp_path / "whole", *args)[0] == 0
    kill_until_done(tmp_path / "killed", args, kills=20, longest=2.0, seed=1)
    compare_runs(tmp_path / "whole", tmp_path / "killed")


def kill_until_done(run_dir, args, kills, longest, seed):
    """Run, kill after a random time of running, resume, until all kills have struck; then let it finish."""
    rng = np.random.default_rng(seed)
    args = ["--run-dir", run_dir, *args, "--checkpoint-minutes", 0]
    done = 0
    while done < kills:
        resume = ["--resume"] if (run_dir / "config.json").exists() else []
        seen = len(read_metrics(run_dir)) if run_dir.exists() else 0
        process = launch(*args, *resume)
        while process.poll() is None and (not run_dir.exists() or len(read_metrics(run_dir)) <= seen):
            time.sleep(0.02)
        time.sleep(rng.uniform(0, longest))
        assert process.poll() is None, f"finished after {done} kills: {process.communicate()[1]}"
        process.kill()
        process.communicate()
        done += 1
    code, _, err = finish(*args, "--resume")
    assert code == 0, err


def compare_runs(whole, resumed):
    assert learning_metrics(whole) == learning_metrics(resumed)
    expected, found = final_arrays(whole), final_arrays(resumed)
    assert set(expected) == set(found)
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)


def test_sigterm_writes_a_checkpoint_and_says_how_to_go_on(whole_run, tmp_path):
    run_dir = tmp_path / "stopped"
    args = ["--run-dir", run_dir, "--num-seeds", 2, *SMALL, "--checkpoint-minutes", "inf"]
    process = launch(*args)
    while not read_metrics(run_dir):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    if "score" not in out:  # it had not just finished by itself
        assert f"--run-dir {run_dir} --resume" in out
        code, out, err = finish(*args)
        assert code == 0, err
        assert "resumed at step" in out
    compare_runs(whole_run[0], run_dir)


def test_where_somebody_types_being_told_to_stop_ends_no_process():
    """A notebook has more to lose than the run that it compiles; the run looks when that is done."""
    with Interruption(ends=False) as told:
        os.kill(os.getpid(), signal.SIGINT)
        while not told:
            time.sleep(0.01)
        assert told.name == "SIGINT"


@pytest.mark.slow
def test_told_to_stop_while_compiling_it_ends_at_once_and_the_same_command_begins(whole_run, tmp_path):
    args = ["--run-dir", tmp_path / "run", "--num-seeds", 2, *SMALL]
    process = launch(*args)
    for line in process.stdout:
        if "compiling" in line:
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM before anything new was learned" in out
    assert not read_metrics(tmp_path / "run")
    code, _, err = finish(*args)
    assert code == 0, err
    compare_runs(whole_run[0], tmp_path / "run")


class Stopping:
    """A pace of short parts, at one of which the process is told to stop."""

    def __init__(self, count, at):
        self.count, self.at, self.parts = count, at, 0

    def took(self, count, seconds):
        self.parts += 1
        if self.parts == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def test_told_to_stop_within_a_chunk_and_within_an_evaluation(whole_run, tmp_path, monkeypatch, capsys):
    """A chunk of 116 iterations is cut at 21; later the evaluation after the fourth, and the one after the eighth."""
    from jaxq.runs import run, session

    config = parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(tmp_path / "run"), "--num-seeds", "2", *SMALL])
    for paces, place in (
        ((Stopping(21, 1), Stopping(100, 99)), "at step 242"),
        ((Stopping(7, 99), Stopping(1, 3)), "at step 1,128"),
        ((Stopping(1000, 3), Stopping(100, 99)), "at step 2,056"),
    ):
        paces = iter(paces)
        monkeypatch.setattr(session, "Pace", lambda: next(paces))  # noqa: B023
        with pytest.raises(SystemExit) as stop:
            run(dqn.build, config)
        assert stop.value.code == 0
        assert place in capsys.readouterr().out
    monkeypatch.undo()
    run(dqn.build, config)
    compare_runs(whole_run[0], tmp_path / "run")


@pytest.mark.parametrize(("beginning", "each"), [(0.0, 1e-5), (1e-3, 0.02), (0.5, 4.0), (1.0, 0.1), (0.0, 60.0)])
def test_a_dispatch_takes_about_as_long_as_one_may_wait(beginning, each):
    from jaxq.runs.pace import LONGEST_SECONDS, SECONDS, Pace

    pace, took = Pace(), []
    for _ in range(12):
        took.append(beginning + each * pace.count)
        pace.took(pace.count, took[-1])
    assert max(took) <= max(LONGEST_SECONDS, beginning + each)
    assert took[-1] >= min(SECONDS, 10 * beginning) - each


def test_an_unfinished_run_is_gone_on_with_only_as_it_began(whole_run, tmp_path):
    import shutil

    import qr_dqn

    from jaxq.runs import run

    unfinished = tmp_path / "run"
    shutil.copytree(whole_run[0], unfinished)
    args = ["--run-dir", str(unfinished), "--num-seeds", "2", *SMALL]
    with pytest.raises(InputError, match="already holds a run: add --resume"):
        run(dqn.build, parse(dqn.Config, dqn.PRESETS, args))
    (unfinished / "summary.json").unlink()
    with pytest.raises(InputError, match=r"learning_rate is 0.5, but must be 0.001, or give another directory"):
        run(dqn.build, parse(dqn.Config, dqn.PRESETS, [*args, "--learning-rate", "0.5"]))
    with pytest.raises(InputError, match=r"experiment is 'qr_dqn', but must be dqn"):
        run(qr_dqn.build, parse(qr_dqn.Config, qr_dqn.PRESETS, args))


SAVES = """
import resource, sys, jax.numpy as jnp
from pathlib import Path
from flax import struct
from jaxq.runs.checkpoints import Checkpoints

class State(struct.PyTreeNode):
    agent: object
    replay: object

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save(State(jnp.ones(3), jnp.ones(3)), {})
state = State(jnp.ones(3), jnp.ones((1, 400, 1_000_000), jnp.uint8).block_until_ready())
before = peak()
checkpoints.save(state, {})
print(peak() - before)
"""


def test_saving_needs_no_second_copy(tmp_path):
    """A replay of 400 MB; within its part of a checkpoint it is encoded by parts of 64 MB."""
    done = subprocess.run(
        [sys.executable, "-c", SAVES, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert float(done.stdout) < 200


def in_process(tmp_path, name, build, *flags):
    from jaxq.runs import run

    args = ["--run-dir", str(tmp_path / name), *flags] if "--resume" in flags else [
        *("--run-dir", str(tmp_path / name)), *SMALL, *flags]  # fmt: skip
    return run(build, parse(dqn.Config, dqn.PRESETS, args))


def with_evaluation(kind, **changes):
    """The script's own `build`, but for how its agents are tested."""

    @functools.wraps(dqn.build)
    def build(config):
        training = dqn.build(config)
        evaluation = kind(training.evaluation.environment, training.evaluation.max_steps, **changes)
        return dataclasses.replace(training, evaluation=evaluation)

    return build


def test_a_run_that_is_told_to_stop_in_an_evaluation_goes_on_with_it(tmp_path, monkeypatch, capsys):
    """Evaluations are cut into parts, here of two steps; after the first of them the signal comes."""
    from jaxq.runs import display, session
    from jaxq.training import Evaluation

    build = with_evaluation(Evaluation)
    in_process(tmp_path, "whole", build)
    with monkeypatch.context() as patch:
        told = []
        paces = iter((Stopping(1000, None), Stopping(2, None)))
        patch.setattr(session, "Pace", lambda: next(paces))

        def evaluating(self, steps, longest):
            told.append((steps, longest))
            os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(display.Display, "evaluating", evaluating)
        with pytest.raises(SystemExit) as stop:
            in_process(tmp_path, "stopped", build)
    assert (stop.value.code, told) == (0, [(2, 500)])
    assert "stopped by SIGTERM" in capsys.readouterr().out
    seen = len(read_metrics(tmp_path / "stopped"))
    in_process(tmp_path, "stopped", build, "--resume")
    assert learning_metrics(tmp_path / "stopped") == learning_metrics(tmp_path / "whole")
    assert read_metrics(tmp_path / "stopped")[seen]["eval_return"][0] is not None
    compare_runs(tmp_path / "whole", tmp_path / "stopped")


def test_a_long_evaluation_is_told_of_where_there_is_no_bar(monkeypatch, capsys):
    from jaxq.runs import display

    shown = display.Display("dqn", 100)
    shown.evaluating(1000, 27_000)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(display, "SILENCE", -1.0)
    shown.evaluating(2000, 27_000)
    assert "evaluating, step 2,000 of at most 27,000" in capsys.readouterr().out


def test_the_score_is_the_last_evaluation_s_though_it_is_not_finite(tmp_path, monkeypatch, capsys):
    from jaxq.runs import session as module

    played, on_the_host = [], module._on_the_host

    def fails(metrics):
        found = on_the_host(metrics)
        played.extend(["eval_return"] if "eval_return" in found else [])
        return {**found, "eval_return": [float("nan")]} if played[2:] and "eval_return" in found else found

    monkeypatch.setattr(module, "_on_the_host", fails)
    summary = in_process(tmp_path, "run", dqn.build)
    assert len(played) == 3
    assert (summary["returns"], summary["return_mean"], summary["return_iqm"]) == ([None], None, None)
    assert "the last evaluation is not finite" in capsys.readouterr().out
    assert read_metrics(tmp_path / "run")[3]["eval_return"][0] is not None, "an earlier one was"


def test_envpool_run_resumes_with_fresh_episodes(tmp_path):
    args = ["--env", "envpool/CartPole-v1", "--run-dir", tmp_path / "pool", *SMALL, "--checkpoint-minutes", 0]
    process = launch(*args, "--num-seeds", 2)
    while len(read_metrics(tmp_path / "pool")) < 3:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    code, out, err = finish("--run-dir", tmp_path / "pool", "--resume")
    assert code == 0, err
    assert "fresh episodes" in out
    code, err = finish_here("--run-dir", tmp_path / "pool", "--resume", "--total-steps", 3300)
    assert code == 0, err
    assert json.loads((tmp_path / "pool" / "config.json").read_text())["resumption"] == 2
    steps = [line["step"] for line in read_metrics(tmp_path / "pool")]
    assert steps == sorted(set(steps))
    assert len(steps) == 13


def test_no_resumption_of_a_run_replays_another_s_episodes(monkeypatch, tmp_path):
    """The pools of each are made with seeds of their own."""
    from jaxq import envs

    seeds, make = [], envs.make
    monkeypatch.setattr(
        envs, "make", lambda *args, seed, **options: seeds.extend(seed) or make(*args, seed=seed, **options)
    )
    for resumption in range(3):
        config = parse(dqn.Config, dqn.PRESETS, ["--env", "envpool/CartPole-v1", "--num-envs", "2"])
        dqn.build(dataclasses.replace(config, resumption=resumption))
    assert len(set(seeds)) == len(seeds) == 3 * (2 + config.eval_episodes)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--env", "gymnax/Brekout"], "gymnax/Breakout-MinAtar"),
        (["--env", "gymnax/Pendulum-v1"], "discrete"),
        (["--env", "CartPole-v1"], "did you mean gymnax/CartPole-v1, envpool/CartPole-v1?"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--num-seeds", "-1"], "num_seeds is -1"),
        (["--batch-size", "5000"], "warmup_steps"),
        (["--batch-size", "500000"], "batch_size is 500000, but must be at most the replay's capacity of "),
        (["--total-steps", "1.5e-1"], "total_steps is '1.5e-1', but must be a whole number"),
        (["--hidden-widths", "64,64"], "hidden_widths is '64,64', but must be whole numbers, with spaces between them"),
        (["--batch-size", "many"], "batch_size is 'many', but must be a whole number"),
        (["--discount", "half"], "discount is 'half', but must be a number"),
        (["--learning-rate"], "learning_rate"),
        (["--bach-size", "5"], "--batch-size"),
        (["--discount", "1.5"], "discount is 1.5"),
        (["--device", "gpu"], "only: cpu"),
        (["--track", "nowhere"], "wandb"),
        (["--resume"], "--run-dir"),
        (["--resume", "--run-dir", "/nonexistent/run"], "config.json"),
        (["--run-dir", "/proc/run"], "/proc/run"),
        (["--temperature", "3.0"], "temperature is 3.0, but must be left out"),
        (["--exploration", "boltzmann", "--ladder-base", "0.3"], "ladder_base"),
        (["--life-loss"], "life_loss"),
        (["--operator", "duoble"], "operator is 'duoble', but must be one of max, double, expected"),
        (["--operator", "duoble"], "did you mean double?"),
        (["--exploration", "boltzmann", "--epsilon-final", "0"], "epsilon_final is 0.0"),
        (["--init-from", "/nonexistent/run"], "init_from"),
        (["--seed", "0", "1", "2"], "'1' is one value too many after --seed; several seeds are --num-seeds"),
        (["--learning-rate=1e-3", "slow"], "'slow' is one value too many after --learning-rate"),
        (["--num-seeds", "2", "slow"], "'slow' is one value too many after --num-seeds"),
    ],
)
def test_bad_input_is_one_line_and_code_2(args, said, tmp_path, monkeypatch, capsys):
    from jaxq.runs import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(dqn.Config, dqn.PRESETS, dqn.build, args)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1
    assert said in error
    assert not list(tmp_path.iterdir())


def test_a_tracker_that_is_missing_names_its_extra_and_leaves_nothing(tmp_path, monkeypatch):
    from jaxq.runs import run

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    config = dqn.Config(run_dir=tmp_path / "run", track="tensorboard")
    with pytest.raises(InputError, match=r"jaxq\[tensorboard\]"):
        run(dqn.build, config)
    assert not (tmp_path / "run").exists()


def test_too_small_a_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    import shutil

    from jaxq.runs import run

    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match="MB free"):
        run(dqn.build, dqn.Config(run_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_is_one_line_and_keeps_the_checkpoints(tmp_path, monkeypatch):
    import errno

    from jaxq.runs import run

    log, written = RunDirectory.log, []

    def fill_up(self, line):
        if len(written) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(line)
        log(self, line)

    monkeypatch.setattr(RunDirectory, "log", fill_up)
    args = ["--run-dir", str(tmp_path / "run"), *SMALL, "--checkpoint-minutes", "0"]
    with pytest.raises(InputError, match="disk that is full"):
        run(dqn.build, parse(dqn.Config, dqn.PRESETS, args))
    assert list((tmp_path / "run" / "checkpoints").glob("[0-9]*"))


def test_a_directory_that_holds_a_run_is_not_overwritten(whole_run):
    run_dir, _ = whole_run
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="already holds a run"):
        RunDirectory(run_dir, resume=False)
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.is_file()} == before


def test_a_directory_in_use_is_refused(tmp_path):
    first = RunDirectory(tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="in use"):
        RunDirectory(tmp_path / "run", resume=False)
    first.close()
    RunDirectory(tmp_path / "run", resume=False).close()
    assert not (tmp_path / "run").exists(), "what was made for nothing is taken away"


@pytest.mark.parametrize("meanwhile", ["the lock is taken away", "a run is begun and ends"])
def test_between_looking_at_a_directory_and_locking_it_another_may_have_had_it(tmp_path, monkeypatch, meanwhile):
    path, flock = tmp_path / "run", fcntl.flock
    gone: list[Path] = []

    def slow(file, operation):
        if not gone:
            gone.append(path / ".lock")
            if meanwhile == "the lock is taken away":
                (path / ".lock").unlink()
                path.rmdir()
            else:
                (path / "config.json").write_text("{}")
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    if meanwhile == "a run is begun and ends":
        with pytest.raises(InputError, match="already holds a run"):
            RunDirectory(path, resume=False)
        assert (path / "config.json").exists()
    else:
        with contextlib.closing(RunDirectory(path, resume=False)), pytest.raises(InputError, match="in use"):
            RunDirectory(path, resume=False)


def test_a_directory_is_given_up_after_what_was_made_in_it_is_taken_away(tmp_path, monkeypatch):
    first, unlink, refused = RunDirectory(tmp_path / "run", resume=False), Path.unlink, []

    def slow(path, **options):
        with pytest.raises(InputError, match="in use") as told:
            RunDirectory(tmp_path / "run", resume=False)
        refused.append(told)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", slow)
    first.close()
    assert refused


def test_told_to_stop_it_ends_whatever_its_last_acts_do(tmp_path):
    """In a process of its own, one of whose last acts fails."""
    program = """
import os, signal, sys, threading, time
from pathlib import Path
from jaxq.runs.interruption import Interruption, before_leaving

def fails(name):
    raise RuntimeError("disk that is full")

with Interruption(), before_leaving(lambda name: Path(sys.argv[1]).write_text(name)), before_leaving(fails):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
"""
    begun = [sys.executable, "-c", program, str(tmp_path / "told")]
    done = subprocess.run(begun, cwd=ROOT, capture_output=True, text=True, timeout=25)
    assert done.returncode == 0, done.stderr
    assert "disk that is full" in done.stderr
    assert (tmp_path / "told").read_text() == "SIGTERM"


def test_how_often_is_logged_evaluated_and_saved_changes_no_bit(whole_run, tmp_path):
    often = [*SMALL, "--num-logs", "24", "--num-evaluations", "7", "--checkpoint-minutes", "0"]
    code, err = finish_here("--run-dir", tmp_path / "often", "--num-seeds", 2, *often)
    assert code == 0, err
    assert len(list((tmp_path / "often" / "checkpoints").glob("[0-9]*"))) == 2, "the newest two are kept"
    ours, theirs = (final_arrays(path) for path in (whole_run[0], tmp_path / "often"))
    # Sums over what was reported differ, as reports come at other times.
    learned = [name for name in ours if name.startswith("agent/")]
    assert learned
    steps = [read_metrics(path)[-1]["step"] for path in (whole_run[0], tmp_path / "often")]
    assert steps[0] == steps[1]
    for name in learned:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_a_run_is_gone_on_with_by_its_own_script_only(whole_run):
    import qr_dqn

    with pytest.raises(InputError, match="experiment is 'qr_dqn', but must be dqn, as of the run"):
        parse(qr_dqn.Config, qr_dqn.PRESETS, ["--run-dir", str(whole_run[0]), "--resume"])


def test_a_run_can_be_made_longer_and_another_begin_with_what_it_learned(whole_run, tmp_path):
    import shutil

    run_dir = tmp_path / "longer"
    shutil.copytree(whole_run[0], run_dir)
    before = learning_metrics(run_dir)
    code, err = finish_here("--run-dir", run_dir, "--resume", "--total-steps", 4000)
    assert code == 0, err
    lines = learning_metrics(run_dir)
    assert lines[: len(before)] == before
    walls = [line["wall_seconds"] for line in read_metrics(run_dir)]
    assert walls == sorted(walls), "earlier sessions are counted"
    assert 3900 < lines[-1]["step"] <= 4000
    assert lines[-1]["eval_return"][0] is not None
    summary = (run_dir / "summary.json").read_text()
    assert json.loads(summary)["total_steps"] == lines[-1]["step"]
    # The step size falls to zero at the end of the run, wherever that is, and until then everything is learned.
    then, now = final_arrays(whole_run[0]), final_arrays(run_dir)
    short, long = (
        numbers_of(dqn.build(parse(dqn.Config, dqn.PRESETS, [*SMALL, "--total-steps", steps])))[
            "agent.hyper.learning_rate.steps"
        ]
        for steps in ("3000", "4000")
    )
    assert long > short
    ends = {
        name: (then[name], now[name]) for name in now if (then[name] == np.float32(short)).all() and then[name].size
    }
    assert len(ends) == 1
    np.testing.assert_array_equal(ends.popitem()[1][1], np.float32([long, long]))
    weights = [name for name in now if now[name].ndim == 3 and name.startswith("agent")]
    assert weights
    assert all((now[name] != then[name]).any(axis=(1, 2)).all() for name in weights)
    # With nothing left to do the summary stays, speed and all.
    assert finish_here("--run-dir", run_dir, "--resume")[0] == 0
    assert (run_dir / "summary.json").read_text() == summary
    with pytest.raises(InputError, match="total_steps is 3500, but must be at least 4000"):
        parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(run_dir), "--resume", "--total-steps", "3500"])
    from jaxq.runs.checkpoints import learned_by
    from jaxq.runs.population import member_keys

    config = parse(dqn.Config, dqn.PRESETS, ["--num-seeds", "2", *SMALL, "--learning-rate", "0.5"])
    fresh = dqn.build(config).init(member_keys(config)).agent
    agents = learned_by(run_dir, fresh)
    expected = final_arrays(run_dir)
    assert any(np.array_equal(agents.params["params"]["head"]["Dense_0"]["kernel"], array)
               for array in expected.values())  # fmt: skip
    assert agents.updates.tolist() == [0, 0]
    assert agents.hyper.learning_rate.initial.tolist() == [0.5, 0.5]
    for words, said in (
        (["--num-seeds", 2, "--hidden-widths", 8], "; there are hidden_widths [16]"),
        (["--num-seeds", 2, "--hidden-widths", 8, "--batch-size", 64], "; there are hidden_widths [16]\n"),
        (["--num-seeds", 3], "a run of 2 members, but must be one of a single member, or of as many as this has, 3"),
    ):
        code, err = finish_here("--run-dir", tmp_path / "other", *SMALL, "--init-from", run_dir, *words)
        assert code == 2
        assert said in err


def test_a_run_that_has_ended_is_not_begun_anew_for_want_of_its_checkpoints(whole_run, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(whole_run[0], run_dir, ignore=shutil.ignore_patterns("checkpoints"))
    before = {path.name: path.read_text() for path in run_dir.glob("*.json*")}
    code, err = finish_here("--run-dir", run_dir, "--resume", "--total-steps", 5000)
    assert code == 2
    assert "this run has ended, and its checkpoints are gone" in err
    assert {path.name: path.read_text() for path in run_dir.glob("*.json*")} == before


def test_all_members_can_begin_with_what_one_has_learned(tmp_path):
    from jaxq.runs.checkpoints import Checkpoints, learned_by
    from jaxq.runs.population import member_keys

    flags = [*SMALL, "--run-dir", str(tmp_path)]
    one, three = (parse(dqn.Config, dqn.PRESETS, [*flags, "--num-seeds", seeds]) for seeds in ("1", "3"))
    state = dqn.build(one).init(member_keys(one))
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        checkpoints.save(state, {})
    (tmp_path / "config.json").write_text(json.dumps({"experiment": "dqn", **to_json(one)}))
    agents = dqn.build(three).init(member_keys(three)).agent
    learned = learned_by(tmp_path, agents)
    for found, only in zip(*map(jax.tree.leaves, (learned.params, state.agent.params)), strict=True):
        assert found.shape == (3, *only.shape[1:])
        np.testing.assert_array_equal(found, np.repeat(only, 3, axis=0))


def test_a_run_that_learns_nothing_ends_with_what_it_began_with(whole_run, tmp_path):
    """With the agents of another run, and a step size of zero."""
    import jaxq

    flags = ["--num-seeds", 2, *SMALL, "--learning-rate", 0, "--learning-rate-final", 0, "--init-from", whole_run[0]]
    assert finish_here("--run-dir", tmp_path / "tuned", *flags) == (0, "")
    for member in (0, 1):
        ours, theirs = (jaxq.load(path, member).state.params for path in (tmp_path / "tuned", whole_run[0]))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_resuming_with_another_configuration_is_refused(whole_run):
    run_dir, _ = whole_run
    args = ["--run-dir", str(run_dir), "--resume"]
    assert parse(dqn.Config, dqn.PRESETS, args).hidden_widths == (16,)
    with pytest.raises(InputError, match=r"learning_rate is 0.5, but must be 0.001"):
        parse(dqn.Config, dqn.PRESETS, [*args, "--learning-rate", "0.5"])


def test_a_run_resumed_from_python_is_held_against_the_one_there(whole_run, tmp_path):
    """And nothing of the one there has changed when it is refused."""
    run_dir = tmp_path / "copy"
    shutil.copytree(whole_run[0], run_dir)
    files = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    config = parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(run_dir), "--resume"])
    for field, value, said in (
        ("learning_rate", 0.5, "learning_rate is 0.5, but must be 0.001, as in the run being resumed"),
        ("total_steps", 1000, "total_steps is 1000, but must be at least 3000"),
        ("seed", 77, "seed is 77"),
    ):
        with pytest.raises(InputError, match=said):
            run(dqn.build, dataclasses.replace(config, **{field: value}))

    def other(config):
        return dqn.build(config)

    with pytest.raises(InputError, match="experiment is 'test_runs', but must be dqn"):
        run(other, config)
    assert files == {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}


@pytest.mark.parametrize("minibatches", [["8"], ["8", "16"]])
def test_what_only_tracing_finds_leaves_no_run_behind(minibatches, tmp_path):
    """So that the corrected command can have the directory, of one program or of several."""
    pqn = load_script(ROOT / "experiments" / "discrete" / "recurrent_pqn.py", "traced_recurrent_pqn")
    small = ["--env", "gymnax/CartPole-v1", "--num-envs", "4", "--rollout-steps", "4", "--total-steps", "64"]
    for made in (False, True):
        run_dir = tmp_path / f"run-{made}"
        if made:
            run_dir.mkdir()
            (run_dir / "notes.txt").write_text("mine")
        flags = [*small, "--minibatches", *minibatches, "--run-dir", str(run_dir)]
        with pytest.raises(InputError, match="minibatches is"):
            train(pqn.build, parse(pqn.Config, pqn.PRESETS, flags))
        assert run_dir.exists() == made
        assert not made or {path.name for path in run_dir.iterdir()} - {".lock"} == {"notes.txt"}


def test_a_config_that_is_no_run_s_is_left_alone(tmp_path):
    (tmp_path / "config.json").write_text('{"mine": 1}')
    for flags in ([], ["--batch-size", "32", "64"]):
        config = parse(dqn.Config, dqn.PRESETS, [*SMALL, *flags, "--run-dir", str(tmp_path)])
        for resume in (False, True):
            with pytest.raises(InputError, match=r"config\.json is"):
                train(dqn.build, dataclasses.replace(config, resume=resume))
            assert (tmp_path / "config.json").read_text() == '{"mine": 1}'


def test_a_config_that_holds_no_fields_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"config\.json cannot be read: it holds no fields"):
        run(dqn.build, parse(dqn.Config, dqn.PRESETS, [*SMALL, "--run-dir", str(tmp_path)]))


def test_where_a_run_fell_while_it_compiled_another_may_begin(tmp_path, monkeypatch):
    """Over whatever; but one that has learned is kept."""
    run_dir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("jaxq.runs.session.compiled", lambda *args: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            run(dqn.build, parse(dqn.Config, dqn.PRESETS, [*SMALL, "--run-dir", str(run_dir)]))
    assert not run_dir.exists()
    assert finish_here(*SMALL, "--run-dir", run_dir, "--discount", 0.9) == (0, "")
    assert json.loads((run_dir / "config.json").read_text())["discount"] == 0.9
    (run_dir / "summary.json").unlink()
    code, err = finish_here(*SMALL, "--run-dir", run_dir, "--discount", 0.8)
    assert code == 2
    assert "discount is 0.8, but must be 0.9, or give another directory" in err


def test_a_controller_of_programs_with_a_single_member_is_refused_before_anything_is_written(tmp_path):
    code, err = finish_here(*SMALL, "--batch-size", 8, 16, "--controller", "pbt", "--run-dir", tmp_path / "run")
    assert code == 2
    assert "controller is 'pbt', but must be left out where a program has a single member" in err
    assert not (tmp_path / "run").exists()


def test_exploration_longer_than_the_run_is_warned_of(recwarn):
    args = ["--total-steps", "20000", "--epsilon-steps", "40000"]
    with pytest.warns(InputWarning, match="exploration ends at 0.573 and not at 0.1"):
        dqn.build(parse(dqn.Config, dqn.PRESETS, args))
    dqn.build(parse(dqn.Config, dqn.PRESETS, ["--total-steps", "41000"]))
    assert not recwarn.list


def test_exploration_may_fall_over_a_share_of_the_run(recwarn):
    def falls_over(given):
        args = ["--total-steps", "20000", "--warmup-steps", "2000", "--epsilon-steps", given]
        return dqn.build(parse(dqn.Config, dqn.PRESETS, args)).agent.hyper.exploration.epsilon.steps

    assert (falls_over("0.25"), falls_over("1.0"), falls_over("300")) == (4500, 18_000, 300)
    assert not recwarn.list
    for given in ("1.5", "0.0", "nan"):
        with pytest.raises(InputError, match=f"epsilon_steps is {given}"):
            falls_over(given)
    config = dqn.Config(epsilon_steps=1.0)
    assert isinstance(from_json(dqn.Config, json.loads(json.dumps(to_json(config)))).epsilon_steps, float)


def test_a_warning_is_one_line(tmp_path):
    code, _, err = finish("--run-dir", tmp_path / "run", *SMALL, "--epsilon-steps", "4000", "--num-evaluations", 1)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: epsilon_steps is 4,000, more than the run's 2,800 steps after its warm-up")


def test_presets_follow_the_environment():
    atari = parse(dqn.Config, dqn.PRESETS, ["--env", "envpool/Pong-v5"])
    assert (atari.replay_capacity, atari.reward_clip) == (1_000_000, 1.0)
    assert parse(dqn.Config, dqn.PRESETS, ["--env=gymnax/Asterix-MinAtar"]).total_steps == 2_000_000
    given = parse(dqn.Config, dqn.PRESETS, ["--env", "envpool/Pong-v5", "--reward-clip", "5"])
    assert given.reward_clip == 5


def test_presets_of_small_tasks_go_no_further():
    def of(name, env):
        module = importlib.import_module(f"experiments.{name}")
        return parse(module.Config, module.PRESETS, ["--env", env])

    for name in ("sac", "ppo", "fast_td3", "fast_sac", "flash_sac", "reppo", "brax_ppo", "avg", "pqn_continuous"):
        config = of(f"continuous.{name}", "envpool/BipedalWalker-v3")
        assert config == type(config)(env="envpool/BipedalWalker-v3"), "the paper's own numbers"
    for name in ("fast_td3", "fast_sac"):
        both = [of(f"continuous.{name}", f"gymnax/{env}") for env in ("Pendulum-v1", "MountainCarContinuous-v0")]
        assert [(config.v_min, config.v_max) for config in both] == [(-400, 10), (-100, 100)]
        pendulum, car = (dataclasses.replace(config, env="", v_min=0.0, v_max=0.0) for config in both)
        assert pendulum == car
    assert of("continuous.flash_sac", "gymnax/Pendulum-v1").v_min == -5
    assert of("continuous.reppo", "gymnax/Pendulum-v1").discount == 0.95
    for name in ("dqn", "pqn", "bbf", "btr", "pg_rainbow"):
        config = of(f"discrete.{name}", "envpool/CoinrunEasy-v0")
        assert (config.reward_clip, config.life_loss) == (1.0, False)
        assert getattr(config, "replay_capacity", 0) <= 100_000
    assert of("discrete.dqn", "envpool/highway-v0").total_steps == 2_000_000


def test_config_survives_json():
    config = dqn.Config(run_dir=Path("somewhere"), hidden_widths=(3, 4), huber_threshold=None)
    assert from_json(dqn.Config, json.loads(json.dumps(to_json(config)))) == config
    with pytest.raises(InputError, match="flying"):
        from_json(dqn.Config, {"flying": 1})


def test_divergence_stops_the_run_and_names_step_and_metric(tmp_path):
    code, err = finish_here("--run-dir", tmp_path / "nan", *SMALL, "--learning-rate", "1e30", "--checkpoint-minutes", 0)
    assert code == 1
    message = err.strip().splitlines()[-1]
    assert "diverged" in message
    assert err.count("\n") == 1
    assert "at step" in message
    assert "loss" in message or "mean_q" in message


def test_metrics_are_rewound_to_the_checkpoint(tmp_path):
    directory = RunDirectory(tmp_path, resume=False)
    for step in (10, 20, 30):
        directory.log({"step": step, "x": [float("nan"), 1.5]})
    with directory.metrics_path.open("a") as file:
        file.write('{"step": 40, "x"')
    directory.rewind(20)
    assert read_metrics(tmp_path) == [{"step": 10, "x": [None, 1.5]}, {"step": 20, "x": [None, 1.5]}]


@pytest.mark.parametrize("size", [1, 3, 4, 8, 10, 40])
def test_interquartile_mean_is_the_trimmed_mean(size):
    scores = np.random.default_rng(size).normal(size=size)
    assert interquartile_mean(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25))


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = stratified_bootstrap_interval(rng.normal(size=(1, 40)), resamples=400, seed=trial)
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_bootstrap_resamples_within_tasks():
    """Tasks whose runs all agree leave nothing to chance, however far the tasks are apart."""
    scores = np.repeat(np.array([[0.0], [10.0]]), 5, axis=1)
    low, high = stratified_bootstrap_interval(scores)
    assert low == high == pytest.approx(5.0)


def test_probability_of_improvement_is_the_statistic_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    ours, theirs = ([rng.integers(0, 6, runs) for runs in counts] for counts in ((10, 7), (8, 9)))  # with ties
    expected = np.mean(
        [scipy.stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(ours, theirs, strict=True)]
    )
    found, low, high = probability_of_improvement(ours, theirs)
    assert found == pytest.approx(expected)
    assert low < found < high


def test_improvement_that_is_certain_or_none_has_no_interval():
    scores = np.arange(5.0)
    assert probability_of_improvement([scores + 10.0, scores + 5.0], [scores, scores]) == (1.0, 1.0, 1.0)
    assert probability_of_improvement([np.ones(4)], [np.ones(3)]) == (0.5, 0.5, 0.5)


def test_only_what_may_be_a_population_divides_the_processors():
    from experiments.discrete.dqn import Config
    from jaxq.runs.command_line import _may_be_several

    alone = ["--env", "gymnax/CartPole-v1", "--num-seeds=1", "--learning-rate", "1e-3", "--seed", "3"]
    assert not _may_be_several(Config, [*alone, "--hidden-widths", "64", "64"]), "of one member are all of these"
    for more in (["--num-seeds", "2"], ["--learning-rate", "1e-3", "1e-4"], ["--population", "x.json"], ["--resume"]):
        assert _may_be_several(Config, [*alone[:2], *more])


def test_a_trained_policy_in_two_lines(whole_run, tmp_path, capsys):
    import jaxq
    from jaxq.runs.restore import restore_member

    policy = jaxq.load(whole_run[0], member=1)
    assert capsys.readouterr().err == "", "the script is the installed one"
    observations = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    batch = policy(observations)
    _, training, state = restore_member(whole_run[0], 1)
    q = training.agent.network.apply(state.params, observations)[..., 0]
    np.testing.assert_array_equal(batch, np.argmax(q, axis=1))
    with pytest.raises(InputError, match="batch is 1, but must be 6 until"):
        policy(observations[0])
    policy.reset()
    assert [int(policy(observation)) for observation in observations] == batch.tolist()
    assert int(policy(observations[0].tolist())) == batch[0], "a list of numbers is an observation too"
    with pytest.raises(InputError, match=r"observation is .*\(3,\)"):
        policy(np.zeros(3))
    with pytest.raises(InputError, match=r"observation is 'a dictionary', but must be one array of shape \(4,\)"):
        policy({"state": np.zeros(4)})


def test_a_trained_policy_remembers_until_it_is_reset(tmp_path):
    import jaxq
    from jaxq.envs.base import zero_reward_timestep

    small = ["--total-steps", "512", "--num-envs", "4", "--rollout-steps", "16", "--minibatches", "2", "--epochs", "1",
             "--eval-episodes", "1", "--num-logs", "2", "--num-evaluations", "1", "--burn-in", "0",
             "--hidden-widths", "8", "--recurrent-width", "8", "--epsilon-steps", "100"]  # fmt: skip
    environment = ["--env", "gymnax/CartPole-v1", "--eval-max-steps", "20"]
    summary = jaxq.train("recurrent_pqn", [*environment, *small, "--run-dir", tmp_path / "run"])
    assert summary["agent"] == "recurrent_pqn"
    policy = jaxq.load(tmp_path / "run")
    observations = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    memory, exploit = policy.agent.init_memory(1), jax.jit(policy.agent.exploit)
    for time_step, seen in enumerate(observations):
        now = zero_reward_timestep(seen[None], 1).replace(first=np.array([time_step == 0]))
        action, memory = exploit(policy.state, memory, now, jax.random.key(0))
        assert int(policy(seen)) == int(action[0])
    for ours, theirs in zip(jax.tree.leaves(policy._memory), jax.tree.leaves(memory), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    kept = jax.tree.leaves(policy._memory)
    policy.reset()
    policy(observations[-1])
    assert any(
        (np.asarray(a) != np.asarray(b)).any() for a, b in zip(kept, jax.tree.leaves(policy._memory), strict=True)
    )
    with pytest.raises(InputError, match=r"temperature is 0\.1, but must be left out"):
        jaxq.train("dqn", f"--env gymnax/CartPole-v1 --temperature 0.1 --run-dir '{tmp_path / 'other'}'")
    assert not (tmp_path / "other").exists()


def test_a_trained_policy_is_tested_for_as_many_episodes_as_one_likes(whole_run, monkeypatch, capsys):
    import jaxq
    from jaxq import envs
    from jaxq.cli.main import main
    from jaxq.keys import streams
    from jaxq.runs.evaluate import returns_of

    (returns,) = returns_of(whole_run[0], episodes=7, members=(1,), seed=5)
    environment = envs.make("gymnax/CartPole-v1", 7)
    policy, step = jaxq.load(whole_run[0], member=1), jax.jit(environment.step)
    state, timestep = environment.reset(jax.random.split(streams(jax.random.key(5), "reset", "act")[0], 7))
    alive, played = np.ones(7, bool), np.zeros(7)
    while alive.any():
        state, timestep = step(state, policy(np.asarray(timestep.observation)))
        played += alive * np.asarray(timestep.reward)
        alive &= ~np.asarray(timestep.last)
    np.testing.assert_array_equal(returns, played)
    assert len(set(returns.tolist())) > 1
    command = ["jaxq", "evaluate", str(whole_run[0]), "--episodes", "7", "--member", "1", "--seed", "5"]
    monkeypatch.setattr(sys, "argv", command)
    main()
    who, first, second = capsys.readouterr().out.splitlines()
    returned = [row["return"] for row in json.loads((whole_run[0] / "summary.json").read_text())["members"]]
    better = "; --member 0 had the highest last return" if returned[0] > returned[1] else ""
    assert who == f"member 1 of 2: seed 1{better}"
    error = np.std(played, ddof=1) / np.sqrt(7)
    assert first == f"mean return {played.mean():.4g} ± {error:.2g} (standard error of 7 episodes)"
    assert second.endswith(f"lowest {played.min():.4g}, highest {played.max():.4g}")
    with pytest.raises(InputError, match="episodes is 0"):
        returns_of(whole_run[0], episodes=0)
    both = returns_of(whole_run[0], episodes=7, seed=5)
    np.testing.assert_array_equal(both[1], returns)
    assert not np.array_equal(both[0], returns)
    monkeypatch.setattr(sys, "argv", [*command[:5], "--all", "--seed", "5"])
    main()
    means = both.mean(axis=1)
    *each, together = capsys.readouterr().out.splitlines()
    assert [line.partition(" ± ")[0] for line in each] == [
        f"member {i}, seed {i}: mean return {mean:.4g}" for i, mean in enumerate(means)
    ]
    assert together.startswith(f"together {means.mean():.4g} ± {np.std(means, ddof=1) / 2**0.5:.2g} ")
    monkeypatch.setattr(sys, "argv", [*command, "--all"])
    with pytest.raises(SystemExit):
        main()
    assert "member is 1, but must be left out with --all" in capsys.readouterr().err


def test_a_run_s_own_code_is_run_only_if_that_is_allowed(whole_run, tmp_path, capsys):
    import shutil

    import jaxq

    shutil.copytree(whole_run[0], tmp_path / "other")
    script = tmp_path / "other" / "experiment.py"
    script.write_text(script.read_text() + "\n# changed\n")
    with pytest.raises(InputError, match="may not be executed"):
        jaxq.load(tmp_path / "other", run_code=False)
    jaxq.load(tmp_path / "other")
    assert "about to be executed" in capsys.readouterr().err


def test_a_film_of_an_environment_of_one_s_own(tmp_path):
    """It has a policy, a film and a run that can be gone on with, as any other."""
    from test_environments import OWN_ENVIRONMENT

    import jaxq
    from jaxq.runs.video import record

    mine, picture = tmp_path / "mine.py", "\n    def picture(self, state):\n        import numpy as np\n"
    mine.write_text(OWN_ENVIRONMENT + picture + "        return np.full((8, 8, 3), 60 * int(state), np.uint8)\n")
    flags = ["--env", f"{mine}:Corridor", "--run-dir", str(tmp_path / "run"), *SMALL, "--eval-max-steps", "20"]
    jaxq.run(dqn.build, parse(dqn.Config, dqn.PRESETS, flags))
    film = record(tmp_path / "run", tmp_path / "film.gif", max_steps=5, run_code=False)
    assert film.read_bytes()[:4] == b"GIF8"
    assert jaxq.load(tmp_path / "run")(np.zeros(1, np.float32)) in (0, 1)
    mine.write_text(OWN_ENVIRONMENT.replace("Corridor", "Hallway"))
    flags = ["--env", f"{mine}:Hallway", "--run-dir", str(tmp_path / "dark"), *SMALL, "--eval-max-steps", "20"]
    jaxq.run(dqn.build, parse(dqn.Config, dqn.PRESETS, flags))
    with pytest.raises(InputError, match=r"own/Hallway.*picture\(state\)"):
        record(tmp_path / "dark", None)


def test_runs_that_differ_in_seed_alone_are_one_curve(whole_run, recwarn):
    (curve,) = load_curves(whole_run[0])
    assert curve.returns.shape == (3, 2)
    assert curve.seeds == (0, 1)
    (joined,) = merge([curve, dataclasses.replace(curve, seeds=(2, 3))])
    assert joined.returns.shape == (3, 4)
    assert (joined.label, joined.seeds) == ("dqn", (0, 1, 2, 3))
    assert not recwarn.list
    with pytest.warns(InputWarning, match="seeds 0, 1 are counted more than once"):
        merge([curve, curve])


def test_runs_that_differ_are_curves_of_their_own(whole_run, recwarn):
    (curve,) = load_curves(whole_run[0])
    other = dataclasses.replace(curve, setting={**curve.setting, "learning_rate": 0.5, "batch_size": 7}, seeds=(2, 3))
    assert [c.label for c in merge([curve, other])] == [
        "dqn, batch_size 128, learning_rate 0.001",
        "dqn, batch_size 7, learning_rate 0.5",
    ]
    assert [c.label for c in merge([curve, other], by="learning_rate")] == [
        "dqn, learning_rate 0.001",
        "dqn, learning_rate 0.5",
    ]
    begun = dataclasses.replace(curve, setting={**curve.setting, "init_from": "runs/a"})
    assert "init_from" not in curve.setting
    assert [c.label for c in merge([curve, begun])] == ["dqn, init_from None", "dqn, init_from runs/a"]
    assert not recwarn.list
    with pytest.warns(InputWarning, match="differ in batch_size, learning_rate are joined"):
        (joined,) = merge([curve, other], by="discount")
    assert joined.returns.shape == (3, 4)
    with pytest.raises(InputError, match="by is 'colour'"):
        merge([curve], by="colour")


def test_command_line(whole_run, tmp_path, monkeypatch, capsys):
    run_dir, _ = whole_run
    monkeypatch.chdir(tmp_path)

    def jaxq(*args):
        """As `python -m jaxq.cli.main` has it, but in this process."""
        monkeypatch.setattr(sys, "argv", ["jaxq", *map(str, args)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    code, _, err = jaxq("plot", run_dir, "-o", "picture.png")
    assert code == 0, err
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    code, out, _ = jaxq("envs", "--backend", "gymnax", "--match", "MinAtar")
    assert "10×10×4 bool" in out
    assert out.count("MinAtar") == 5
    code, _, err = jaxq("video", run_dir, "--out", "film.gif", "--max-steps", 5)
    assert code == 0, err
    assert (tmp_path / "film.gif").read_bytes()[:4] == b"GIF8"
    for args, said in (
        (("plot", tmp_path), "config.json"),
        (("envs", "--match", "NoSuchGame"), "NoSuchGame"),
        (("video", run_dir, "--member", 7), "0 .. 1"),
    ):
        code, _, err = jaxq(*args)
        assert code == 2, args
        assert said in err
        assert err.strip().count("\n") == 0
    done = subprocess.run([sys.executable, "-m", "jaxq.cli.main", "plots"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "copy, envs, evaluate, plot" in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_whole_numbers_may_have_an_exponent():
    words = ["--total-steps", "1e6", "--replay-capacity=2.5e4", "--target-period", "1e2", "2e2"]
    config = parse(dqn.Config, dqn.PRESETS, words)
    assert (config.total_steps, config.replay_capacity) == (1_000_000, 25_000)
    assert [member.setting["target_period"] for member in config.all_members] == [100, 200]


def test_more_evaluations_than_lines_of_metrics_are_warned_of():
    config = parse(dqn.Config, dqn.PRESETS, ["--num-evaluations", "500"])
    with pytest.warns(InputWarning, match="num_evaluations is 500, more than num_logs, 100"):
        plan_of(dqn.build(config), config)


def test_a_tracker_that_cannot_be_begun_is_one_line(tmp_path, monkeypatch):
    import wandb

    def refused(**given):
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.\nmore")

    monkeypatch.setattr(wandb, "init", refused)
    with pytest.raises(InputError, match=r"WANDB_MODE=offline, may help: No API key configured.*log in\.$"):
        open_sinks("wandb", tmp_path, {}, "dqn")


def test_what_is_stopped_in_a_sweep_is_gone_on_with_by_the_sweep():
    with going_on_by("the sweep"):
        assert way_of_going_on("python dqn.py") == "the sweep"
    assert way_of_going_on("python dqn.py") == "python dqn.py"


@pytest.mark.slow
def test_tracking(tmp_path):
    """TensorBoard and offline W&B write their files; a resumed W&B run keeps its id."""
    for track, files in (("tensorboard", "tensorboard/events*"), ("wandb", "wandb/offline-run-*")):
        run_dir = tmp_path / track
        code, _, err = finish("--run-dir", run_dir, *SMALL, "--track", track, WANDB_MODE="offline", WANDB_SILENT="true")
        assert code == 0, err
        assert list(run_dir.glob(files)), track
    identity = (tmp_path / "wandb" / "wandb_id.txt").read_text()
    code, _, err = finish("--run-dir", tmp_path / "wandb", "--resume", WANDB_MODE="offline", WANDB_SILENT="true")
    assert code == 0, err
    assert (tmp_path / "wandb" / "wandb_id.txt").read_text() == identity
    assert list((tmp_path / "wandb").glob(f"wandb/offline-run-*-{identity}"))
