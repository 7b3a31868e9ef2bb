"""Every experiment script: its configuration parses, its training traces for two seeds, and its help is whole."""

import dataclasses
import importlib
import re
import sys
import typing
from pathlib import Path

import jax
import pytest

from jaxq.configs import DRIVER_FIELDS, build_and_tell
from jaxq.errors import InputError
from jaxq.runs import parse, run
from jaxq.runs.attention import draw_attention
from jaxq.runs.catalog import catalog
from jaxq.runs.population import member_keys

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
FOLDERS = {
    p.stem: p.parent.name
    for p in (ROOT / "experiments").glob("*/*.py")
    if p.stem != "__init__" and p.parent.name != "launch"
}
SCRIPTS = sorted(FOLDERS)
SMALL = {
    "num_seeds": 2, "num_envs": 2, "replay_capacity": 1000, "warmup_steps": 256, "batch_size": 8, "total_steps": 2000,
    "eval_episodes": 1, "rollout_steps": 8, "minibatches": 2, "sequence_length": 8, "burn_in": 2,
}  # fmt: skip


OTHERWISE = {
    "minimax_dqn": "tabular/MarkovGame",
    **{name: "gymnax/Pendulum-v1" for name, folder in FOLDERS.items() if folder == "continuous"},
}


def small(config_class):
    """Flags that make a run small, of those that a script has."""
    fields = {field.name for field in dataclasses.fields(config_class)}
    return [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if name in fields]


def load(name):
    """The script and the presets it is run with."""
    module = importlib.import_module(f"experiments.{FOLDERS[name]}.{name}")
    return module, module.PRESETS


@pytest.mark.parametrize("name", SCRIPTS)
def test_training_traces_for_two_seeds(name):
    """The whole program is built and its shapes are checked, which needs no compilation."""
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    config = parse(module.Config, presets, ["--env", env, *small(module.Config)])
    training = module.build(config)
    plan = training.plan(config.total_steps, 2, 2)
    state = jax.eval_shape(training.warm_up, jax.eval_shape(training.init, member_keys(config)))
    after, metrics = jax.eval_shape(lambda s: training.train_chunk(s, plan.iterations), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {"loss", "episode_return"} <= set(metrics)
    assert all(value.shape == (2,) for value in metrics.values())


# Numbers that all choices allow.
ALLOWED = {"temperature": 0.5, "risk_level": 0.5, "epsilon_final": 0.01}


def variants(config):
    """Configurations that between them make every choice that a script has."""
    hints = typing.get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config) if field.name not in DRIVER_FIELDS]
    yield config
    for name in names:
        if typing.get_origin(hints[name]) is typing.Literal:
            for value in typing.get_args(hints[name]):
                yield dataclasses.replace(config, **{name: value}, **{k: v for k, v in ALLOWED.items() if k in names})
    for name, value in (("priority_exponent", 0.5), ("target_rate", 0.1)):
        if name in names:
            yield dataclasses.replace(config, **{name: value})


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_flag_is_obeyed(name):
    """There is a choice under which `build` reads it; what the driver of a run reads is tested there."""
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    config = parse(module.Config, presets, ["--env", env, *small(module.Config)])
    read = set(DRIVER_FIELDS)
    for variant in variants(config):
        if not (name == "retrace_dqn" and variant.exploration == "epsilon_z"):  # whose probabilities are not known
            read |= build_and_tell(module.build, variant)[1]
    assert {field.name for field in dataclasses.fields(module.Config)} - read == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_flag_is_explained(name, capsys):
    module, presets = load(name)
    with pytest.raises(SystemExit) as stop:
        parse(module.Config, presets, ["--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(module.Config):
        flag = "--" + field.name.replace("_", "-")
        assert flag in text
        # Between a flag and its default there is a sentence.
        explained = text.split(flag, 1)[1].split("(default", 1)[0]
        assert len(explained.split()) >= 3, flag


def test_the_catalog_reads_every_experiment_s_choices_from_what_it_builds():
    rows = {row["experiment"]: row for row in catalog()}
    assert sorted(rows) == SCRIPTS
    assert all(re.search(r"(19|20)\d\d", row["paper"]) for row in rows.values())
    assert rows["rainbow"]["replay"] == "PrioritizedReplay(UniformReplay)"
    assert rows["rainbow"]["exploration"] == "noise"
    assert rows["i_iqn"]["targets"] == "WindowShift"
    assert rows["log_dqn"]["representation"] == "Decomposed(Mapped(Scalar, Logarithmic))"
    assert (rows["pqn"]["targets"], rows["pqn"]["replay"]) == ("none", "none")
    assert rows["minimax_dqn"]["operator"] == "Minimax"
    assert rows["redq"]["operator"] == "RandomSubset"
    assert rows["simba"]["agent"] == "Normalized of ActorCritic"


def test_attention_is_drawn_from_a_run_and_from_no_other(tmp_path):
    config = ["--env", "gymnax/Breakout-MinAtar", "--run-dir", str(tmp_path / "run"), "--num-evaluations", "1"]
    module, presets = load("action_q_transformer")
    flags = [*small(module.Config), "--num-seeds=1", "--total-steps=400", "--layers=1", "--features=8", "--heads=2"]
    run(module.build, parse(module.Config, presets, [*config, *flags]))
    picture = draw_attention(tmp_path / "run", None, frames=2, every=2)
    assert picture.stat().st_size > 5_000
    other, presets = load("dqn")
    plain = ["--env", "gymnax/Breakout-MinAtar", "--run-dir", str(tmp_path / "other"), *small(other.Config)]
    run(other.build, parse(other.Config, presets, [*plain, "--num-seeds=1", "--total-steps=400"]))
    with pytest.raises(InputError, match="action_q_transformer"):
        draw_attention(tmp_path / "other", None)


def test_a_risk_level_that_the_measure_does_not_allow_is_named_by_its_flag():
    module, presets = load("iqn")
    config = parse(module.Config, presets, ["--env", "gymnax/CartPole-v1", "--risk", "cvar", "--risk-level", "2"])
    with pytest.raises(InputError, match=r"risk_level.*cvar.*2\.0.*\(0, 1\]"):
        module.build(config)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("iqn", "num_fractions", "0"),
        ("bbf", "channels", "0"),
        ("sac", "num_critics", "-1"),
        ("r2d2", "recurrent_width", "0"),
        ("dqn", "hidden_widths", "0"),
        ("dqn", "collect_steps", "0"),
        ("bbf", "weight_decay", "nan"),
        ("reward_shifting", "shifts", "nan"),
        ("pqn", "max_gradient_norm", "0"),
        ("dqn", "adam_epsilon", "-1"),
        ("fqf", "fraction_rate", "-1"),
        ("bbf", "shift", "-1"),
        ("recurrent_pqn", "burn_in", "-1"),
    ],
)
def test_sizes_and_numbers_that_cannot_be_are_named_before_anything_starts(name, field, value):
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    with pytest.raises(InputError, match=rf"{field} is .*{value}"):
        module.build(parse(module.Config, presets, ["--env", env, f"--{field.replace('_', '-')}", value]))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_agent_checks_its_discount_its_step_size_and_its_bound_on_rewards(name):
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    fields = {field.name for field in dataclasses.fields(module.Config)}
    for field, value in (("discount", "1.5"), ("learning_rate", "-1.0"), ("reward_clip", "0.0")):
        if field in fields:
            with pytest.raises(InputError, match=rf"(?s){field} is .*{value.rstrip('0').rstrip('.')}"):
                module.build(parse(module.Config, presets, ["--env", env, f"--{field.replace('_', '-')}", value]))


def test_no_burn_in_and_no_shift_are_allowed():
    """Zero is out of the question only where nothing says otherwise."""
    for name, flag in (("recurrent_pqn", "--burn-in"), ("bbf", "--shift"), ("dqn", "--seed")):
        module, presets = load(name)
        parse(module.Config, presets, ["--env", "gymnax/Breakout-MinAtar", flag, "0"])
