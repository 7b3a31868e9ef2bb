"""The learning sections of the results page: rows, places of published figures, aggregates."""

import dataclasses
import json
import re

import numpy as np

from benchmarks import curves, learning_report, runs, walking
from benchmarks.learning_report import (
    Run,
    as_they_are_now,
    changes_told,
    comparison,
    improvement_table,
    over_tasks,
    place,
)
from benchmarks.published import CONTROL, MINATAR, Published
from benchmarks.suites import CONTROL_TASKS, MINATAR_GAMES
from jaxq.runs.plots import load_curves, plot_curves
from jaxq.runs.results import Result


def run(agent: str, task: str, returns: list[float]) -> Run:
    return Run(agent, task, 1_000, {"exploring": np.array(returns), "greedy": np.array(returns)}, "")


def test_curves_are_drawn_of_the_suites_that_were_run_and_shown_where_they_were_drawn(tmp_path, monkeypatch, capsys):
    kept = [curves.RUNS / f"control-HalfCheetah-v4-{agent}.json" for agent in ("sac", "i_sac")]
    for path in kept:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(curves, "RUNS", tmp_path)
    monkeypatch.setattr(curves, "IMAGES", tmp_path)
    curves.main()
    assert capsys.readouterr().out.split() == [str(tmp_path / "curves-control.png")]
    assert (curves.shown("minatar"), len(curves.shown("control"))) == ([], 1)
    (first, second) = (curve for path in kept for curve in load_curves(path))
    assert (first.returns.shape, first.seeds, first.env) == ((10, 3), (0, 1, 2), "envpool/HalfCheetah-v4")
    # More than a panel's legend has place for: one below all panels.
    several = [dataclasses.replace(second, label=f"agent {i}") for i in range(9)]
    plot_curves(several, tmp_path / "many.svg")
    plot_curves(several[:3], tmp_path / "few.svg")
    plot_curves([dataclasses.replace(second, label="an agent with a name " * 3)], tmp_path / "long.svg")
    heights = [
        float(re.search(r'height="([\d.]+)pt"', (tmp_path / f"{name}.svg").read_text())[1])
        for name in ("many", "long", "few")
    ]
    assert heights[0] > heights[1] > heights[2]


def test_a_published_figure_lies_below_within_or_above():
    assert [place(x, 1.0, 2.0) for x in (0.9, 1.0, 1.5, 2.0, 2.1)] == [
        "below ours", "within ours", "within ours", "within ours", "above ours"
    ]  # fmt: skip


def test_what_was_not_run_is_absent_and_what_is_published_stands_under_its_agent():
    runs = [run("a", "x", [1.0, 2.0, 3.0]), run("b", "x", [5.0, 5.0, 5.0]), run("b", "y", [7.0, 7.0, 7.0])]
    published = (Published("a", "A's authors", 4, 900, {"x": (9.0, 1.5), "y": (1.0, None)}, "a paper"),)
    lines = comparison(runs, ["a", "b", "c"], ("x", "y", "z"), published, "greedy", 1).splitlines()
    assert lines[0] == "| agent | seeds | steps of each | x | y |"
    assert lines[2].startswith("| a | 3 | 1,000 | 2.0 (1.0 to 3.0) |  |")
    assert lines[3] == "| *published: A's authors* | 4 | 900 | 9.0 ± 1.5, above ours | 1.0 |"
    assert lines[4].startswith("| b | 3 | 1,000 | 5.0 (5.0 to 5.0) | 7.0 (7.0 to 7.0) |")
    assert len(lines) == 5


def test_over_tasks_an_agent_twice_as_good_makes_two_and_one_with_a_missing_task_none():
    runs = [run("one", task, [by, by]) for task, by in (("x", 3.0), ("y", 50.0))]
    runs += [run("two", task, [2 * by, 2 * by]) for task, by in (("x", 3.0), ("y", 50.0))]
    runs += [run("half", "x", [1.5, 1.5])]
    lines = over_tasks(runs, ["two", "half", "one"], ("x", "y"), "one", "greedy").splitlines()
    assert lines[2:] == ["| two | 2.00 | 2.00 to 2.00 | 2.00 |", "| one | 1.00 | 1.00 to 1.00 | 1.00 |"]


def test_figures_published_are_of_tasks_that_a_suite_has():
    assert all(set(one.figures) <= set(MINATAR_GAMES) for one in MINATAR)
    assert all(set(one.figures) <= set(CONTROL_TASKS) for one in CONTROL)


def test_returns_while_exploring_are_weighted_by_their_episodes():
    curve = {
        "step": [10, 80, 100],
        "episodes": [[5, 5], [1, 0], [3, 2]],
        "episode_return": [[99.0, 99.0], [2.0, None], [6.0, 4.0]],
    }
    kept = Result("a", {}, {}, {}, curve)
    np.testing.assert_allclose(learning_report.exploring_returns(kept), [(2.0 + 3 * 6.0) / 4, 4.0])


def test_runs_with_other_numbers_than_their_scripts_are_named_once_by_what_has_changed():
    other = {"target_period": (500, 64)}
    assert changes_told([("a", {}), ("b", {})]) == []
    (told,) = changes_told([("a", other), ("b", {}), ("c", {"n_step": (1, 3)}), ("d", other), ("a", other)], "Beware.")
    assert told.endswith("numbers now: target_period 500 (now 64): a, d; n_step 1 (now 3): c. Beware.")


def test_runs_with_other_numbers_are_compared_with_their_like_alone():
    pairs, other = (("one", "two"),), {"target_period": (500, 64)}
    now = [run("one", "x", [9.0]), run("two", "x", [3.0])]
    before = [dataclasses.replace(one, changed=other) for one in now]
    assert as_they_are_now([before[0], now[1]]) == [now[1]]
    assert improvement_table([before[0], now[1]], pairs, "greedy") == ""
    for alike in (now, before):
        assert "| one | two | 1.00 |" in improvement_table(alike, pairs, "greedy")


def test_robots_are_told_with_what_they_follow_and_when_they_walked(tmp_path, monkeypatch):
    """A run that was not tried is left out; one that never came to the return says so."""
    original = json.loads((runs.RUNS / "go1-brax_ppo-0.json").read_text())
    steps = len(original["curve"]["step"])
    for name, best in (("go1-brax_ppo-0", 30.0), ("go1-brax_ppo-1", 20.0), ("go1-brax_ppo-2", 30.0)):
        seen = [[None]] * (steps - 2) + [[best], [best]]
        curve = {**original["curve"], "eval_return": seen, "wall_seconds": [60.0 * i for i in range(steps)]}
        (tmp_path / f"{name}.json").write_text(json.dumps({**original, "curve": curve}))
    followed = {"reward_tracking_lin_vel": 0.5, "reward_tracking_ang_vel": 0.25}
    walk = {"env": "envpool/Robot-v1", "returns": [10.0, 20.0], "lengths": [1, 2], "followed": followed}
    tried = {"walks": dict.fromkeys(("go1-brax_ppo-0", "go1-brax_ppo-1"), walk), "still": {"envpool/Robot-v1": walk}}
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(walking, "RESULT", tmp_path / "walking.json")
    assert learning_report.robots_section() == []
    walking.RESULT.write_text(json.dumps({**tried, "robots": 2}))
    rows = [line for part in learning_report.robots_section() for line in part.split("\n") if line.startswith("|")]
    assert rows[2] == "| envpool/Robot, standing still |  |  |  |  |  | 15.0 | 10.0 | 50% | 25% |"
    assert [row.split(" | ")[5] for row in rows[3:]] == [str(steps - 2), "not yet"]
