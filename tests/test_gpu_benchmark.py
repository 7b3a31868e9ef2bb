"""`make bench-gpu`, as far as it goes without a GPU."""

import json
import sys

import pytest

from benchmarks import gpu
from jaxq.errors import InputError
from jaxq.runs import parse
from jaxq.runs.scripts import experiment

COMMANDS = {
    (name, part): what
    for name, one in gpu.SLICES.items()
    for part, what in one.parts.items()
    if not isinstance(what, gpu.Program)
}


def test_tiny_flags_take_the_place_of_those_of_the_same_name():
    training = gpu.Training("dqn --env a --num-envs 8 --hidden-widths 4 4", None, "--num-envs 2 --total-steps 5")
    assert " ".join(training.flags(tiny=False)) == "--env a --num-envs 8 --hidden-widths 4 4"
    assert " ".join(training.flags(tiny=True)) == "--env a --num-envs 2 --hidden-widths 4 4 --total-steps 5"


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize(("name", "part"), COMMANDS)
def test_every_command_is_one_that_its_script_takes(name, part, tiny):
    what = COMMANDS[name, part]
    module = experiment(what.command.split()[0])
    parse(module.Config, module.PRESETS, gpu.Training(what.command, None, what.tiny).flags(tiny))


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

    def run(name, minutes, tiny):
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["members", "replay", "pqn-minatar"])
def test_a_slice_runs_at_the_size_of_a_cpu(name):
    found = gpu.run(name, 8.0, tiny=True)
    assert found["finished"], found
    for part, what in gpu.SLICES[name].parts.items():
        if isinstance(what, gpu.Loop):
            assert found["parts"][part]["steps_per_second"][0] > 0
            assert found["parts"][part]["resident_peak_bytes"] > 1e7
