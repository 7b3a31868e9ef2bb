"""Learning gates, with fixed seeds and the scripts' own defaults: minutes each, so behind `make test-slow`."""

import numpy as np
import pytest

from experiments.continuous import crossq, i_sac, sac, simba, td3, tqc
from experiments.discrete import dqn
from jaxq.runs import parse, run
from jaxq.runs.directory import read_metrics

pytestmark = pytest.mark.slow


def train(module, tmp_path, *args):
    """The summary and the evaluation returns [T, seeds] of a run."""
    config = parse(module.Config, module.PRESETS, ["--run-dir", str(tmp_path / "run"), *args])
    summary = run(module.build, config)
    lines = [line["eval_return"] for line in read_metrics(tmp_path / "run")]
    return summary, np.array([line for line in lines if None not in line])


def test_dqn_solves_cart_pole_with_every_seed(tmp_path):
    _, returns = train(dqn, tmp_path, "--env", "gymnax/CartPole-v1", "--num-seeds", "10", "--seed", "200")
    assert (returns.max(axis=0) >= 475).all()


def test_dqn_learns_minatar_breakout(tmp_path):
    summary, _ = train(dqn, tmp_path, "--env", "gymnax/Breakout-MinAtar", "--total-steps", "1000000")
    assert summary["return_mean"] > 10


@pytest.mark.parametrize("module", [sac, td3, tqc, crossq, i_sac, simba], ids=lambda module: module.__name__)
def test_actor_critics_solve_pendulum(module, tmp_path):
    summary, _ = train(module, tmp_path, "--env", "gymnax/Pendulum-v1", "--eval-episodes", "32")
    assert summary["return_mean"] > -200
