"""What is kept of runs, and the page that is made of it."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from benchmarks import (
    check,
    contenders,
    growth,
    hosts,
    interleaved,
    learning_report,
    members,
    report,
    throughput,
    throughput_report,
    work,
)
from benchmarks.baselines import registry, venvs
from benchmarks.time_to_return import Contender as Program
from benchmarks.time_to_return import Setting, by_contender, standing
from jaxq.runs.results import KEPT, keep, load


def test_a_kept_run_loses_nothing_that_the_page_shows(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    heads = {
        "config": {"env": "gymnax/X", "hidden_widths": [3, 4], "huber_threshold": None},
        "provenance": {"command": "python x.py --run-dir somewhere"},
        "summary": {"returns": [1.25, 2.5], "env": "gymnax/X"},
    }
    for name, values in heads.items():
        (run_dir / f"{name}.json").write_text(json.dumps(values))
    rng = np.random.default_rng(0)
    lines = []
    for step in range(10, 90, 10):
        line = {name: rng.normal(size=2).tolist() for name in KEPT}
        line |= {"step": step, "wall_seconds": 0.1 * step, "loss": [1.0, 2.0], "episodes": [3.0, 1.0]}
        line["episode_return"][1] = None
        lines.append(line)
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    keep(run_dir, tmp_path / "kept.json")
    run = load(tmp_path / "kept.json")
    assert {name: getattr(run, name) for name in heads} == heads
    for name in KEPT:
        for found, line in zip(run.curve[name], lines, strict=True):
            np.testing.assert_allclose(np.array(found, float), np.array(line[name], float), rtol=1e-6)
    expected = np.mean([line["episode_return"][0] for line in lines if line["step"] > 60])
    np.testing.assert_allclose(learning_report.exploring_returns(run)[0], expected, rtol=1e-5)


def test_values_that_are_missing_hide_no_difference():
    one, other = np.array([np.nan, 1.0, 2.0]), np.array([np.nan, 3.0, 2.0])
    found = members.compared(iter([("metrics", one)]), iter([("metrics", other)]))
    assert found == {"metrics": {"values": 3, "other_bits": 1, "largest_difference": 2.0}}
    assert members.largest_difference(one, np.array([0.0, 1.0, 2.0])) == np.inf
    assert members.largest_difference(one[:1], other[:1]) == 0.0
    assert hosts.difference({"x": one}, {"x": other}) == {"same_bits": False, "largest": 2.0 / 3.0}
    assert hosts.difference({"x": one}, {"x": np.zeros(3)}) == {"same_bits": False, "largest": None}
    assert hosts.difference({"x": one}, {"x": one}) == {"same_bits": True, "largest": 0.0}


def test_the_page_is_what_the_kept_results_make():
    """Whoever changes a raw result or the report makes the page anew."""
    assert report.page() == (report.ROOT / "docs" / "results.md").read_text()


def test_sections_of_resets():
    seconds = {"pool": [1e-4, 2e-4], "full": [2e-4, 4e-4], "cached": [1e-4, 1e-4]}
    section = report.resets_section({"a/b-c-16": {"environments": 16, "share_ended": 0.025, "seconds": seconds}})
    assert "\n| a/b-c | 16 | 2.5% | 150 | 300 (× 2.0) |" in section
    measured = {kind: {"returns": [1.0, 5.0]} for kind in ("pool", "full", "cached")}
    config = {"num_envs": 64, "total_steps": 2000, "updates": 16}
    section = report.reset_returns_section({"a/b": {**measured, "config": config}})
    assert section.endswith("| a/b | 64 | 2,000 | 16 | 2 | 3 (1 to 5) | 3 (1 to 5) | 3 (1 to 5) |")


def fake_package(folder, version):
    """A package that pip installs without a network or anything to build with: a wheel, by hand."""
    name = f"fakepack-{version}"
    files = {
        "fakepack.py": f"VERSION = '{version}'\n",
        f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: fakepack\nVersion: {version}\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{name}.dist-info/RECORD"] = "".join(f"{file},,\n" for file in files)
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return path


def test_an_environment_is_made_once_for_its_requirements_and_a_failure_is_one_line(tmp_path):
    file = tmp_path / "fake.txt"

    def version_of(python):
        command = [python, "-c", "import fakepack; print(fakepack.VERSION)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    file.write_text(f"--no-index\n{fake_package(tmp_path, '1.0')}\n")
    python = venvs.python_of("fake", [file], tmp_path / "venvs")
    assert version_of(python) == "1.0"
    made = (tmp_path / "venvs" / "fake" / "pyvenv.cfg").stat().st_mtime_ns
    assert venvs.python_of("fake", [file], tmp_path / "venvs") == python
    assert (tmp_path / "venvs" / "fake" / "pyvenv.cfg").stat().st_mtime_ns == made
    file.write_text("--no-index\nno-such-package==1.0\n")
    with pytest.raises(venvs.NotInstalled, match=r"no longer installs: .*no-such-package==1\.0") as error:
        venvs.python_of("fake", [file], tmp_path / "venvs")
    assert "\n" not in str(error.value)
    # What failed is not taken for whole.
    assert not (tmp_path / "venvs" / "fake" / "stamp").exists()


def test_every_baseline_has_its_requirements_and_known_settings():
    for baseline in registry.BASELINES:
        assert all((venvs.REQUIREMENTS / f"{name}.txt").exists() for name in baseline.requirements), baseline.name
        assert baseline.module is None or (venvs.REQUIREMENTS.parent / f"{baseline.module}.py").exists()
        assert set(baseline.settings) <= set(work.SETTINGS)
    for setting in work.SETTINGS:
        names = [name for name in contenders.CONTENDERS if name.startswith(setting + "/")]
        assert names[0].startswith(f"{setting}/jaxq")
    pqn = next(baseline for baseline in registry.BASELINES if baseline.name == "purejaxql")
    with pytest.raises(venvs.NotInstalled, match=r"no checkout of github\.com/mttga/purejaxql was given"):
        pqn.command("pqn-minatar", {})


SERVES = """
import sys, time
sys.path.insert(0, {root!r})
from benchmarks.baselines.protocol import serve
runs = 0
def segment():
    global runs
    runs += 1
    print({name!r}, runs, file=open({log!r}, "a"), flush=True)
    if runs == {dies}:
        raise ValueError("no more")
    return 100, {seconds}
serve(lambda: segment)
"""


def fake(tmp_path, name, seconds, dies=-1):
    script = SERVES.format(root=str(report.ROOT), name=name, log=str(tmp_path / "log"), seconds=seconds, dies=dies)
    return lambda: interleaved.Contender(name, [sys.executable, "-c", script])


def test_contenders_run_in_turn_and_one_that_stops_is_left_with_its_error(tmp_path):
    starts = {"a": fake(tmp_path, "a", 0.5), "b": fake(tmp_path, "b", 2.0, dies=3), "c": fake(tmp_path, "c", 1.0, 1)}

    def missing():
        raise venvs.NotInstalled("no longer installs: so it is")

    said = []
    found = interleaved.measure({**starts, "d": missing}, 3, said.append)
    log = (tmp_path / "log").read_text().split("\n")[:-1]
    # Two segments before the first round; then a round after the other, until b is asked for its third.
    assert log == ["a 1", "b 1", "c 1", "a 2", "b 2", "a 3", "b 3", "a 4"]
    assert found["steps_per_second"] == {"a": [200.0, 200.0, 200.0]}
    assert found["errors"] == {
        "b": "stopped: ValueError: no more",
        "c": "stopped: ValueError: no more",
        "d": "no longer installs: so it is",
    }
    assert len(said) == 3
    assert found["contenders"]["a"]["peak_mb"] > 1
    np.testing.assert_allclose(interleaved.ratios([2, 4, 9], [1, 1, 3]), [2.5, 3.0, 3.5])


def test_what_was_measured_at_this_revision_is_not_measured_again(tmp_path, monkeypatch):
    out, measured = tmp_path / "throughput.json", []
    values = {"steps_per_second": {"jaxq": [1.0]}, "contenders": {}, "errors": {}}
    monkeypatch.setattr(throughput, "measure", lambda starts, rounds: measured.append(list(starts)) or values)
    now = throughput.revision() or "a"
    monkeypatch.setattr(throughput, "revision", lambda: now)
    monkeypatch.setattr(throughput, "provenance", lambda: {"git_revision": now})

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["throughput", "--only", "dqn-cartpole-1", "--out", str(out), *flags])
        throughput.main()
        return len(measured)

    assert [run(), run()] == [1, 1]
    assert run("--rounds", "2") == 2
    assert run("--rounds", "2", "--again") == 3
    monkeypatch.setattr(throughput, "revision", lambda: "another")
    assert run("--rounds", "2") == 4
    assert measured[0][:2] == ["jaxq", "floor"]
    assert {"sbx", "sb3", "rejax", "dopamine", "cleanrl"} < set(measured[0])


def test_every_size_of_growth_is_measured_once_at_a_revision(tmp_path, monkeypatch):
    """A kind's sizes are not measured together: what one of them was measured at says nothing of the others."""
    asked, now = [], {"git_revision": "first"}
    values = {"steps_per_second": {"jaxq": [1.0]}, "contenders": {}, "errors": {}}
    monkeypatch.setattr(growth, "starts", lambda kind, size, baselines: asked.append(size) or {"jaxq": None})
    monkeypatch.setattr(growth, "measure", lambda begin, rounds: measured.append(asked[-1]) or values)
    monkeypatch.setattr(growth, "provenance", lambda: dict(now))
    monkeypatch.setattr(growth, "revision", lambda: now["git_revision"])
    measured = []

    def run(*sizes):
        flags = ["--kind", "seeds", "--out", str(tmp_path / "growth.json"), "--sizes", *map(str, sizes)]
        monkeypatch.setattr(sys, "argv", ["growth", *flags])
        growth.main()
        found = measured.copy()
        measured.clear()
        return found

    assert [run(1, 2), run(1, 2, 4)] == [[1, 2], [4]]
    now["git_revision"] = "second"
    assert [run(1, 2), run(1, 2, 4)] == [[1, 2], [4]]


def test_jax_has_not_begun_before_its_devices_can_be_divided():
    """Members would take turns on one device, where a run of theirs lies over all processors."""
    asks = "from jax._src import xla_bridge; assert not xla_bridge.backends_are_initialized()"
    subprocess.run([sys.executable, "-c", f"import benchmarks.contenders; {asks}"], cwd=report.ROOT, check=True)


def test_what_a_measurement_replaces_is_kept_and_shown_beside_it(tmp_path, monkeypatch):
    out = tmp_path / "throughput.json"
    monkeypatch.setattr(sys, "argv", ["throughput", "--only", "dqn-cartpole-1", "--out", str(out), "--again"])
    for number in range(1, throughput.EARLIER + 4):
        made = {"git_revision": f"revision{number}", "git_dirty": number == 5, "date": "2026-11-26T10:00"}
        made |= {"processor": "Fast, model 9"} if number > 6 else {}
        values = {"steps_per_second": {"jaxq": [12.0 * number, 6.0], "sbx": [2.0 * number, 1.0]}, "errors": {}}
        monkeypatch.setattr(throughput, "measure", lambda starts, rounds, values=values: values)
        monkeypatch.setattr(throughput, "provenance", lambda made=made: made)
        throughput.main()
    results = json.loads(out.read_text())
    kept = [one["provenance"]["git_revision"][-1] for one in results["dqn-cartpole-1"]["earlier"]]
    assert kept == ["8", "7", "6", "4", "3", "2"]  # 5 was of changes that are not committed
    _, table = throughput_report.history(results)
    assert table.count("\n") == 2 + len(kept)
    assert "| 2026-11-26 | revisio | Fast, model 9 | 51 | sbx 6.00 |" in table
    assert "| not noted | 39 | sbx 6.00 |" in table
    del results["dqn-cartpole-1"]["earlier"]
    assert throughput_report.history(results) == []


def test_the_quick_benchmark_leaves_the_kept_results_alone(tmp_path, monkeypatch, capsys):
    values = {"steps_per_second": {"jaxq": [3.0, 1.0, 2.0]}, "contenders": {}, "errors": {}}
    monkeypatch.setattr(throughput, "measure", lambda starts, rounds: values)
    monkeypatch.setattr(throughput, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["throughput", "--only", "dqn-cartpole-1", "--quick"])
    kept = throughput.RESULTS / "throughput.json"
    before = kept.read_bytes()
    throughput.main()
    assert kept.read_bytes() == before
    out = capsys.readouterr().out
    assert "| jaxq | 2 | 1.00 |" in out
    written = json.loads((tmp_path / ".bench" / "quick.json").read_text())
    assert written["dqn-cartpole-1"]["steps_per_second"] == values["steps_per_second"]


def test_a_loss_of_more_than_15_percent_is_a_line():
    then = {"jaxq": [10.0, 20.0, 30.0], "floor": [10.0, 20.0, 30.0], "products alone": [20.0, 40.0, 60.0]}
    now = {"jaxq": [8.6, 8.6, 80.0], "floor": [10.0, 10.0, 10.0], "products alone": [20.0, 20.0, 20.0]}
    said, lost = check.verdict("dqn-cartpole-1", now, then)
    assert lost == []
    assert "floor is 0.86 (0.86" in said[0]
    assert said[0].endswith("-14%")
    now["jaxq"] = [8.4, 8.4, 80.0]
    said, lost = check.verdict("dqn-cartpole-1", now, then)
    assert [line.rpartition(" ")[2] for line in lost] == ["-16%", "-16%"]
    assert "products alone is 0.42" in lost[1]
    assert len(check.verdict("dqn-cartpole-1", {"jaxq": [1.0]}, then)[1]) == 2
    said, lost = check.verdict("dqn-cartpole-1", now, {})
    assert lost == []
    assert all("none is committed" in line for line in said)


def test_a_baseline_that_does_not_install_stays_in_the_table():
    measured = {
        "steps_per_second": {
            "jaxq": [100.0, 120.0],
            "environment alone": [400.0, 400.0],
            "products alone": [200.0, 240.0],
            "sbx": [50.0, 40.0],
        },
        "contenders": {"jaxq": {"startup_seconds": 3.2, "peak_mb": 512.3}},
        "errors": {"cleanrl": "no longer installs: a | b"},
    }
    text = throughput_report.throughput_section({"dqn-cartpole-1": measured}, lambda results: "a machine")
    assert "\n| cleanrl | - | no longer installs: a \\| b |  |  |  |  |\n" in text
    assert "| jaxq | 110 | 1.00 | 1.00 to 1.00 | 28 | 3 | 512 |" in text
    assert "\n| sbx | 45 | 2.50 | 2.25 to 2.75 | 11 |  |  |" in text
    # 1/110 s a step; 1/400 s of it the environment, 1/220 s the products.
    assert "| 9,090.91 µs | 2,500.00 µs | 4,545.45 µs | 7,045.45 µs | 78% |" in text
    assert "faster than jaxq" not in text


def test_a_baseline_that_is_faster_is_said_to_be():
    rates = {"jaxq": [100.0, 120.0], "environment alone": [400.0, 400.0], "sb3": [50.0, 40.0], "sbx": [200.0, 240.0]}
    (intro, line) = throughput_report.faster({"dqn-cartpole-1": {"steps_per_second": rates}})
    assert intro.startswith("Where a baseline is faster")
    assert line == f"- {work.SETTINGS['dqn-cartpole-1'].title}: sbx is 2.00 times as fast."


def test_of_a_time_to_a_return_those_seeds_stand_that_need_not_be_run_again():
    setting = Setting("a task", 1.0, (Program("ours", ("ours.py",)), Program("theirs", ("theirs.py",), "sbx")))

    def run(name, seed, revision, seconds=1.0):
        row = {"contender": name, "command": f"python {name}.py", "seed": seed, "seconds": seconds}
        return row if revision is None else {**row, "git_revision": revision}

    # Of the first seed it is not said of which revision it is: of the file's.
    runs = [run("ours", 1, "b"), run("ours", 0, None, 7.0), run("theirs", 0, None, 8.0), run("theirs", 2, "b")]
    before = {"runs": runs, "provenance": {"git_revision": "a"}}

    def seeds(now, further, count=3):
        return [(row["contender"], row["seed"]) for row in standing(before, setting, count, now, further)]

    whole = [("ours", 0), ("theirs", 0)]
    assert seeds("b", False) == [("ours", 1), ("theirs", 2)]
    assert seeds("b", True) == [*whole, ("ours", 1), ("theirs", 2)]
    assert seeds("b", True, 2) == [*whole, ("ours", 1)]
    assert seeds("c", True) == whole  # the others are halves of seeds
    assert seeds("a", False) == whole
    assert seeds(None, False) == []
    assert standing({}, setting, 3, "a", True) == []
    mixed = {**before, "runs": [run("ours", 0, "a"), run("theirs", 0, "b")]}  # one seed at two revisions
    assert [row["contender"] for row in standing(mixed, setting, 1, "b", True)] == ["theirs"]
    assert by_contender({"runs": [run("ours", 1, "b", 2.0), *before["runs"][1:2]]}) == {"ours": [7.0, 2.0]}
