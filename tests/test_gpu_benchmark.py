"""`make bench-gpu`, as far as it goes without a GPU."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import backups, gpu, gpu_report, gpu_slices
from benchmarks.baselines import brax_on_jax, brax_sac, protocol
from jaxq import lanes, platforms
from jaxq.errors import InputError
from jaxq.runs import parse
from jaxq.runs.directory import provenance
from jaxq.runs.scripts import experiment
from jaxq.training import loop as training_loop

PENDULUM = "gymnax/Pendulum-v1"
COMMANDS = {
    (name, part): what
    for name, one in gpu_slices.SLICES.items()
    for part, what in one.parts.items()
    if not isinstance(what, gpu_slices.Program)
}


def test_tiny_flags_take_the_place_of_those_of_the_same_name():
    training = gpu_slices.Training("dqn --env a --num-envs 8 --hidden-widths 4 4", None, "--num-envs 2 --total-steps 5")
    assert " ".join(training.flags(tiny=False)) == "--env a --num-envs 8 --hidden-widths 4 4"
    assert " ".join(training.flags(tiny=True)) == "--env a --num-envs 2 --hidden-widths 4 4 --total-steps 5"


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize(("name", "part"), COMMANDS)
def test_every_command_is_one_that_its_script_takes(name, part, tiny):
    what = COMMANDS[name, part]
    module = experiment(what.command.split()[0])
    flags = gpu_slices.Training(what.command, None, what.tiny).flags(tiny)
    parse(module.Config, module.PRESETS, flags)
    # A small environment of the same kind: its numbers must go together, and robots take long to make.
    at = flags.index("--env") + 1
    flags[at] = {"gymnax": flags[at], "envpool": "gymnax/Breakout-MinAtar"}.get(flags[at].split("/")[0], PENDULUM)
    module.build(parse(module.Config, module.PRESETS, flags))


def test_a_return_is_reached_by_the_first_evaluation_at_it(tmp_path):
    returns = [None, [1.0, 3.0], [5.0, 7.0], [8.0, 8.0]]
    lines = [json.dumps({"step": i, "eval_return": value or [None]}) for i, value in enumerate(returns)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert gpu._reached(tmp_path, 6.0)["step"] == 2
    assert gpu._reached(tmp_path, 9.0) is None
    assert gpu._reached(tmp_path, None) is None


def test_what_is_finished_is_left_alone_and_an_error_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "TINY", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--only", "backups", "replay"])
    ran = []

    def run(name, minutes, tiny, before):
        ran.append(name)
        error = {"error": "no such thing"} if name == "replay" else {}
        return {"title": name, "finished": not error, "parts": {"one": error}}

    monkeypatch.setattr(gpu, "run", run)
    assert gpu.main() == 1
    assert gpu.main() == 1
    assert ran == ["backups", "replay", "replay"]
    assert "one: no such thing" in capsys.readouterr().out


def test_an_unknown_slice_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu", "--only", "pong"])
    with pytest.raises(InputError, match=r"^only is 'pong', but must be one of pqn-pong, backups"):
        gpu.main()


def test_calls_of_backups_are_of_every_setting_once():
    (program,) = gpu_slices.SLICES["backups"].parts.values()
    asked = [
        word for call in program.calls for word in call.split() if word.partition("-")[0] in ("categorical", "quantile")
    ]
    sizes = {"categorical": backups.ATOMS, "quantile": backups.QUANTILES}
    assert sorted(asked) == sorted(f"{k}-{b}-{n}" for k, ns in sizes.items() for b in backups.BATCHES for n in ns)


def test_xla_knows_the_switches():
    """A value that it does not know ends the process, with or without a GPU."""
    for flags, ended in (
        (gpu_slices.BUFFERS["command buffers with loops"], 0),
        ("--xla_gpu_enable_command_buffer=LOOPS", 1),
    ):
        program = [sys.executable, "-c", "import jax; jax.devices()"]
        done = subprocess.run(
            program, env={"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}, capture_output=True, check=False
        )
        assert bool(done.returncode) == ended


def test_taking_turns_changes_nothing_else(monkeypatch):
    for owner in (training_loop, lanes):
        monkeypatch.setattr(owner, "platforms", owner.platforms)

    def turns():
        return "scan" in str(jax.make_jaxpr(lanes.over_lanes(jnp.sin, 4, heavy=True))(jnp.ones((4, 2))))

    with platforms.assume("gpu"):
        assert not turns()
        gpu._take_turns()
        assert turns()
        assert platforms.current() == "gpu"


class Timed:
    """In the place of a process: segments of ever more steps; it is cut after `left` of them, of all together."""

    left = 0
    lost: tuple[str, ...] = ()

    def __init__(self, name, part, environment, tiny, until):
        assert environment["JAX_ENABLE_COMPILATION_CACHE"] == "false"
        self.part, self.rates, self.said = part, [], {"compile_seconds": 1.0}

    def run(self):
        if self.part in Timed.lost:
            raise gpu.Stopped("out of memory")
        if Timed.left == 0:
            raise TimeoutError
        Timed.left -= 1
        self.rates.append(float(Timed.left))

    def close(self):
        pass


LOOPS = {"a": gpu_slices.Loop("dqn", 1), "b": gpu_slices.Loop("dqn", 1, xla="--x=1")}


def test_rounds_that_were_cut_are_added(monkeypatch):
    monkeypatch.setattr(gpu, "_Served", Timed)
    until = time.monotonic() + 60.0
    monkeypatch.setattr(Timed, "left", 5)  # two rounds and the half of one
    first = gpu.measure_loops("x", LOOPS, False, until, {})
    assert {part: (what["steps_per_second"], what["finished"]) for part, what in first.items()} == {
        "a": ([4.0, 2.0], False),
        "b": ([3.0, 1.0], False),
    }
    monkeypatch.setattr(Timed, "left", 100)
    whole = gpu.measure_loops("x", LOOPS, False, until, first)
    assert whole["a"]["steps_per_second"] == [4.0, 2.0, 99.0, 97.0, 95.0]
    assert whole["b"]["steps_per_second"] == [3.0, 1.0, 98.0, 96.0, 94.0]
    assert whole["a"]["finished"]
    assert whole["b"]["finished"]


def test_a_loop_that_is_lost_leaves_its_error_and_the_others_their_rounds(monkeypatch):
    monkeypatch.setattr(gpu, "_Served", Timed)
    monkeypatch.setattr(Timed, "left", 100)
    monkeypatch.setattr(Timed, "lost", ("a",))
    found = gpu.measure_loops("x", LOOPS, False, time.monotonic() + 60.0, {})
    assert found["a"] == {"error": "out of memory"}
    assert len(found["b"]["steps_per_second"]) == gpu.ROUNDS
    # Ratios are of rounds: with a lost one all begin anew.
    monkeypatch.setattr(Timed, "lost", ())
    again = gpu.measure_loops("x", LOOPS, False, time.monotonic() + 60.0, found)
    assert {len(what["steps_per_second"]) for what in again.values()} == {gpu.ROUNDS}


SCRIPT = """
import json, pathlib, sys, time
run_dir = pathlib.Path(sys.argv[sys.argv.index("--run-dir") + 1])
run_dir.mkdir(parents=True, exist_ok=True)
path = run_dir / "metrics.jsonl"
begin = len(path.read_text().splitlines()) if path.exists() else 0
for i in range(begin, begin + 2):
    line = {"step": 100 * i, "wall_seconds": 0.5 + 2.0 * i, "eval_return": [float(i), None]}
    with path.open("a") as file:
        file.write(json.dumps(line) + chr(10))
time.sleep(60)
"""


def test_a_training_is_cut_and_goes_on_to_its_return(tmp_path, monkeypatch):
    script = tmp_path / "experiments" / "fake.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    monkeypatch.setattr(gpu, "UNDER_WAY", tmp_path / "bench")
    training = gpu_slices.Training("fake --env a/b", 3.0, "")
    found = gpu.train("x", "y", training, False, time.monotonic() + 1.5, {})
    assert found["reached_seconds"] is None
    assert not found["finished"]
    assert "error" not in found
    found = gpu.train("x", "y", training, False, time.monotonic() + 30.0, {})
    assert found["finished"]
    assert found["reached_seconds"] == 6.5
    assert found["tests"] == [[0.5, 0, 0.0], [2.5, 100, 1.0], [4.5, 200, 2.0], [6.5, 300, 3.0]]
    assert found["first_line_seconds"] == 0.5
    assert found["steps_per_second_with_evaluations"] == 100.0  # 300 steps of two members in six seconds
    assert found["command"].startswith("python experiments/fake.py --env a/b --run-dir ")


def test_calls_go_on_with_the_one_that_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "UNDER_WAY", tmp_path)
    made, cut = [], [True]

    def process(command, **options):
        index, folder = command[-2:]
        made.append(index)
        if index == "1" and cut.pop():
            raise subprocess.TimeoutExpired(command, options["timeout"])
        (Path(folder) / f"file{index}.json").write_text(json.dumps({"of": index}))
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(gpu.subprocess, "run", process)
    program = gpu_slices.Program("backups", ("a", "b", "c"), ())
    first = gpu.call("x", "y", program, False, time.monotonic() + 60.0, {})
    assert (first["done"], first["finished"], "error" in first) == (1, False, False)
    cut.append(False)
    whole = gpu.call("x", "y", program, False, time.monotonic() + 60.0, first)
    assert made == ["0", "1", "1", "2"]
    assert (whole["done"], whole["finished"]) == (3, True)
    assert [whole[f"file{i}"] for i in range(3)] == [{"of": "0"}, {"of": "1"}, {"of": "2"}]
    # One that a whole slice is too short for is an error.
    cut.append(True)
    alone = gpu.call("x", "y", program, False, time.monotonic() + 60.0, {"done": 1})
    assert alone["error"] == gpu.TIME_IS_OVER
    assert not alone["finished"]


def test_a_part_that_is_finished_is_not_run_again_at_its_revision(monkeypatch):
    parts = {"a": gpu_slices.Training("a", 1.0, ""), "b": gpu_slices.Training("b", 1.0, "")}
    monkeypatch.setitem(gpu_slices.SLICES, "x", gpu_slices.Slice("title", parts))
    monkeypatch.setattr(gpu, "_provenance", lambda name, tiny: {"git_revision": "new"})
    ran = []

    def train(name, part, training, tiny, until, before):
        ran.append(part)
        return {"finished": part == "a"}

    monkeypatch.setattr(gpu, "train", train)
    first = gpu.run("x", 1.0, False)
    assert not first["finished"]
    assert ran == ["a", "b"]
    gpu.run("x", 1.0, False, first)
    assert ran == ["a", "b", "b"]
    gpu.run("x", 1.0, False, {**first, "provenance": {"git_revision": "old"}})
    assert ran == ["a", "b", "b", "a", "b"]


def test_the_peak_of_memory_is_the_program_s_own():
    """And not that of whatever started it, which Linux hands on."""
    held = np.ones(40_000_000)  # 320 MB
    program = [
        sys.executable,
        "-c",
        "import re; print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])",
    ]
    alone = 1024 * int(subprocess.run(program, capture_output=True, text=True, check=True).stdout)
    assert protocol.peak_bytes() > held.nbytes > 3 * alone


def test_what_brax_trains_by_is_given_back():
    tree = {"x": jnp.arange(3.0), "key": jax.random.key(0)}
    devices = jax.local_devices()[:2]
    found = brax_on_jax.replicated(tree, devices)
    assert len(devices) == len(found["key"]) == len(found["x"])
    np.testing.assert_array_equal(found["x"], len(devices) * [[0.0, 1.0, 2.0]])
    assert found["x"].sharding.device_set == set(devices)


def test_what_ends_brax_s_training_is_said(monkeypatch):
    def train(*args, progress_fn, **kwargs):
        progress_fn(0, {})
        progress_fn(320, {"training/sps": 160.0})
        raise FloatingPointError("nan")

    monkeypatch.setattr(brax_sac.sac, "train", train)
    segment = brax_sac.half_cheetah(num_envs=16, iterations=20, warmup=100)
    assert segment() == (320, 2.0)
    with pytest.raises(FloatingPointError, match="nan"):
        segment()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["members", "replay", "pqn-minatar"])
def test_a_slice_runs_at_the_size_of_a_cpu(name):
    found = gpu.run(name, 8.0, tiny=True)
    assert found["finished"], found
    for part, what in gpu_slices.SLICES[name].parts.items():
        if isinstance(what, gpu_slices.Loop):
            assert found["parts"][part]["steps_per_second"][0] > 0
            assert found["parts"][part]["resident_peak_bytes"] > 1e7


PROVENANCE = {"device": "gpu: A Card", "cpu_count": 8, "python": "3.12.1", "packages": {"jax": "0.11"}}


def test_the_report_tells_every_kind_of_slice(tmp_path):
    """By its own medians: of rates, and of the rounds' ratios to the first loop's."""
    loop = {"command": "dqn", "compile_seconds": 3.0, "device_peak_bytes": 5_000_000, "finished": True}
    parts = {
        "overhead": {
            "no command buffers": {**loop, "steps_per_second": [100.0, 200.0, 400.0], "agent_sha256": "one"},
            "command buffers": {**loop, "steps_per_second": [300.0, 400.0, 2000.0], "agent_sha256": "two"},
            "unrolled 2": {"error": "out of memory"},
        },
        "go1-flash-sac": {
            "flash_sac": {
                "target": 25.0, "reached_seconds": 61.2, "first_line_seconds": 30.0,
                "steps_per_second_with_evaluations": 1234.5, "tests": [[40.0, 1000, 7.0], [61.2, 2000, 26.0]],
            }
        },
        "go1-brax-ppo": {"brax ppo": {"brax_playground": {"target": 25.0, "reached_seconds": None, "tests": []}}},
        "population": {
            "populations": {
                "populations": {
                    "gpu": {
                        "steps_of_a_member": 10,
                        "seconds": {
                            "population/1": [0.1, 0.2, 0.3], "products/1": [0.05],
                            "population/4": [0.4], "products/4": [0.1],
                        },
                    }
                }
            }
        },
        "replay": {"replay": {"replay": {"iterations_per_second": {"jaxq": [4.0, 6.0], "flashbax": [2.0, 2.0]}}}},
        "backups": {
            "backups": {"backups": {"quantile-32-64": {"seconds": {"jaxq": [2e-6], "rlax": [6e-6]}}}}
        },
    }  # fmt: skip
    for name, of_slice in parts.items():
        result = {"title": f"Title of {name}", "finished": name != "backups", "parts": of_slice}
        (tmp_path / f"{name}.json").write_text(json.dumps({**result, "provenance": PROVENANCE}))
    text = "\n".join(gpu_report.sections(tmp_path))
    assert "gpu: A Card, 8 cores, Python 3.12.1, JAX 0.11." in text
    assert "| no command buffers | 200 | 1.00 | 3 | 5 | A |" in text
    assert "| command buffers | 400 | 3.00 | 3 | 5 | B |" in text
    assert "| unrolled 2 | out of memory | | | | |" in text
    assert "| flash_sac | 25 | 61 | 30 | 1,234 | 26.0 | 61 | 2,000 |" in text
    assert "| brax ppo | 25 | not reached |  |  |  |  |  |" in text
    assert "| 1 | 50 | 1.00 | 200 | 25% |" in text
    assert "| 4 | 100 | 2.00 | 400 | 25% |" in text
    assert "| flashbax | 2 | 2.50 |" in text
    assert "| quantile | 32 | 64 | 2 | 6 (× 3.0) |" in text
    assert text.count("which is not finished") == 1
    assert gpu_report.sections(tmp_path / "none") == []


def test_a_copy_says_what_it_is_of(monkeypatch):
    monkeypatch.setenv("JAXQ_REVISION", "0123abc-dirty")
    said = provenance()
    assert (said["git_revision"], said["git_dirty"]) == ("0123abc", True)
    monkeypatch.setenv("JAXQ_REVISION", "0123abc")
    said = provenance()
    assert (said["git_revision"], said["git_dirty"]) == ("0123abc", False)
