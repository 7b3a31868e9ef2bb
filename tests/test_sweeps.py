"""Sweeps: spaces, studies, workers that die, and what is told of them."""

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402
from test_runs import ROOT, dqn  # noqa: E402

from jaxq.cli.main import main as jaxq  # noqa: E402
from jaxq.configs import Member  # noqa: E402
from jaxq.errors import DivergedError, InputError  # noqa: E402
from jaxq.runs import parse  # noqa: E402
from jaxq.runs.command_line import obeying  # noqa: E402
from jaxq.runs.directory import read_metrics, to_json, write_json  # noqa: E402
from jaxq.sweeps.plans import Plan, default_storage  # noqa: E402
from jaxq.sweeps.report import best_of, importance_of, plot_study, status_of, training_command  # noqa: E402
from jaxq.sweeps.space import grid, read_space  # noqa: E402
from jaxq.sweeps.studies import (  # noqa: E402
    Worker,
    give_back,
    make_pruner,
    make_sampler,
    open_storage,
    open_study,
    superseded,
    take_over,
)
from jaxq.sweeps.worker import AllPruned, _Sweep, _Watch, results, sweep  # noqa: E402

SPACE = "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\nn_step: {choices: [1, 3]}\n"
FLAGS = [
    *("--total-steps", "1500", "--num-logs", "6", "--num-evaluations", "3", "--eval-episodes", "2", "--num-envs", "2"),
    *("--warmup-steps", "200", "--hidden-widths", "16", "--epsilon-steps", "1000", "--checkpoint-minutes", "0"),
]


def spaced(folder, text=SPACE):
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def command(folder, *more, study="s", trials=4):
    space = folder / "space.yaml"
    return ["sweep", "dqn", "--env", "gymnax/CartPole-v1", "--study", study, "--space", str(space), "--trials",
            str(trials), "--directory", str(folder / "sweeps"), *FLAGS, *map(str, more)]  # fmt: skip


def launch(args):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxq.cli.main", *args],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def learning_in(place):
    """Whether a run in this folder, or in one of its folders, has written metrics; checkpoints come and go."""
    patterns = ("config.json", "*/config.json", "*/*/config.json")
    return any(read_metrics(path.parent) for pattern in patterns for path in place.glob(pattern))


def study_in(folder, name="s", url=None):
    return open_study(open_storage(url or default_storage(folder / "sweeps", name)), name)


def in_process(monkeypatch, args):
    monkeypatch.setattr(sys, "argv", ["jaxq", *args])
    jaxq()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat: {low: 1, high: 2}", "did you mean learning_rate"),
        ("hidden_widths: {low: 16, high: 64}", "hidden_widths.*choices.*not one number"),
        ("operator: {low: 1, high: 2}", "operator.*not one number"),
        ("learning_rate: {low: 1e-4, high: 1.0e-2}", "learning_rate, low is '1e-4', but must be a number"),
        ("n_step: {low: 1.5, high: 3}", "n_step, low is 1.5, but must be a whole number"),
        ("n_step: {low: 1, high: 3, count: 0}", "n_step, count is 0, but must be a whole number of at least 1"),
        ("n_step: {low: 1, high: 5, step: 2, count: 2}", "n_step, count is 2, but must be left out beside a step"),
        ("learning_rate: {low: 0.0, high: 1.0, log: true}", "learning_rate"),
        ("learning_rate: {low: 2.0, high: 1.0}", "learning_rate"),
        ("learning_rate: [1, 2]", "low: ..., high: ..."),
        ("learning_rate: {choices: []}", "one or more"),
        ("seed: {choices: [1, 2]}", "seed"),
        ("[", "no YAML"),
        ("3", "a file of fields"),
    ],
)
def test_a_space_that_cannot_be_is_named(text, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read_space(spaced(tmp_path, text), dqn.Config)


def test_a_grid_is_every_combination_of_the_points(tmp_path):
    text = (
        "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true, count: 3}\nn_step: {low: 1, high: 5, step: 2}\n"
        "hidden_widths: {choices: [[16, 16], [64]]}\ndiscount: {low: 0.9, high: 0.975, step: 0.025}\n"
    )
    space = read_space(spaced(tmp_path, text), dqn.Config)
    points = list(grid(space))
    assert len(points) == 3 * 3 * 2 * 4
    np.testing.assert_allclose(sorted({point["learning_rate"] for point in points}), [1e-4, 1e-3, 1e-2])
    assert sorted({point["n_step"] for point in points}) == [1, 3, 5]
    np.testing.assert_allclose(sorted({point["discount"] for point in points}), [0.9, 0.925, 0.95, 0.975])
    assert {space[2].value(point["hidden_widths"]) for point in points} == {(16, 16), (64,)}


def test_a_grid_is_trained_whole_and_once_whoever_told_the_study_of_it(tmp_path, monkeypatch):
    """A worker that told of two points only, one of them twice and one as waiting for its second try, has died."""
    text = "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true, count: 2}\nn_step: {choices: [1, 3]}\n"
    points = list(grid(read_space(spaced(tmp_path, text), dqn.Config)))
    args = command(tmp_path, "--sampler", "grid", "--resume")
    trained = []

    def train(self, trials):
        for trial in trials:
            trained.append(trial.params)
            self.study.tell(trial, 1.0)

    monkeypatch.setattr("jaxq.sweeps.worker._Sweep._train", train)
    in_process(monkeypatch, [*args, "--trials", "1"])
    study = study_in(tmp_path)
    for point in (points[1], points[1]):
        study.enqueue_trial(point)
    lost = study.ask({d.name: d.distribution for d in read_space(tmp_path / "space.yaml", dqn.Config)})
    assert give_back(study, study._storage, lost._trial_id, lost=True)
    in_process(monkeypatch, args)
    assert sorted(map(str, trained)) == sorted(map(str, points))
    assert [row.state for row in status_of(study_in(tmp_path))] == ["complete"] * 4


def test_workers_that_begin_together_never_take_the_same_trial(tmp_path, monkeypatch):
    """Four of them on one SQLite database, as long as there are trials."""
    text = "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true, count: 8}\nn_step: {choices: [1, 3, 5]}\n"
    space = spaced(tmp_path, text)
    trained = []

    def train(self, trials):
        for trial in trials:
            trained.append(trial.params)
            self.study.tell(trial, 1.0)

    monkeypatch.setattr("jaxq.sweeps.worker._Sweep._train", train)
    monkeypatch.setattr("jaxq.sweeps.worker._Sweep._refused", lambda self, trial: None)
    plan = Plan(
        script=ROOT / "experiments" / "discrete" / "dqn.py", study="s", space=space, trials=24, population=1,
        storage=default_storage(tmp_path / "sweeps", "s"), sampler="grid", pruner="none", directory=tmp_path / "sweeps",
        resume=True, flags=("--env", "gymnax/CartPole-v1"),
    )  # fmt: skip
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(sweep, [plan] * 4))
    assert len(trained) == 24
    assert sorted(map(str, trained)) == sorted(map(str, grid(read_space(space, dqn.Config))))
    assert len(study_in(tmp_path).get_trials()) == 24, "no point was told of twice"


@pytest.mark.parametrize(
    ("space", "more", "said"),
    [
        ("learning_rat: {low: 1, high: 2}", [], "learning_rate"),
        ("batch_size: {low: 32, high: 64}", ["--population", 2], "batch_size is 'a range'"),
        ("discount: {choices: [0.9, 1.5]}", [], "discount is 1.5"),
        ("temperature: {low: 0.1, high: 1.0}", [], "temperature.*no effect"),
        (SPACE, ["--storage", "postgresql://nobody:secret@127.0.0.1:1/none"], "cannot be reached"),
        (SPACE, ["--storage", "nonsense"], "cannot be reached"),
        (SPACE, ["--trials", "0"], "trials is 0"),
        (SPACE, ["--batch-sise", "3"], "--batch-size"),
        (SPACE, ["--run-dir", "/tmp/x"], "run_dir"),
        (SPACE, ["--controller", "pbt"], "controller is 'pbt'"),
    ],
)
def test_bad_input_is_one_line_and_code_2(space, more, said, tmp_path, monkeypatch, capsys):
    spaced(tmp_path, space)
    with pytest.raises(SystemExit) as stop:
        in_process(monkeypatch, command(tmp_path, *more))
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1, error
    assert re.search(said, error)
    assert "secret" not in error
    assert not list(tmp_path.glob("sweeps/s/*/config.json"))


def test_samplers_and_pruners_are_those_of_their_names(monkeypatch):
    for name, kind in {"tpe": "TPESampler", "random": "RandomSampler", "cmaes": "CmaEsSampler"}.items():
        assert type(make_sampler(name, 0)).__name__ == kind
    for name, kind in {"median": "MedianPruner", "hyperband": "HyperbandPruner", "none": "NopPruner"}.items():
        assert type(make_pruner(name)).__name__ == kind
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"^sampler is 'gp', which needs a package"):
        make_sampler("gp", 0)


def test_populations_of_other_studies_have_other_places(tmp_path):
    """What was found by runs of another length, or in another environment, is none of theirs."""

    def place(*flags, script="dqn"):
        config = parse(dqn.Config, dqn.PRESETS, ["--env", "gymnax/CartPole-v1", *flags])
        plan = SimpleNamespace(script=Path(f"{script}.py"), directory=tmp_path, study="s")
        return _Sweep._place(SimpleNamespace(plan=plan, config=config), [{"learning_rate": 1e-3}])

    same = place("--run-dir", "elsewhere", "--checkpoint-minutes", "1")
    others = [place("--total-steps", "300000"), place("--seed", "1"), place("--env", "gymnax/Acrobot-v1"),
              place(script="mine"), place("--discount", "0.9")]  # fmt: skip
    assert same == place()
    assert len({same, *others}) == 6


def test_a_study_of_something_else_is_refused(tmp_path, monkeypatch, capsys):
    spaced(tmp_path)
    storage = open_storage(default_storage(tmp_path / "sweeps", "s"))
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    study.set_user_attr("experiment", "pqn")
    for more, said in (([], "study is 's', but must be a new name"), (["--resume"], "experiment is 'dqn'")):
        with pytest.raises(SystemExit) as stop:
            in_process(monkeypatch, command(tmp_path, *more))
        assert stop.value.code == 2
        assert said in capsys.readouterr().err
    for about, said in (
        (["status", "t"], "study is 't'"),
        (["best", "s"], "a trial that has come to its end"),
        (["plot", "s"], "a trial that has come to its end"),
    ):
        with pytest.raises(SystemExit) as stop:
            in_process(monkeypatch, ["sweep", *about, "--directory", str(tmp_path / "sweeps")])
        assert stop.value.code == 2
        assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory):
    """A sweep of six trials, two at a time and of two seeds; killed in its second population, and resumed."""
    folder = tmp_path_factory.mktemp("sweep")
    spaced(folder)
    args = command(folder, "--population", 2, "--num-seeds", 2, trials=6)
    process = launch(args)
    printed = []
    for line in process.stdout:
        printed.append(line)
        if sum("of 6 in" in line for line in printed) == 2:
            break
    place = folder / "sweeps" / "s" / printed[-1].split("/")[-1].strip()
    while process.poll() is None and not learning_in(place):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    before = {trial.number: trial for trial in study_in(folder).get_trials() if trial.state.is_finished()}
    done = launch([*args, "--resume"])
    out, _ = done.communicate(timeout=300)
    assert done.returncode == 0, out
    return folder, place, before, out


@pytest.mark.slow
def test_a_sweep_goes_on_after_its_worker_was_killed(killed_and_resumed):
    folder, place, before, out = killed_and_resumed
    study = study_in(folder)
    trials = study.get_trials()
    gone = superseded(trials)
    kept = [trial for trial in trials if trial.number not in gone]
    assert len(kept) == 6
    assert {trial.state for trial in kept} == {TrialState.COMPLETE}
    assert len(before) == 2
    assert all(trials[number].value == trial.value for number, trial in before.items()), "finished trials stand"
    lost = [trial for trial in trials if trial.number in gone]
    assert len(lost) == 2
    again = [next(t for t in trials if t.user_attrs.get("again_of") == trial.number) for trial in lost]
    assert [trial.params for trial in again] == [trial.params for trial in lost]
    assert all(Path(trial.user_attrs["run_dir"]) == place for trial in again), "it goes on where it was"
    assert "6 trials: 6 complete" in out


@pytest.mark.slow
def test_what_is_told_is_what_was_trained(killed_and_resumed):
    """Each trial's value and curve are the means of its own members, found by their settings alone."""
    folder = killed_and_resumed[0]
    for trial in study_in(folder).get_trials(states=(TrialState.COMPLETE,)):
        own = []
        for path in Path(trial.user_attrs["run_dir"]).rglob("summary.json"):
            if not (path.parent / "metrics.jsonl").exists():
                continue
            config = json.loads((path.parent / "config.json").read_text())
            lines = [line for line in read_metrics(path.parent) if line["eval_return"][0] is not None]
            for i, row in enumerate(json.loads(path.read_text())["members"]):
                setting = {"learning_rate": config["learning_rate"], "n_step": config["n_step"], **row["setting"]}
                if setting == trial.params:
                    own.append((row["seed"], row["return"], [line["eval_return"][i] for line in lines]))
        assert sorted(seed for seed, *_ in own) == [0, 1]
        assert trial.value == pytest.approx(np.mean([score for _, score, _ in own]))
        curve = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        np.testing.assert_allclose(curve, np.mean([line for *_, line in own], axis=0))


@pytest.mark.slow
def test_what_is_told_of_a_study(killed_and_resumed, tmp_path):
    folder = killed_and_resumed[0]
    study = study_in(folder)
    rows = status_of(study)
    assert [row.state for row in rows] == ["complete"] * 6
    assert [row.value for row in rows] == sorted((row.value for row in rows), reverse=True)
    plot_study(study, tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 10_000
    best, words = best_of(study, ROOT / "experiments" / "discrete" / "dqn.py")
    assert best.number == rows[0].number
    assert words.startswith("jaxq train dqn --env ")
    config = parse(dqn.Config, dqn.PRESETS, words.split()[3:])
    assert {name: getattr(config, name) for name in best.params} == best.params
    assert (config.total_steps, config.hidden_widths, config.num_seeds) == (1500, (16,), 2)


def test_a_command_says_every_field_that_is_not_the_default():
    default = parse(dqn.Config, dqn.PRESETS, ["--env", "gymnax/CartPole-v1"])
    config = parse(
        dqn.Config,
        dqn.PRESETS,
        ["--env", "gymnax/CartPole-v1", "--hidden-widths", "8", "4", "--layer-norm", "--huber-threshold", "None"],
    )
    words = training_command(Path("dqn.py"), default, vars(config)).split()
    assert words[:2] == ["python", "dqn.py"]
    assert parse(dqn.Config, dqn.PRESETS, words[2:]) == config
    # What was looked for is said though it came out as the default.
    assert "--discount" not in words
    assert "--discount 0.99" in training_command(Path("dqn.py"), default, vars(config), {"discount": 0.99})


def keep(config, returned=None):
    """What a run leaves; without a return, of one whose members all diverged in the first chunk."""
    config.run_dir.mkdir(parents=True, exist_ok=True)
    write_json(config.run_dir / "provenance.json", {})
    write_json(config.run_dir / "config.json", {"experiment": "dqn", **to_json(config)})
    if returned is not None:
        rows = [{"return": returned, "diverged": None} for _ in range(config.num_members)]
        write_json(config.run_dir / "summary.json", {"members": rows})


def batches(config):
    return [config.alone(i).batch_size for i in range(config.num_members)]


@pytest.mark.parametrize(
    "error",
    [
        InputError("replay_capacity is 9, but must be at most 4 to fit"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\nand so on"),
    ],
    ids=["before", "while"],
)
def test_a_trial_that_does_not_fit_is_refused_and_no_other_with_it(error, tmp_path, monkeypatch):
    """Whether that is known before anything is compiled or found by the device."""
    spaced(tmp_path, "batch_size: {choices: [16, 32, 64]}\n")
    asked = []

    def train(build, config, watch):
        asked.append(batches(config))
        if 64 in asked[-1]:
            raise error
        keep(config, 1.0)

    monkeypatch.setattr("jaxq.sweeps.worker.train", train)
    in_process(monkeypatch, command(tmp_path, "--sampler", "grid", "--population", 3, trials=3))
    assert asked == [[16, 32, 64], [16], [32], [64]]
    said = {row.setting["batch_size"]: row.state for row in status_of(study_in(tmp_path))}
    assert said == {16: "complete", 32: "complete", 64: f"refused: {str(error).splitlines()[0]}"}


@pytest.mark.parametrize("diverged", [False, True])
def test_a_worker_whose_trials_were_taken_for_lost_goes_on_with_others(diverged, tmp_path, monkeypatch):
    """As after a long sleep: what it tells of them then is not asked for any more."""
    spaced(tmp_path, "batch_size: {choices: [16, 32]}\n")
    asked = []

    def train(build, config, watch):
        asked.append(batches(config))
        if len(asked) == 1:
            study = study_in(tmp_path)
            (own,) = study.get_trials(states=(TrialState.RUNNING,))
            assert give_back(study, study._storage, own._trial_id, lost=True)
        keep(config, None if diverged and len(asked) == 1 else 1.0)

    monkeypatch.setattr("jaxq.sweeps.worker.train", train)
    in_process(monkeypatch, command(tmp_path, "--sampler", "grid", trials=2))
    assert sorted(asked)[:1] == [[16]]
    assert {row.setting["batch_size"] for row in status_of(study_in(tmp_path)) if row.state == "complete"} == {16, 32}


def test_a_trial_that_was_never_begun_is_tried_again_and_not_told_as_pruned(tmp_path, monkeypatch):
    """Of two programs the first diverges before it has written a line, and is the end of both."""
    spaced(tmp_path, "batch_size: {choices: [16, 64]}\n")
    asked = []

    def train(build, config, watch):
        asked.append(batches(config))
        if len(asked) == 1:
            first = dataclasses.replace(config.alone(0), run_dir=config.run_dir / "batch_size-16")
            keep(first)
            write_json(config.run_dir / "config.json", {"experiment": "dqn", **to_json(config)})
            raise DivergedError("loss is nan", [100])
        keep(config, 1.0)

    monkeypatch.setattr("jaxq.sweeps.worker.train", train)
    in_process(monkeypatch, command(tmp_path, "--sampler", "grid", "--population", 2, trials=2))
    assert asked == [[16, 64], [64]]
    said = {row.setting["batch_size"]: row.state for row in status_of(study_in(tmp_path))}
    assert said == {16: "diverged at step 0", 64: "complete"}


def test_the_best_command_is_one_that_the_script_takes(tmp_path, monkeypatch):
    """A field that had no effect beside the others was not trained with, and the script refuses it."""
    text = "operator: {choices: [max, soft]}\ntemperature: {choices: [0.2]}\nhidden_widths: {choices: [[8, 4]]}\n"
    spaced(tmp_path, text)

    def train(self, trials):
        for trial in trials:
            self.study.tell(trial, float(trial.params["operator"] == "max"))

    monkeypatch.setattr("jaxq.sweeps.worker._Sweep._train", train)
    in_process(monkeypatch, command(tmp_path, "--sampler", "grid", trials=2))
    best, words = best_of(study_in(tmp_path), ROOT / "experiments" / "discrete" / "dqn.py")
    assert best.params == {"operator": "max", "temperature": 0.2, "hidden_widths": "[8, 4]"}
    assert words.startswith("jaxq train dqn --env ")
    config = parse(dqn.Config, dqn.PRESETS, words.split()[3:])
    obeying(dqn.build, config, dqn.PRESETS)(config)
    assert (config.hidden_widths, config.total_steps) == ((8, 4), 1500)


def test_a_trial_that_is_lost_is_tried_once_more(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    distributions = {"x": optuna.distributions.FloatDistribution(0, 1)}
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ended = Worker(socket.gethostname(), dead.pid, 1)
    first = study.ask(distributions)
    first.set_user_attr("worker", str(ended))
    mine = study.ask(distributions)
    mine.set_user_attr("worker", str(Worker.this()))
    elsewhere = study.ask(distributions)
    elsewhere.set_user_attr("worker", str(Worker("another-host", dead.pid, 1)))
    assert take_over(study, storage) == 1
    assert take_over(study, storage) == 0
    again = study.ask(distributions)
    assert again.params == first.params
    assert again.user_attrs["again_of"] == first.number
    assert give_back(study, storage, mine._trial_id, lost=False), "told to stop, which is no attempt"
    assert study.ask(distributions).user_attrs["attempts"] == 1
    assert not give_back(study, storage, again._trial_id, lost=True), "lost twice"
    assert study.get_trials()[again.number].state == TrialState.FAIL
    assert superseded(study.get_trials()) == {first.number, mine.number}


def test_a_worker_is_dead_when_its_process_is():
    assert not Worker.this().is_known_dead
    assert Worker.named(str(Worker.this())) == Worker.this()
    running = Worker.this()
    assert Worker(running.host, running.process, running.begun + 1).is_known_dead, "the number is another's by now"
    assert not Worker("another-host", 1, 1).is_known_dead


def test_a_population_ends_when_all_of_it_is_pruned(tmp_path):
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    distributions = {"learning_rate": optuna.distributions.FloatDistribution(0, 1)}
    for value in (10.0, 12.0):
        trial = study.ask(distributions)
        trial.report(value, 1)
        trial.report(10 * value, 2)
        study.tell(trial, value)
    trials = [study.ask(distributions) for _ in range(2)]

    class Own:
        def setting(self, trial):
            return trial.params

    config = parse(dqn.Config, dqn.PRESETS, [])
    members = tuple(Member(seed, trial.params) for trial in trials for seed in (0, 1))
    watch = _Watch(study, trials, Own()).of(config.with_population(members))
    watch.log({"step": 1, "eval_return": [None] * 4})
    watch.log({"step": 1, "eval_return": [1.0, 2.0, 20.0, 30.0]})
    assert watch.pruned == {trials[0].number}
    assert study.get_trials()[trials[1].number].intermediate_values == {1: 25.0}
    with pytest.raises(AllPruned):
        watch.log({"step": 2, "eval_return": [1.0, 2.0, 3.0, 4.0]})


def test_importance_finds_the_field_that_matters():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("a", 0, 1) + 0.01 * trial.suggest_float("b", 0, 1), n_trials=60)
    importance = importance_of(study)
    assert importance["a"] > 0.8
    assert importance_of(optuna.create_study()) == {}


@pytest.mark.slow
def test_told_to_stop_a_sweep_saves_and_goes_on(tmp_path):
    spaced(tmp_path)
    args = command(tmp_path, trials=1)
    process = launch(args)
    place = tmp_path / "sweeps" / "s"
    while process.poll() is None and not learning_in(place):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    compiling = launch([*args, "--resume"])
    for line in compiling.stdout:
        if "compiling" in line:
            break
    compiling.send_signal(signal.SIGTERM)
    assert compiling.wait(60) == 0
    waiting = study_in(tmp_path).get_trials(states=(TrialState.WAITING,))
    assert [trial.user_attrs["attempts"] for trial in waiting] == [1], "neither time it was lost"
    done = launch([*args, "--resume"])
    out, _ = done.communicate(timeout=300)
    assert done.returncode == 0, out
    assert "1 trials: 1 complete" in out
    (folder,) = (path.parent for path in place.rglob("summary.json"))
    steps = [line["step"] for line in read_metrics(folder)]
    assert steps == sorted(set(steps))
    assert len(list(results(folder, dqn.Config))) == 1


POSTGRES = shutil.which("initdb") or next(iter(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


@pytest.fixture
def postgres():
    """A PostgreSQL server of the test's own, from Debian's package `postgresql`; its URL."""
    if POSTGRES is None:
        pytest.skip("initdb is not there: apt-get install postgresql")
    programs = Path(POSTGRES).resolve().parent
    # Not below pytest's own folder, into which nobody else may look. It refuses to run as root, so as its own user.
    data, other = Path(tempfile.mkdtemp()), {}
    if os.geteuid() == 0:
        shutil.chown(data, "postgres")
        other = {"user": "postgres"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/", **other}
    subprocess.run([programs / "initdb", "-D", data / "db", "-A", "trust", "-U", "jaxq"], **quiet)
    server = [programs / "pg_ctl", "-D", data / "db", "-l", data / "log", "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    subprocess.run([*server, "-o", options, "start"], **quiet)
    yield f"postgresql://jaxq@127.0.0.1:{port}/postgres"
    subprocess.run([*server, "-m", "immediate", "stop"], **quiet)
    shutil.rmtree(data)


@pytest.mark.slow
def test_two_workers_on_one_study_in_postgresql_of_which_one_is_killed(postgres, tmp_path):
    spaced(tmp_path)
    args = command(tmp_path, "--population", 2, "--storage", postgres, "--resume", trials=6)
    workers = [launch(args), launch(args)]
    for line in workers[0].stdout:
        if "of 6 in" in line:
            break
    place = tmp_path / "sweeps" / "s" / line.split("/")[-1].strip()
    while workers[0].poll() is None and not learning_in(place):
        time.sleep(0.01)
    workers[0].kill()
    workers[0].communicate()
    out, _ = workers[1].communicate(timeout=400)
    assert workers[1].returncode == 0, out
    trials = study_in(tmp_path, url=postgres).get_trials()
    kept = [trial for trial in trials if trial.number not in superseded(trials)]
    assert [trial.state for trial in kept] == [TrialState.COMPLETE] * 6
    assert len(trials) == 8, "the two trials of the killed worker were begun again, and no other"
