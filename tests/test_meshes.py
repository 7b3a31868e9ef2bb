"""Several devices and several processes: the same run as on one, up to the order of sums.

Each test is a process of its own with eight devices made of the CPU, as JAX is told how many there are only once.
"""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from test_runs import learning_metrics
from test_training import cart_pole

from experiments.discrete import dqn
from jaxq.errors import InputError
from jaxq.runs import parse
from jaxq.runs.checkpoints import Checkpoints
from jaxq.runs.devices import idle, state_shape
from jaxq.runs.directory import read_metrics
from jaxq.runs.population import assemble
from jaxq.runs.restore import load_experiment
from jaxq.training import Spread, mesh_of, most_devices

ROOT = Path(__file__).parent.parent
EIGHT = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
SMALL = [
    *("--total-steps", "700", "--num-logs", "4", "--num-evaluations", "2", "--eval-episodes", "8", "--num-envs", "8"),
    *("--warmup-steps", "104", "--batch-size", "16", "--hidden-widths", "8", "--epsilon-steps", "300", "--n-step", "2"),
    *("--replay-capacity", "1600", "--target-period", "20", "--priority-exponent", "0.5"),
]

SPREAD = """
import dataclasses, importlib, sys
import jax, numpy as np
from jaxq.runs import parse
from jaxq.runs.devices import spread, state_shape
from jaxq.runs.population import assemble, member_keys
from jaxq.runs.programs import compiled

def run(name, args, devices):
    module = importlib.import_module(f"experiments.{name}")
    config = parse(module.Config, module.PRESETS, [*args, f"--devices={devices}"])
    assembly = spread(assemble(module.build, config), config)
    shape = state_shape(assembly, config)
    keys = member_keys(config)
    programs = compiled(assembly, 8, shape, keys)
    state = programs.warm_up(programs.init(keys, assembly.numbers))
    chunk = programs.begin_chunk(state)
    for count in (3, 5):
        state, chunk, _ = programs.advance_chunk(state, chunk, np.int32(count))
    state, metrics = programs.end_chunk(state, chunk)
    places = {str(leaf.sharding.spec) for leaf in jax.tree.leaves(state)} if devices > 1 else set()
    evaluation, more = programs.begin_evaluation(state), True
    while more:
        evaluation, more = programs.evaluate(state, evaluation, np.int32(1_000))
    return (state, metrics, programs.evaluated(evaluation)), places

def array(leaf):
    return np.asarray(jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)

def compare(one, other):
    for (path, ours), theirs in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-4, atol=1e-5, err_msg=jax.tree_util.keystr(path))
"""


def python(code, **environment):
    variables = {**os.environ, "XLA_FLAGS": EIGHT, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", SPREAD + code], capture_output=True, text=True, cwd=ROOT, env=variables
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("name", "args", "devices", "spec"),
    [
        # Two members, each over two devices: its environments, replay and batches, prioritized draws made of all.
        ("discrete.dqn", [*SMALL, "--num-seeds", "2"], 4, "('population', 'data')"),
        # One agent over eight devices, its rollouts' minibatches among them.
        pytest.param("discrete.pqn", [*("--total-steps=2000", "--num-envs=8", "--rollout-steps=8", "--minibatches=4"),
                     *("--epochs=1", "--eval-episodes=8", "--hidden-widths=8")], 8, "('population', 'data')",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_run_on_several_devices_equals_that_on_one(name, args, devices, spec):
    out = python(f"""
one, _ = run({name!r}, {args!r}, 1)
many, places = run({name!r}, {args!r}, {devices})
compare(one, many)
print(places)
""")
    assert spec in out


def test_each_processor_is_a_device_unless_the_user_says_how_many_there_are():
    """And a population is on all that it divides over, where a run alone is on one."""
    code = """
import jax
from jaxq.runs.devices import divide_processors
divide_processors()
print(jax.device_count())
divide_processors()
spread_over = []
for members in (1, 2):
    config = parse(module.Config, module.PRESETS, [*SMALL, "--num-seeds", str(members)])
    training = spread(assemble(module.build, config), config).training
    spread_over.append(getattr(training, "mesh", None) and training.mesh.shape["population"])
print(spread_over)
"""
    code = "SMALL = " + repr(SMALL) + "\nmodule = importlib.import_module('experiments.discrete.dqn')\n" + code
    flags = os.environ["XLA_FLAGS"]
    processors = len(os.sched_getaffinity(0))
    assert python(code, XLA_FLAGS=flags).splitlines() == [str(processors), f"[None, {2 if processors > 1 else None}]"]
    assert python(code, XLA_FLAGS=flags, JAX_NUM_CPU_DEVICES="3").splitlines() == ["3", "[None, 2]"]
    assert python(code).splitlines() == ["8", "[None, 2]"]


@pytest.mark.parametrize(
    ("members", "count", "suited"),
    [(1, 1, None), (5, 5, None), (10, 5, None), (16, 8, None), (9, 3, "8 or 16"), (13, 1, "8 or 16")],
)
def test_members_that_leave_half_of_the_devices_idle_are_told_what_would_not(monkeypatch, members, count, suited):
    monkeypatch.setattr("jaxq.runs.devices._all", lambda config: range(8))
    config = parse(dqn.Config, dqn.PRESETS, ["--num-seeds", str(members)])
    assert most_devices(members, 8) == count
    line = idle(config, count)
    if suited is None:
        assert line is None
    else:
        assert line == (
            f"{members} members are on {count} of 8 devices, for they divide over no more: {suited} would be on all"
        )
    assert idle(dataclasses.replace(config, devices=count), count) is None


def test_small_loops_are_compiled_whole_unless_the_user_has_told_xla_otherwise():
    """With the same bits where nothing is rounded, and a loop over much memory as XLA would have it."""
    code = """
from jaxq.runs.devices import keep_small_loops_whole
keep_small_loops_whole()

def turns(state, _):
    # A window of it alone is written, as of a replay.
    return jax.lax.dynamic_update_slice(state, state[:4] * 3 + 1, (state[0] % 64,)), state[:2].sum()

def loop(state):
    return jax.lax.scan(turns, state, None, 50)

for size in (1_000, 1_000_000):
    compiled = jax.jit(loop).lower(jax.numpy.arange(size, dtype="uint32")).compile()
    print("xla_cpu_small_call" in compiled.as_text(), compiled(jax.numpy.arange(size, dtype="uint32"))[1].sum())
"""
    preset = "--xla_cpu_parallel_codegen_split_count=1"
    left = f"{preset} --xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=0"
    told, otherwise = (python(code, XLA_FLAGS=flags).split() for flags in (preset, left))
    assert told[::2] == ["True", "False"]
    assert otherwise[::2] == ["False", "False"]
    assert told[1::2] == otherwise[1::2]


@pytest.mark.slow
def test_statistics_of_normalized_observations_are_of_all_devices(tmp_path):
    args = ["--env=gymnax/Pendulum-v1", "--num-envs=8", "--batch-size=16", "--warmup-steps=64", "--eval-episodes=8"]
    args += ["--replay-capacity=1600", "--total-steps=400"]
    python(f"""
one, _ = run("continuous.simba", {args!r}, 1)
many, _ = run("continuous.simba", {args!r}, 4)
compare(one, many)
""")


def launch(run_dir, *args, **environment):
    command = [sys.executable, "experiments/discrete/dqn.py", "--run-dir", run_dir, *args]
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
    )


def finished(process, timeout=300):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Two members on one device."""
    run_dir = tmp_path_factory.mktemp("runs") / "alone"
    code, _, err = finished(launch(run_dir, *SMALL, "--num-seeds", 2, "--devices", 1))
    assert code == 0, err
    return run_dir


def final_state(run_dir):
    """The last checkpoint's, on this process's one device."""
    module, config = load_experiment(run_dir)
    config = dataclasses.replace(config, devices=1)
    checkpoints = Checkpoints(run_dir)
    state, *_ = checkpoints.restore(state_shape(assemble(module.build, config), config))
    checkpoints.close()
    return state


def assert_close(one, other, evaluations=True):
    for ours, theirs in zip(learning_metrics(one), learning_metrics(other), strict=True):
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            if name.startswith("eval_") and not evaluations:
                continue
            np.testing.assert_allclose(
                np.array(value, float), np.array(theirs[name], float), rtol=1e-3, atol=1e-4, err_msg=name
            )
    ours, theirs = final_state(one), final_state(other)
    for (path, leaf), same in zip(jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        keys, address = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key), "handle" in jax.tree_util.keystr(path)
        if not keys and not address:
            np.testing.assert_allclose(leaf, same, rtol=1e-3, atol=1e-4, err_msg=jax.tree_util.keystr(path))


@pytest.mark.slow
def test_a_checkpoint_of_many_devices_goes_on_on_fewer(alone, tmp_path):
    first = launch(
        tmp_path / "run", *SMALL, "--num-seeds", 2, "--devices", 8, "--checkpoint-minutes", 0, XLA_FLAGS=EIGHT
    )
    while len(read_metrics(tmp_path / "run")) < 2:
        time.sleep(0.05)
        assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGTERM)
    assert finished(first)[0] == 0
    code, _, err = finished(launch(tmp_path / "run", "--resume", "--devices", 2, XLA_FLAGS=EIGHT))
    assert code == 0, err
    assert_close(alone, tmp_path / "run")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def processes(run_dir, *args):
    """Two processes that train as one."""
    port = free_port()
    return [
        launch(run_dir, *args, "--coordinator", f"127.0.0.1:{port}", "--num-processes", 2, "--process-id", i)
        for i in range(2)
    ]


@pytest.mark.slow
def test_two_processes_train_as_one_and_go_on_after_one_is_lost(alone, tmp_path):
    """One is killed; the other ends by itself with a line that says so. Started again, they end where one would."""
    args = [*SMALL, "--num-seeds", 2, "--checkpoint-minutes", 0]
    first, second = processes(tmp_path / "run", *args)
    while len(read_metrics(tmp_path / "run")) < 2:
        time.sleep(0.05)
        assert first.poll() is None, first.communicate()
        assert second.poll() is None, second.communicate()
    second.kill()
    second.communicate()
    code, _, err = finished(first, timeout=60)
    if code != 0:  # it had not just finished by itself
        assert code == 1, err
        assert "another process of this run is lost" in err
        assert "give the same commands again" in err
        for process in processes(tmp_path / "run", *args):
            code, _, err = finished(process)
            assert code == 0, err
    assert_close(alone, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["num_seeds"] == 2


def test_hosts_that_disagree_end_before_anything_is_written(tmp_path):
    port = free_port()
    pair = [
        launch(
            tmp_path / "run",
            *[*SMALL, "--num-seeds", 2, "--discount", discount, "--process-id", i],
            *("--coordinator", f"127.0.0.1:{port}", "--num-processes", 2),
        )
        for i, discount in enumerate((0.9, 0.99))
    ]
    for process in pair:
        code, _, err = finished(process)
        assert code == 2
        assert "discount is 0.9" in err
        assert "the same on all hosts" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--coordinator", "127.0.0.1:1"], "num_processes is None"),
        (["--coordinator", "127.0.0.1:1", "--num-processes", "2"], "process_id is None"),
        (["--coordinator", "127.0.0.1:1", "--num-processes", "2", "--process-id", "2"], "process_id is 2"),
        (["--coordinator", "auto", "--num-processes", "2"], "num_processes is 2"),
        (["--process-id", "1"], "process_id is 1, but must be left out without --coordinator"),
        (["--devices", "2"], "devices is 2, but must be at most 1"),
    ],
)
def test_hosts_and_devices_that_cannot_be_are_named(args, said, tmp_path, monkeypatch, capsys):
    import dqn

    from jaxq.runs import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(dqn.Config, dqn.PRESETS, dqn.build, args)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_members_that_do_not_divide_over_devices_are_told_what_would():
    devices = np.arange(8)
    with pytest.raises(
        InputError, match=r"devices is 8, .* 3 or 4 or 6 for 12 members; 8 devices suit 8 or 16 members"
    ):
        mesh_of(devices, 12)
    assert mesh_of(devices[:6], 12).shape == {"population": 6, "data": 1}
    assert mesh_of(devices, 2).shape == {"population": 2, "data": 4}
    assert [most_devices(members, 8) for members in (1, 5, 9, 12, 16)] == [1, 5, 3, 6, 8]


def test_a_state_lies_by_member_and_what_is_of_environments_by_these_too():
    """`Spread` over a mesh that is only thought of: nothing is computed."""
    training, both, members = cart_pole(members=2), ("population", "data"), ("population",)
    state = jax.eval_shape(training.init, jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2)))
    for data in (1, 2):
        found = Spread(training, AbstractMesh((2, data), both)).shardings(state)

        def specs(tree):
            return {tuple(leaf.spec) for leaf in jax.tree.leaves(tree)}

        assert specs((found.env, found.timestep, found.statistics)) == {(both,)}
        assert specs((found.agent, found.memory, found.key, found.frozen)) == {members}
        assert specs((found.iteration, found.replay.position, found.replay.size)) == {()}
        ring = (found.replay.observation, found.replay.action, found.replay.reward, found.replay.flags)
        assert specs(ring) == {members if data == 1 else ("population", None, "data")}
    alone = Spread(training, mesh_of(jax.devices()[:1], 2))
    begun = jax.eval_shape(alone.init, jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2)))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), begun) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )
    shared = state.replace(env={"number": jax.ShapeDtypeStruct((3,), np.float32)})
    assert tuple(Spread(training, AbstractMesh((2, 2), both)).shardings(shared).env["number"].spec) == ()


def test_a_pool_in_the_host_is_one_of_each_process():
    training, names = cart_pole(members=2), ("population", "data")
    training.environment.resumable = False
    assert Spread(training, AbstractMesh((1, 1), names)).whole is training
    with pytest.raises(InputError, match="devices is 2, but must be one of each process"):
        Spread(training, AbstractMesh((2, 1), names))


@pytest.mark.parametrize(
    ("module", "name"),
    [("several", "require_agreement"), ("run", "require_agreement"), ("run", "claimed"), ("session", "compiled")],
)
def test_a_process_that_is_lost_before_the_first_chunk_is_told_of_in_one_line(
    module, name, tmp_path, monkeypatch, capsys
):
    import dqn

    from jaxq.runs import main

    def lost(*_, **__):
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        raise ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [127.0.0.1]:1\nmore")

    def end(code):
        raise SystemExit(code)

    monkeypatch.setattr(sys.modules[f"jaxq.runs.{module}"], name, lost)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr("jaxq.runs.hosts.COORDINATOR_STAYS", 0.0)
    with pytest.raises(SystemExit) as stop:
        main(dqn.Config, dqn.PRESETS, dqn.build, [*SMALL, "--run-dir", str(tmp_path / "run")])
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert "another process of this run is lost (UNKNOWN: Gloo" in error
    assert error.endswith(f"to go on, give the same commands again: {tmp_path / 'run'}\n")


@pytest.mark.slow
def test_every_process_has_a_pool_of_its_own_members(tmp_path):
    """EnvPool's environments are those of the members' seeds, whoever steps them.

    A pool's later evaluations begin where its longest episode of the one before left off, of all members in it.
    """
    args = [*SMALL, "--env", "envpool/CartPole-v1", "--num-seeds", 2]
    assert finished(launch(tmp_path / "alone", *args))[0] == 0
    for process in processes(tmp_path / "run", *args):
        code, _, err = finished(process)
        assert code == 0, err
    assert_close(tmp_path / "alone", tmp_path / "run", evaluations=False)
    first, same = (
        next(line["eval_return"] for line in read_metrics(path) if line["eval_return"][0] is not None)
        for path in (tmp_path / "alone", tmp_path / "run")
    )
    assert first == same
