"""Programs for platforms that are not at hand: they are lowered, and their ways give the CPU's numbers."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from jaxprs import equations
from test_experiments import OTHERWISE, SCRIPTS, load, small
from test_training import cart_pole, leaves, start

from jaxq import platforms
from jaxq.runs import parse
from jaxq.runs.population import member_keys

ROOT = Path(__file__).parent.parent
# One of each kind in every run of the tests; `make test-slow` lowers them all.
QUICK = ("c51", "i_dqn", "iqn", "pqn", "sac")
PARAMETERS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SCRIPTS]


def in_any_order(text):
    """Scatters of a lowered program that write floats of several rows, and do not say that their places differ."""
    scatters = re.findall(
        r'"stablehlo\.scatter"\(.*?<\{(.*?)\}>.*? : \((tensor<\S+>), tensor<((?:\d+x)*)i32>', text, re.DOTALL
    )
    several = re.compile(r"(?!(1x)*\d+x$)")  # rows, before the length of an index
    return [
        (operand, rows)
        for said, operand, rows in scatters
        if "unique_indices = true" not in said and re.search("f32|bf16", operand) and several.match(rows)
    ]


def test_scatters_in_any_order_are_seen():
    def lowered(function):
        return jax.jit(function).lower(np.zeros((4, 2), np.float32), np.zeros(3, np.int32)).as_text()

    assert in_any_order(lowered(lambda x, i: x.at[i].add(1.0)))
    assert in_any_order(lowered(lambda x, i: x.at[i, i % 2].set(1.0)))
    assert not in_any_order(lowered(lambda x, i: x.at[i].add(1.0, unique_indices=True)))
    assert not in_any_order(lowered(lambda x, i: x.at[i[0], i[1]].set(1.0)))


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_chunk_is_lowered_for_accelerators(name):
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    config = parse(module.Config, presets, ["--env", env, *small(module.Config)])
    for platform, lowered_for in (("gpu", "cuda"), ("tpu", "tpu")):
        with platforms.assume(platform):
            training = module.build(config)
            state = jax.eval_shape(training.warm_up, jax.eval_shape(training.init, member_keys(config)))
            chunk = jax.jit(lambda s: training.train_chunk(s, 2))  # noqa: B023
            text = chunk.trace(state).lower(lowering_platforms=(lowered_for,)).as_text()
        if "MinAtar" in env and name not in ("off_policy_dae",):
            assert "stablehlo.convolution" in text, "accelerators keep the native convolution"
        assert not in_any_order(text), "a GPU that must give the same bits would write row by row"


def test_members_side_by_side_equal_members_in_turn():
    training = cart_pole(members=3)
    state = start(training, [4, 5, 6])
    chunk = lambda s: training.train_chunk(s, 20)  # noqa: E731
    in_turn, measured = jax.jit(chunk)(state)
    with platforms.assume("gpu"):
        side_by_side, again = jax.jit(chunk)(state)
    for ours, theirs in zip(leaves(in_turn.agent), leaves(side_by_side.agent), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(leaves(in_turn.replay), leaves(side_by_side.replay), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, value in measured.items():
        np.testing.assert_allclose(value, again[name], rtol=1e-4)


RARE = {"ace": ("lu",), "bbf": ("cond",), "bro": ("qr", "householder"), "mrq": ("cond",), "redq": ("cond",)}


@pytest.mark.parametrize("name", RARE)
def test_what_is_rarely_due_is_a_branch_for_members_side_by_side_too(name):
    """With as many branches as for one alone, and nothing of what is in them computed outside."""
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    more = ["--reset-steps", "600", "900"] if name == "bro" else []

    def program(seeds):
        flags = ["--env", env, *small(module.Config), *more, f"--num-seeds={seeds}"]
        config = parse(module.Config, presets, flags)
        training = module.build(config)
        with platforms.assume("gpu"):
            state = jax.eval_shape(training.init, member_keys(config))
            return jax.make_jaxpr(lambda s: training.train_chunk(s, 2))(state).jaxpr

    alone, two = program(1), program(2)
    assert len(list(equations(two, "cond"))) == len(list(equations(alone, "cond"))) > 0
    assert list(equations(two, *RARE[name]))
    for jaxpr in (alone, two) if RARE[name] != ("cond",) else ():
        assert not list(equations(jaxpr, *RARE[name], branches=False))


def test_the_platform_is_asked_for_in_one_place():
    asked = re.compile(r"jax\.(default_backend|devices|local_devices)\(")
    rooms = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "jaxq").rglob("*.py") if asked.search(path.read_text())
    }
    assert rooms == {"jaxq/platforms.py", "jaxq/runs/devices.py"}, "and where `--device` is looked for"


def test_the_chosen_device_is_the_one_that_is_told_of(monkeypatch):
    """Also where JAX would rather have another."""
    from jaxq.runs.directory import provenance

    (cpu,) = jax.devices("cpu")[:1]
    with jax.default_device(cpu):
        monkeypatch.setattr(jax, "devices", lambda platform=None: [])
        assert platforms.device() is cpu
        assert platforms.on_cpu()
        assert provenance()["device"].startswith("cpu")


def test_an_unknown_platform_is_named():
    from jaxq.errors import InputError

    with pytest.raises(InputError, match="platform is 'abacus'"), platforms.assume("abacus"):
        pass
