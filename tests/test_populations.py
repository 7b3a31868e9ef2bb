"""Populations: what members can differ in, that each is as it would be alone, and what becomes of the diverged."""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_experiments import OTHERWISE, SCRIPTS, load, small

from jaxq import envs
from jaxq.agents import FullResets
from jaxq.configs import Member, grid
from jaxq.errors import DivergedError, InputError, InputWarning
from jaxq.runs import parse, run
from jaxq.runs.checkpoints import Checkpoints, learned_by
from jaxq.runs.directory import from_json, going_on, load_config, read_metrics, to_json, write_json
from jaxq.runs.ending import scored
from jaxq.runs.fields import fields_by_member
from jaxq.runs.plots import load_curves, merge
from jaxq.runs.population import assemble, member_keys, programs
from jaxq.runs.programs import compiled
from jaxq.runs.restore import load_experiment
from jaxq.runs.several import train
from jaxq.training.numbers import differences, numbers_of, with_numbers

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments" / "discrete"))
import dqn  # noqa: E402

SMALL = [
    *("--total-steps", "700", "--num-logs", "4", "--num-evaluations", "2", "--eval-episodes", "1", "--num-envs", "2"),
    *("--warmup-steps", "100", "--batch-size", "8", "--hidden-widths", "8", "--epsilon-steps", "300"),
    *("--replay-capacity", "1000", "--n-step", "2", "--target-period", "20"),
]


def config_of(*args, script=dqn):
    return parse(script.Config, script.PRESETS, [*SMALL, *args])


def config_for(name, env="gymnax/Breakout-MinAtar"):
    """A script's module, and a small configuration of it."""
    module, presets = load(name)
    env = OTHERWISE.get(name, env)
    return module, parse(module.Config, presets, ["--env", env, *small(module.Config), "--num-seeds=2"])


def after_a_chunk(build, config, poison=None):
    """The state and metrics of all members after two chunks, and the assembly; `poison` spoils the state before."""
    assembly = assemble(build, config)
    training = assembly.training
    plan = training.plan(config.total_steps, 3, 1)
    state = jax.jit(training.init)(member_keys(config), assembly.numbers)
    state = jax.jit(training.warm_up)(state)
    chunk = jax.jit(lambda s: training.train_chunk(s, plan.iterations))
    state, _ = chunk(state)
    state, metrics = chunk(poison(state) if poison else state)
    return state, metrics, assembly


def arrays(tree):
    return [np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
            for x in jax.tree.leaves(tree)]  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_two_builds_of_one_configuration_are_one_program_and_other_numbers_are_put_in(name):
    module, config = config_for(name)
    with envs.shared():
        one, other = module.build(config), module.build(config)
        assert differences(one, other) == []
        numbers = numbers_of(one)
        assert any("learning_rate" in path for path in numbers)
        changed = with_numbers(one, {path: value + 1.0 for path, value in numbers.items()})
        assert numbers_of(changed) == {path: value + 1.0 for path, value in numbers.items()}
        assert differences(one, changed) == []
        assert numbers_of(one) == numbers
        if hasattr(config, "batch_size"):
            wider = dataclasses.replace(config, batch_size=config.batch_size * 2)
            assert any("batch_size" in path for path in differences(one, module.build(wider)))


@pytest.mark.parametrize(
    ("name", "field", "among", "apart"),
    [
        ("i_dqn", "sync_period", "n_step", [(1, 5), (1, 5)]),
        ("i_dqn", "sync_period", "batch_size", [(8, 16), (8, 16)]),
        ("td3", "actor_period", None, [(2,), (4,)]),
    ],
)
def test_what_is_a_number_in_one_place_is_compiled_in_in_another(name, field, among, apart):
    """Also where the same number stands in both, or one object is held by both."""
    module, config = config_for(name)
    values = {8: (8, 16), 1: (1, 5), 2: (2, 4)}[apart[0][0]]
    config = dataclasses.replace(config, target_period=20) if name == "i_dqn" else config
    fields = {field: list(values)} | ({} if among is None else {among: list(values)})
    parts = programs(module.build, config.with_population(grid(fields, range(1))))
    found = [tuple(member.setting[field] for member in part.all_members) if among else (getattr(part, field),)
             for part in parts]  # fmt: skip
    assert found == apart
    if among:
        assert [getattr(part, among) for part in parts] == list(values)


def test_numbers_that_a_function_holds_are_compiled_in():
    def holding(number):
        return lambda: number

    def defaulting(number):
        return lambda x=number: x

    def asking(number):
        return lambda *, x=number: x

    makers = (holding, defaulting, asking, lambda x: functools.partial(max, x), lambda x: functools.partial(max, key=x))
    for make in makers:
        assert differences(make(1.0), make(1.0)) == []
        assert len(differences(make(1.0), make(2.0))) == 1


def test_objects_are_compared_by_what_they_hold_and_arrays_by_all_of_their_numbers():
    class Held:
        def __init__(self, number):
            self.number = number

    assert differences(Held(1.0), Held(1.0)) == []
    assert differences(Held(1.0), Held(2.0)) == ["number"]
    base = np.arange(6.0)
    others = {"number": base + (np.arange(6) == 2), "shape": base.reshape(2, 3), "kind": base.astype(np.float32)}
    assert differences({"x": base}, {"x": base.copy()}) == []
    for other in others.values():
        assert differences({"x": base}, {"x": other}) == ["x"]


@pytest.mark.parametrize(
    ("name", "numbers", "compiled_in"),
    [
        ("dqn", "learning_rate learning_rate_final discount epsilon_final epsilon_steps target_period target_rate "
         "temperature bonus_scale importance_exponent reward_shift", "batch_size num_envs n_step adam_epsilon "
         "huber_threshold priority_exponent updates warmup_steps eval_max_steps max_gradient_norm"),
        ("c51", "discount target_period", "v_min v_max num_atoms"),
        ("sac", "learning_rate discount target_rate initial_temperature target_entropy_per_dimension", "num_critics"),
        ("pqn", "trace epsilon_final learning_rate", "rollout_steps minibatches epochs"),
    ],
)  # fmt: skip
def test_fields_that_end_as_numbers_are_found(name, numbers, compiled_in):
    module, config = config_for(name)
    found = fields_by_member(module.build, config)
    assert set(numbers.split()) <= set(found)
    assert not set(compiled_in.split()) & set(found)


def programs_are_one(name, env):
    """Lower the program of a chunk with all of a script's numbers changed: it must be the same."""
    module, config = config_for(name, env)
    training = assemble(module.build, config).training
    changed = with_numbers(training, {path: 0.9 * value for path, value in numbers_of(training).items()})
    shape = jax.eval_shape(training.init, member_keys(config))
    one, other = (jax.jit(lambda s, t=t: t.train_chunk(s, 2)).lower(shape).as_text() for t in (training, changed))
    assert one == other


@pytest.mark.parametrize("name", ["rainbow", "sac", "pqn", "i_dqn", "ace"])
def test_numbers_are_read_from_the_state_alone(name):
    programs_are_one(name, "gymnax/CartPole-v1")


def test_help_is_there_where_nothing_can_be_built_by_default():
    """As of an agent for images, whose default environment has none."""
    module, presets = load("bbf")
    default = module.Config()
    with pytest.raises(InputError, match="image"):
        module.build(default)
    assert fields_by_member(module.build, default) == []
    images = parse(module.Config, presets, ["--env", "gymnax/Breakout-MinAtar"])
    assert "learning_rate" in fields_by_member(module.build, images)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_numbers_of_every_script_are_read_from_the_state_alone(name):
    programs_are_one(name, "gymnax/Breakout-MinAtar")


def test_a_member_whose_networks_are_reset_begins_anew_with_its_own_numbers():
    module, config = config_for("bro")
    agent = dataclasses.replace(assemble(module.build, config).training.agent, resets=FullResets((0,)))
    numbers = numbers_of(agent)
    own = {path: 0.5 * value for path, value in numbers.items() if "initial" in path and "rate" not in path}
    assert len(own) >= 3, "temperature, optimism and its price"
    state = with_numbers(agent, {**numbers, **own}).init(jax.random.key(0))
    anew = agent.resets.step(agent, state, None, jax.random.key(1))
    for ours, theirs in zip(jax.tree.leaves((state.hyper, state.numbers, state.entropy, state.optimism, state.price)),
                            jax.tree.leaves((anew.hyper, anew.numbers, anew.entropy, anew.optimism, anew.price)),
                            strict=True):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


SETTINGS = [
    {"learning_rate": 3e-3, "discount": 0.9, "temperature": 0.03},
    {"learning_rate": 1e-3, "epsilon_final": 0.5, "epsilon_steps": 100, "importance_exponent": 0.9},
    {"target_period": 7, "temperature": 0.2, "reward_shift": -0.5, "bonus_scale": 0.5},
]


def test_a_member_equals_the_run_alone():
    """Bit for bit in what it saw and did; parameters to 1e-5, as XLA may order sums of one program otherwise."""
    config = config_of("--operator", "munchausen", "--priority-exponent", "0.5")
    config = config.with_population(tuple(Member(3 + i % 2, setting) for i, setting in enumerate(SETTINGS)))
    state, metrics, _ = after_a_chunk(dqn.build, config)
    for i in range(3):
        alone, measured, _ = after_a_chunk(dqn.build, config.alone(i))
        for ours, theirs in zip(arrays(alone.agent), arrays(state.agent), strict=True):
            np.testing.assert_allclose(ours[0], theirs[i], rtol=1e-5, atol=1e-6)
        for field in ("observation", "action", "reward", "flags"):
            ours, theirs = (getattr(s.replay.ring, field) for s in (alone, state))
            np.testing.assert_array_equal(ours[0], theirs[i], err_msg=field)
        for ours, theirs in zip(arrays(alone.env), arrays(state.env), strict=True):
            np.testing.assert_array_equal(ours, theirs[2 * i : 2 * i + 2])
        for name, value in measured.items():
            np.testing.assert_allclose(value[0], metrics[name][i], rtol=1e-4)
    rates = [float(rate) for rate in state.agent.hyper.learning_rate.initial]
    np.testing.assert_allclose(rates, [3e-3, 1e-3, 1e-3])
    np.testing.assert_allclose(state.replay.importance.initial, [0.4, 0.9, 0.4])


def test_a_member_that_diverges_is_frozen_and_disturbs_no_other_bit():
    config = config_of("--num-seeds", "3")

    def poison(state):
        return state.replace(agent=jax.tree.map(
            lambda x: x.at[1].set(jnp.nan) if jnp.issubdtype(x.dtype, jnp.floating) else x, state.agent))  # fmt: skip

    well, metrics, _ = after_a_chunk(dqn.build, config)
    ill, measured, _ = after_a_chunk(dqn.build, config, poison)
    assert well.frozen.tolist() == [False] * 3
    assert ill.frozen.tolist() == [False, True, False]
    for field in ("agent", "memory", "env", "timestep", "key"):
        for ours, theirs in zip(arrays(getattr(well, field)), arrays(getattr(ill, field)), strict=True):
            each = ours.shape[0] // 3
            for i in (0, 2):
                np.testing.assert_array_equal(ours[i * each : (i + 1) * each], theirs[i * each : (i + 1) * each])
    for name, value in metrics.items():
        np.testing.assert_array_equal(np.asarray(value)[[0, 2]], np.asarray(measured[name])[[0, 2]])
    assert np.isnan(measured["loss"][1])


def test_what_is_frozen_is_the_last_good_agent_and_stays():
    config = config_of("--num-seeds", "2", "--learning-rate", "1e-3")
    assembly = assemble(dqn.build, config)
    training = assembly.training
    state = jax.jit(training.init)(member_keys(config), assembly.numbers)
    state = jax.jit(training.warm_up)(state)
    chunk = jax.jit(lambda s: training.train_chunk(s, 10))
    rate = state.agent.hyper.learning_rate
    spoiled = state.replace(agent=state.agent.replace(hyper=state.agent.hyper.replace(
        learning_rate=jax.tree.map(lambda x: x.at[0].set(1e30), rate))))  # fmt: skip
    after, _ = chunk(spoiled)
    assert after.frozen.tolist() == [True, False]
    again, _ = chunk(after)
    for tree in (after, again):
        for ours, theirs in zip(arrays(spoiled.agent), arrays(tree.agent), strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
    assert not np.array_equal(after.agent.params["params"]["head"]["Dense_0"]["kernel"][1],
                              again.agent.params["params"]["head"]["Dense_0"]["kernel"][1])  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A run of three settings with two seeds each, one of which diverges."""
    run_dir = tmp_path_factory.mktemp("swept") / "run"
    config = config_of("--learning-rate", "1e-3", "1e30", "2e-3", "--num-seeds", "2", "--run-dir", str(run_dir))
    with pytest.warns(InputWarning, match="2 of 6 members diverged and were frozen: seed 0, learning_rate 1e"):
        summary = train(dqn.build, config)
    return run_dir, config, summary


def test_a_run_s_results_are_by_member(swept):
    run_dir, config, summary = swept
    assert summary == json.loads((run_dir / "summary.json").read_text())
    rows = summary["members"]
    assert [(row["seed"], row["setting"]["learning_rate"]) for row in rows] == [
        (0, 1e-3), (1, 1e-3), (0, 1e30), (1, 1e30), (0, 2e-3), (1, 2e-3)]  # fmt: skip
    lines = read_metrics(run_dir)
    first = lines[0]["step"]
    assert [row["diverged"] for row in rows] == [None, None, first, first, None, None]
    assert [row["return"] is None for row in rows] == [False, False, True, True, False, False]
    for line in lines:
        assert line["setting/learning_rate"] == [1e-3, 1e-3, 1e30, 1e30, 2e-3, 2e-3]
        assert [value is None for value in line["loss"]] == [False, False, True, True, False, False]
    assert from_json(dqn.Config, {k: v for k, v in load_config(run_dir).items() if k != "experiment"}) == config


def test_the_best_settings_are_told_in_the_end():
    """A mean over all of them would say nothing of any; those that have diverged do not count."""
    several = grid({"learning_rate": [0.1, 0.2, 0.3], "discount": [0.9, 0.8, 0.7, 0.6]}, range(2))
    returns = {i: float(i % 7) for i in range(24) if i not in (5, 13)}
    lines = [line.strip() for line in scored(several, returns).splitlines()]
    assert lines[0] == "5 (mean return of the last evaluation), learning_rate 0.2, discount 0.7"
    assert lines[1] == "4.5 ± 0.5 (mean return of the last evaluation over 2 seeds), learning_rate 0.3, discount 0.8"
    assert len(lines) == 11
    assert lines[-1] == "and 2 more, in summary.json"
    assert scored(several[:2], {0: 1.0, 1: 2.0}) == "1.5 ± 0.5 (mean return of the last evaluation over 2 seeds)"
    assert scored(several[:1], {0: 1.0}) == "1 (mean return of the last evaluation)"


def test_curves_are_of_settings(swept):
    with pytest.warns(InputWarning, match="2 of 2 members of one setting have no last return"):
        curves = load_curves(swept[0])
    assert [(curve.setting["learning_rate"], curve.seeds) for curve in curves] == [(1e-3, (0, 1)), (2e-3, (0, 1))]
    assert [curve.label for curve in merge(curves)] == ["dqn, learning_rate 0.001", "dqn, learning_rate 0.002"]
    lines = [line for line in read_metrics(swept[0]) if line["eval_return"][0] is not None]
    np.testing.assert_array_equal(curves[1].returns, [line["eval_return"][4:] for line in lines])


def test_a_member_is_loaded_with_its_own_numbers(swept):
    import jaxq
    from jaxq.runs.restore import restore_member

    _, _, state = restore_member(swept[0], 4)
    assert float(state.hyper.learning_rate.initial) == pytest.approx(2e-3)
    assert np.isfinite(arrays(restore_member(swept[0], 2)[2].params)[0]).all(), "the last good agent"
    assert jaxq.load(swept[0], member=5)(np.zeros(4, np.float32)).shape == ()
    with pytest.raises(InputError, match=r"member is 6, but must be in 0 .. 5"):
        jaxq.load(swept[0], member=6)


def test_a_population_is_gone_on_with_and_only_as_it_was(swept, tmp_path):
    import shutil

    shutil.copytree(swept[0], tmp_path / "run")
    args = ["--run-dir", str(tmp_path / "run"), "--resume"]
    rates = ["--learning-rate", "1e-3", "1e30", "2e-3"]
    with pytest.raises(InputError, match="population is '4 members', but must be the 6 members there"):
        parse(dqn.Config, dqn.PRESETS, [*args, *rates[:3], "--num-seeds", "2"])
    with pytest.warns(InputWarning, match="2 of 6 members diverged"):
        summary = train(dqn.build, parse(dqn.Config, dqn.PRESETS, [*args, *rates, "--total-steps", "900"]))
    assert [row["diverged"] for row in summary["members"]] == [row["diverged"] for row in swept[2]["members"]]
    before, after = read_metrics(swept[0]), read_metrics(tmp_path / "run")
    assert [line["loss"] for line in after[: len(before)]] == [line["loss"] for line in before]
    assert len(after) > len(before)


def test_a_run_of_which_all_diverge_ends_as_one_alone_does(tmp_path):
    config = config_of("--num-seeds", "2", "--learning-rate", "1e30", "--run-dir", str(tmp_path / "run"))
    with pytest.raises(DivergedError, match=r"at step .*has diverged; before a first checkpoint$") as told:
        run(dqn.build, config)
    assert len(told.value.steps) == 2


def test_fields_that_are_compiled_in_make_one_program_each(tmp_path):
    config = config_of("--batch-size", "8", "16", "--learning-rate", "1e-3", "2e-3", "--run-dir", str(tmp_path / "run"))
    parts = programs(dqn.build, config)
    rates = [{"learning_rate": 1e-3}, {"learning_rate": 2e-3}]
    assert [(part.batch_size, [m.setting for m in part.population]) for part in parts] == [(8, rates), (16, rates)]
    with pytest.raises(InputError, match=r"batch_size is {'batch_size': 16}, but must be the same for all members"):
        run(dqn.build, config)
    assert not (tmp_path / "run").exists()
    ran = []

    def instead(build, part, watch):
        ran.append((part.run_dir.name, part.resume))
        part.run_dir.mkdir(exist_ok=True)
        (part.run_dir / "config.json").write_text(json.dumps({"experiment": "dqn", **to_json(part)}))
        (part.run_dir / "experiment.py").touch()
        if len(ran) == 2:
            raise SystemExit(0)
        rows = [{"seed": m.seed, "setting": dict(m.setting)} for m in part.population]
        (part.run_dir / "summary.json").write_text(json.dumps({"members": rows}))
        return {"members": rows}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxq.runs.several.run", instead)
        with pytest.raises(SystemExit):
            train(dqn.build, config)
        again = parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(tmp_path / "run"), "--resume"])
        summary = train(dqn.build, again)
        assert ran == [("batch_size-8", False), ("batch_size-16", False), ("batch_size-16", True)]
        # All of them are made longer.
        more = ["--total-steps", str(config.total_steps + 1000)]
        train(dqn.build, parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(tmp_path / "run"), "--resume", *more]))
        train(dqn.build, parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(tmp_path / "run"), "--resume"]))
        assert ran[3:] == [("batch_size-8", True), ("batch_size-16", True)]
    with pytest.raises(InputError, match=r"one of the runs in it \(batch_size-16, batch_size-8\)"):
        load_experiment(tmp_path / "run")
    assert [(row["setting"], row["run_dir"]) for row in summary["members"]] == [
        ({"batch_size": batch, **rate}, f"batch_size-{batch}") for batch in (8, 16) for rate in rates
    ]


def test_who_begins_with_what_another_has_learned_has_its_own_numbers(tmp_path):
    """Wherever in the state they are: MaxInfoRL has some beside those of its actor-critic."""
    module, config = config_for("maxinforl")
    assembly = assemble(module.build, config)
    shape = jax.eval_shape(assembly.training.init, member_keys(config), assembly.numbers)

    def filled(value):
        def array(leaf):
            typed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            return jax.random.split(jax.random.key(value), leaf.shape) if typed else jnp.full_like(leaf, value)

        return jax.tree.map(array, shape)

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(filled(1), {})
    checkpoints.close()
    write_json(tmp_path / "config.json", {"population": [], "num_seeds": config.num_members})
    learned = learned_by(tmp_path, filled(2).agent)
    assert {float(leaf.max()) for leaf in jax.tree.leaves((learned.hyper, learned.curiosity.numbers))} == {2}
    assert {float(leaf.max()) for leaf in jax.tree.leaves((learned.actor, learned.curiosity.model))} == {1}


def test_a_program_whose_members_all_diverge_disturbs_no_other(tmp_path, monkeypatch):
    def instead(build, part, watch):
        part.run_dir.mkdir(exist_ok=True)
        if part.batch_size in lost:
            raise DivergedError("loss is [nan, nan] at step 300: learning has diverged", [200, 300])
        return {"members": [{"seed": m.seed, "setting": {}, "return": 1.0, "diverged": None} for m in part.all_members]}

    monkeypatch.setattr("jaxq.runs.several.run", instead)
    config = config_of("--batch-size", "8", "16", "--num-seeds", "2", "--run-dir", str(tmp_path / "run"))
    lost = (8,)
    with pytest.warns(InputWarning, match="program batch_size-8: loss is .* at step 300"):
        summary = train(dqn.build, config)
    assert summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [(row["setting"], row["seed"], row["return"], row["diverged"]) for row in summary["members"]] == [
        ({"batch_size": 8}, 0, None, 200), ({"batch_size": 8}, 1, None, 300),
        ({"batch_size": 16}, 0, 1.0, None), ({"batch_size": 16}, 1, 1.0, None)]  # fmt: skip
    lost = (8, 16)
    with pytest.warns(InputWarning), pytest.raises(DivergedError, match="at step 300"):
        train(dqn.build, dataclasses.replace(config, run_dir=tmp_path / "other"))
    assert not (tmp_path / "other" / "summary.json").exists()


def test_several_values_on_the_command_line_are_a_grid_with_every_seed():
    config = config_of(
        "--learning-rate", "1e-4", "3e-4", "--target-rate", "None", "0.1", "--num-seeds", "2", "--seed=4"
    )
    assert config.population == grid({"learning_rate": [1e-4, 3e-4], "target_rate": [None, 0.1]}, range(4, 6))
    assert len(config.population) == config.num_members == 8
    assert config.alone(7) == config_of("--learning-rate", "3e-4", "--target-rate", "0.1", "--seed", "5")
    assert config_of("--hidden-widths", "4", "5").hidden_widths == (4, 5)
    assert config_of("--bonus-floor", "-1", "-2").population[1].setting == {"bonus_floor": -2.0}


def test_a_file_lists_members(tmp_path):
    path = tmp_path / "members.json"
    path.write_text('[{"discount": 0.9, "seed": 7, "batch_size": 4}, {"epsilon_steps": 100, "batch_size": 4}]')
    config = config_of("--population", str(path), "--num-seeds", "2")
    assert config.batch_size == 4
    assert config.population == (
        Member(7, {"discount": 0.9}), Member(0, {"epsilon_steps": 100}), Member(1, {"epsilon_steps": 100}))  # fmt: skip


def test_members_of_several_widths_go_on(tmp_path):
    """JSON has no tuples: a file's lists, and those of config.json, are the same members' widths."""
    rows, path = tmp_path / "members.json", tmp_path / "run"
    rows.write_text('[{"hidden_widths": [8, 4]}, {"hidden_widths": [16]}]')
    config = config_of("--population", str(rows), "--run-dir", str(path))
    assert [config.alone(i).hidden_widths for i in range(2)] == [(8, 4), (16,)]
    path.mkdir()
    write_json(path / "config.json", {"experiment": "dqn", **to_json(config)})
    assert going_on(config, "dqn") == dataclasses.replace(config, resume=True)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("{}", "must be a JSON list"),
        ("[", "must be a JSON list"),
        ('[{"learning_rat": 1}]', "did you mean learning_rate?"),
        ('[{"learning_rate": "fast"}]', "learning_rate is 'fast', but must be a number"),
        ('[{"target_period": 1.5}]', "target_period is 1.5, but must be a whole number"),
        ('[{"seed": -1}]', "seed of member 0 is -1"),
        ('[{"num_seeds": 2}]', "member 0 is 'num_seeds'"),
        ('[{"operator": "doubly"}]', "operator is 'doubly'"),
        ('[{"epsilon_steps": true}]', "epsilon_steps is True, but must be a whole number or a number"),
    ],
)
def test_members_that_cannot_be_are_named(rows, said, tmp_path):
    path = tmp_path / "members.json"
    path.write_text(rows)
    with pytest.raises(InputError) as error:
        config_of("--population", str(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_share_in_a_file_stays_a_share_and_steps_stay_steps(tmp_path):
    path = tmp_path / "members.json"
    path.write_text('[{"epsilon_steps": 1.0}, {"epsilon_steps": 300}, {"n_step": 3.0}]')
    found = [member.setting for member in config_of("--population", str(path)).population]
    assert found == [{"epsilon_steps": 1.0}, {"epsilon_steps": 300}, {"n_step": 3}]
    assert [type(next(iter(setting.values()))) for setting in found] == [float, int, int]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--learning-rate", "1e-3", "slow"], "learning_rate is 'slow', but must be a number"),
        (["--learning-rate", "1e-3", "1e-3"], "values that differ"),
        (["--population", "/nonexistent.json"], "population is '/nonexistent.json'"),
        (["--population", "x.json", "--discount", "0.9", "0.8"], "left out beside several values of discount"),
        (["--seed", "1", "2"], "'2' is one value too many after --seed; several seeds are --num-seeds"),
    ],
)
def test_command_lines_that_cannot_be_are_named(args, said):
    with pytest.raises(InputError) as error:
        config_of(*args)
    assert said in str(error.value)


def test_numbers_that_members_cannot_have_are_named_before_anything_starts(tmp_path):
    from jaxq.runs.command_line import obeying

    config = config_of("--discount", "0.9", "1.5", "--run-dir", str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"discount is 1\.5"):
        train(dqn.build, config)
    config = config_of("--temperature", "0.1", "0.2", "--run-dir", str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"temperature is 0\.1, but must be left out"):
        train(obeying(dqn.build, config, dqn.PRESETS), config)
    assert not list(tmp_path.iterdir())


def test_an_agent_that_reads_a_number_from_itself_is_refused():
    """All members would have the first one's."""
    module, config = config_for("dqn")
    config = config.with_population(grid({"discount": [0.9, 0.99]}, range(1)))

    def build(config):
        training = module.build(config)

        class Careless(type(training.agent)):
            def outcome(self, hyper, batch):
                return super().outcome(hyper.replace(discount=self.hyper.discount), batch)

        fields = {field.name: getattr(training.agent, field.name) for field in dataclasses.fields(training.agent)}
        return dataclasses.replace(training, agent=CARELESS.setdefault("kind", Careless)(**fields))

    assembly = assemble(build, config)
    shape = jax.eval_shape(assembly.training.init, member_keys(config))
    with pytest.raises(InputError, match=r"members differ in agent\.hyper\.discount, of which the agent reads some"):
        compiled(assembly, 2, shape)


CARELESS: dict = {}
