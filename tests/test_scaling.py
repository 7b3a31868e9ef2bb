"""The plan past one machine: its ceilings by hand, and the page that is made of the constants."""

import json

import pytest

from benchmarks import constants, scaling

FOUND = {
    "num_envs": 4,
    "updates_per_step": 0.25,
    "replay_bytes": 1_000,
    "row_bytes": 10.0,
    "environment_bytes": 40,
    "batch_bytes": 100,
    "network_bytes": {"parameters": 8, "targets": 8, "optimizer": 16, "others": 4},
    "act": {"flops": 400.0, "bytes_accessed": 40.0},
    "update": {"flops": 4_000.0, "bytes_accessed": 200.0},
    "step_bytes": 5.0,
    "physics_steps": None,
    "alone": {"core_seconds": [0.5, 0.1, 0.2]},
}
MACHINE = scaling.Machine("it", 4, 11_000.0, 5_000.0, 600.0, 3.0, 50.0, 2.0, 70.0, 1.0)


def test_ceilings_are_the_arithmetic_by_hand():
    work = scaling.work_of("atari", FOUND)
    assert (work.member, work.floor) == (1_076, 76)
    found = scaling.ceilings(MACHINE, work, share_of_peak=0.5, together=True)
    assert found == {
        scaling.CORES: pytest.approx(2 / 0.2),
        scaling.LINK: pytest.approx(50 / 5),
        scaling.ARITHMETIC: pytest.approx(5_500 / (100 + 1_000)),
        scaling.MOVED: pytest.approx(600 / (10 + 50)),
        scaling.REPLAY: pytest.approx(600 / (10 + 50)),
        # Of 8 bytes each of four devices sends 3/4 twice, at 3 bytes a second, for every fourth step.
        scaling.GRADIENTS: pytest.approx(1 / (0.25 * 4.0)),
    }
    alone = scaling.ceilings(MACHINE, work, share_of_peak=0.5, together=False)
    assert alone == {part: rate for part, rate in found.items() if part != scaling.GRADIENTS}


def test_physics_on_the_device_takes_the_place_of_cores_and_link():
    work = scaling.work_of("mjx", {**FOUND, "step_bytes": None, "physics_steps": 5})
    found = scaling.ceilings(MACHINE, work, share_of_peak=0.5, together=False)
    assert found[scaling.PHYSICS] == pytest.approx(14)
    assert not {scaling.CORES, scaling.LINK} & set(found)


def test_an_example_waits_for_the_device_with_most_members():
    text = scaling.design("title", "said", [MACHINE], scaling.work_of("atari", FOUND), 0.5, together=False)
    # 285 members on four devices are 72 on one, whose lowest ceiling is 5 steps a second, at $4 an hour for all.
    hours = 72 * 50e6 / 5 / 3600
    assert f"{hours:,.1f} h, ${4 * hours:,.0f}" in text
    assert "it saturates at arithmetic" in text
    assert "4 members, 4.3 kB" in text


def test_bytes_of_agents_are_told_apart():
    counted = constants.of_training("atari")["network_bytes"]
    # Nature's network for Pong's six actions, in float32, with a target and Adam's two moments of every parameter.
    layers = [(8 * 8 * 4, 32), (4 * 4 * 32, 64), (3 * 3 * 64, 64), (7 * 7 * 64, 512), (512, 6)]
    parameters = 4 * sum((inputs + 1) * units for inputs, units in layers)
    assert counted["parameters"] == counted["targets"] == parameters
    assert 2 * parameters <= counted["optimizer"] < 2 * parameters + 100


def test_the_page_is_what_the_constants_make():
    """Whoever changes a constant or the plan makes the page anew."""
    found = json.loads((scaling.RESULTS / "constants.json").read_text())
    assert scaling.page(found, scaling.machines()) == scaling.PAGE.read_text()
