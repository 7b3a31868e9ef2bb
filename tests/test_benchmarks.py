"""What is kept of runs, and the page that is made of it."""

import json

import numpy as np

from benchmarks import learning_report, report
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
