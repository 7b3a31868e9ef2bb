"""Population-based training and halving: what they decide, and what becomes of the state."""

import dataclasses
import json
import sys
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxq.configs import Member
from jaxq.errors import InputError
from jaxq.runs import parse
from jaxq.runs.directory import read_metrics
from jaxq.runs.plots import load_curves
from jaxq.runs.population import Renumbering, assemble, member_keys
from jaxq.runs.several import train
from jaxq.training.controllers import NEW, Halving, PopulationBased
from jaxq.training.turns import leaves_of_numbers, renumbered, turned

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments" / "discrete"))
import bootstrapped_dqn  # noqa: E402
import dqn  # noqa: E402

SMALL = [
    *("--total-steps", "700", "--num-logs", "6", "--num-evaluations", "6", "--eval-episodes", "1", "--num-envs", "2"),
    *("--warmup-steps", "100", "--batch-size", "8", "--hidden-widths", "8", "--epsilon-steps", "300"),
    *("--replay-capacity", "1000", "--n-step", "2", "--target-period", "20", "--priority-exponent", "0.5"),
    *("--learning-rate-final", "None", "--learning-rate", "1e-3", "2e-3", "--num-seeds", "2"),
]


def rng(seed=0):
    return np.random.default_rng(seed)


def anything(setting):
    return True


def test_the_worst_are_replaced_by_perturbed_copies_of_the_best():
    settings = [{"rate": 10.0**-i, "period": 100 * (i + 1)} for i in range(8)]
    scores = np.array([3.0, 8.0, 1.0, 7.0, 2.0, 5.0, -np.inf, 4.0])
    turn, _ = PopulationBased(0.25, 1.2).turn(settings, scores, {}, anything, rng())
    assert [lane for lane in range(8) if turn.source[lane] != lane] == [2, 6]
    for lane in range(8):
        source = turn.source[lane]
        if lane in (2, 6):
            assert source in (1, 3)
            assert turn.settings[lane]["rate"] / settings[source]["rate"] in (
                pytest.approx(1.2),
                pytest.approx(1 / 1.2),
            )
            assert turn.settings[lane]["period"] in (round(settings[source]["period"] * f) for f in (1.2, 1 / 1.2))
            assert isinstance(turn.settings[lane]["period"], int)
        else:
            assert turn.settings[lane] == settings[lane]


def test_shares_and_periods_that_are_left_unsaid():
    """The paper's truncation; half of the members at a rung; and the same from the command line."""
    assert (PopulationBased().fraction, PopulationBased().factor, Halving().fraction) == (0.2, 1.2, 0.5)
    assert PopulationBased().period == Halving().period == 1
    assert config_of("--controller", "pbt").make_controller() == PopulationBased()
    assert config_of("--controller", "halving").make_controller() == Halving()
    flags = ["--turn-fraction", "0.4", "--turn-evaluations", "3"]
    assert config_of("--controller", "halving", *flags).make_controller() == Halving(0.4, 3)
    assert config_of("--controller", "pbt", *flags).make_controller() == PopulationBased(0.4, 1.2, 3)


@pytest.mark.parametrize(("fraction", "members", "count"), [(0.1, 4, 1), (0.5, 3, 1), (0.3, 5, 2), (0.5, 2, 1)])
def test_a_share_is_at_least_one_and_nobody_is_both_among_the_best_and_the_worst(fraction, members, count):
    settings = [{"rate": 1.0 + i} for i in range(members)]
    turn, _ = PopulationBased(fraction).turn(settings, np.arange(float(members)), {}, anything, rng())
    assert [turn.source[lane] != lane for lane in range(members)] == [True] * count + [False] * (members - count)
    assert set(turn.source[:count]) <= set(range(members - count, members))


def test_both_ways_and_every_one_of_the_best_come_up():
    settings = [{"rate": 1.0 + i} for i in range(10)]
    found = set()
    for seed in range(60):
        turn, _ = PopulationBased(0.2).turn(settings, np.arange(10.0), {}, anything, rng(seed))
        assert set(np.flatnonzero(np.array(turn.source) != np.arange(10))) == {0, 1}
        found |= {
            (turn.source[i], round(turn.settings[i]["rate"] / settings[turn.source[i]]["rate"], 3)) for i in (0, 1)
        }
    assert found == {(source, factor) for source in (8, 9) for factor in (1.2, 0.833)}


@pytest.mark.parametrize("value", [1, 2, 3, 8, 100])
def test_whole_numbers_become_others(value):
    """Also those of which a fifth more is nearest to themselves."""
    settings = [{"n_step": value}] * 2
    found = set()
    for seed in range(20):
        turn, _ = PopulationBased(0.5).turn(settings, np.array([0.0, 1.0]), {}, anything, rng(seed))
        found.add(turn.settings[0]["n_step"])
    assert found == {min(round(value / 1.2), value - 1), max(round(value * 1.2), value + 1)}
    assert all(type(one) is int for one in found)


def test_numbers_that_are_not_allowed_stay_and_nobody_copies_who_has_no_score():
    settings = [{"discount": 0.9, "rate": 1.0}, {"discount": 0.99, "rate": 1.0}]
    for seed in range(10):
        turn, _ = PopulationBased(0.5, 1.2).turn(
            settings, np.array([0.0, 1.0]), {}, lambda s: s["discount"] <= 1, rng(seed))  # fmt: skip
        assert turn.source == [1, 1]
        assert turn.settings[0]["discount"] in (0.99, pytest.approx(0.99 / 1.2))
    turn, _ = PopulationBased(0.5).turn(settings, np.full(2, -np.inf), {}, anything, rng())
    assert turn.source == [0, 1]


@pytest.mark.parametrize(
    ("fraction", "kept", "rungs"),
    [(0.5, Fraction(1, 2), (1, 2, 4, 8, 16)), (0.8, Fraction(1, 5), (1, 5, 25)), (0.9, Fraction(1, 10), (1, 10))],
)
def test_halving_stops_whoever_is_not_among_the_best_at_its_rung(fraction, kept, rungs):
    """By brute force: at 1, 2, 4, 8, ... turns every member is compared with all that have ever been as old as it."""
    settings = [{"rate": rate, "steps": 100} for rate in (1e-4, 1e-3, 1e-2, 1e-1)]
    halving, memory, draws = Halving(fraction), {}, rng(1)
    seen, ages = {}, [1] * 4
    for _ in range(60):
        scores = draws.normal(size=4)
        scores[draws.integers(4)] = -np.inf
        for lane in range(4):
            seen.setdefault(ages[lane], []).append(max(scores[lane], -1e300))
        turn, memory = halving.turn(settings, scores, memory, anything, draws)
        memory = json.loads(json.dumps(memory))
        for lane in range(4):
            better = sum(score > scores[lane] for score in seen[ages[lane]])
            among_the_best = ages[lane] not in rungs or better < max(int(kept * len(seen[ages[lane]])), 1)
            stays = np.isfinite(scores[lane]) and among_the_best
            assert turn.source[lane] == (lane if stays else NEW)
            assert (turn.settings[lane] == settings[lane]) == stays
            assert 1e-4 <= turn.settings[lane]["rate"] <= 1e-1
            assert turn.settings[lane]["steps"] == 100
            ages[lane] = ages[lane] + 1 if stays else 1
        settings = turn.settings
    assert max(seen) >= rungs[1]
    assert len(seen[1]) > 20


@pytest.mark.parametrize(
    ("fraction", "rungs"),
    [(0.5, [1, 2, 4, 8]), (0.75, [1, 4, 16]), (0.25, [1, 2, 3, 4, 6, 8]), (0.9, [1, 10]), (1e-12, [1, 2, 3])],
)
def test_rungs_are_as_many_times_as_far_as_members_are_fewer(fraction, rungs):
    """A member alone is the best at every rung, and adds a score wherever it is compared."""
    halving, memory, found = Halving(fraction), {}, []
    for turn in range(1, rungs[-1] + 1):
        before = len(memory.get("rungs", []))
        _, memory = halving.turn([{"rate": 1.0}], np.array([0.0]), memory, anything, rng())
        found += [turn] if len(memory["rungs"]) > before else []
    assert found == rungs


def test_new_members_are_drawn_evenly_on_a_logarithmic_scale():
    halving = Halving(0.5)
    settings = [{"rate": 1e-4}, {"rate": 1e-2}]
    memory = {"space": {"rate": (1e-4, 1e-2)}, "rungs": [[9.0, 9.0, 9.0]], "ages": [0, 0]}
    drawn = [
        halving.turn(settings, np.zeros(2), memory, anything, rng(seed))[0].settings[0]["rate"] for seed in range(200)
    ]
    assert np.mean(np.array(drawn) < 1e-3) == pytest.approx(0.5, abs=0.12)


def test_new_members_are_drawn_evenly_where_a_number_may_be_nothing():
    settings, space = [{"shift": 0.0}, {"shift": 4.0}], {"shift": (0.0, 4.0)}
    memory = {"space": space, "rungs": [[9.0, 9.0, 9.0]], "ages": [0, 0]}
    drawn = [Halving(0.5).turn(settings, np.zeros(2), memory, anything, rng(seed))[0].settings for seed in range(100)]
    drawn = np.array([[setting["shift"] for setting in both] for both in drawn])
    np.testing.assert_allclose(np.histogram(drawn, 4, (0.0, 4.0))[0] / 200, 0.25, atol=0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PopulationBased(0.6), "turn_fraction is 0.6"),
        (lambda: PopulationBased(factor=1.0), "perturbation is 1.0"),
        (lambda: Halving(1.0), "turn_fraction is 1.0"),
        (lambda: Halving(period=0), "turn_evaluations is 0"),
    ],
)
def test_controllers_that_cannot_be_are_named(make, said):
    with pytest.raises(InputError, match=said):
        make()


def config_of(*args):
    return parse(dqn.Config, dqn.PRESETS, [*SMALL, *args])


def lane_of(tree, lane):
    return [np.asarray(leaf)[lane] for leaf in jax.tree.leaves(tree)]


def test_a_turn_copies_what_is_learned_gives_numbers_and_begins_anew():
    config = config_of()
    assembly = assemble(dqn.build, config)
    training, keys = assembly.training, member_keys(config)
    state = jax.jit(training.warm_up)(jax.jit(training.init)(keys, assembly.numbers))
    state, _ = jax.jit(lambda s: training.train_chunk(s, 20))(state)
    state = state.replace(frozen=np.array([True, False, True, True]))
    places, _ = leaves_of_numbers(training, keys, assembly.numbers)
    assert {"agent.hyper.learning_rate.initial", "replay.importance.initial"} <= set(jax.tree.leaves(places))
    numbers = {path: values.copy() for path, values in assembly.numbers.items()}
    numbers["agent.hyper.learning_rate.initial"] = np.array([5.0, 6.0, 7.0, 8.0], np.float32)
    source = np.array([1, 1, NEW, 3], np.int32)
    after = jax.jit(lambda *args: turned(training, places, *args))(state, source, numbers)
    assert after.frozen.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(after.agent.hyper.learning_rate.initial, [5.0, 6.0, 7.0, 8.0])
    bare = state.agent.replace(hyper=())
    now = after.agent.replace(hyper=())
    for ours, theirs in zip(lane_of(now, 0), lane_of(bare, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for lane in (1, 3):
        for ours, theirs in zip(lane_of(now, lane), lane_of(bare, lane), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert after.agent.updates.tolist() == [20, 20, 0, 20]
    assert after.memory.tolist() == [state.memory[1], state.memory[1], 0, state.memory[3]]
    np.testing.assert_array_equal(after.agent.params["params"]["head"]["Dense_0"]["kernel"][2],
                                  after.agent.target_params["params"]["head"]["Dense_0"]["kernel"][2])  # fmt: skip
    ring, old = after.replay.ring, state.replay.ring
    for lane, theirs in enumerate((1, 1, 2, 3)):
        np.testing.assert_array_equal(ring.observation[lane], old.observation[theirs])
        leaves = state.replay.tree.levels[0][theirs]
        leaves = np.where(leaves > 0, 1.0, 0.0) if lane == 2 else leaves  # a new member knows of no priorities
        np.testing.assert_array_equal(after.replay.tree.levels[0][lane], leaves)
        np.testing.assert_allclose(after.replay.tree.levels[-1][lane].sum(), leaves.sum(), rtol=1e-5)
    _, second_s, _, fourth_s = state.replay.largest.tolist()
    assert after.replay.largest.tolist() == [second_s, second_s, 1.0, fourth_s]
    assert after.replay.batches.tolist() == [20, 20, 0, 20]
    # What was copied ends where its own environments go on; all others are as they were.
    second = jax.tree.map(lambda leaf: leaf[1] if leaf.ndim else leaf, old)
    sealed = training.replay.ring.seal(second)
    np.testing.assert_array_equal(ring.flags[0], sealed.flags)
    np.testing.assert_array_equal(ring.flags[1:], old.flags[1:])
    for name in ("env", "timestep", "statistics"):
        for ours, theirs in zip(
            jax.tree.leaves(getattr(after, name)), jax.tree.leaves(getattr(state, name)), strict=True
        ):
            if not jax.numpy.issubdtype(ours.dtype, jax.dtypes.prng_key):
                np.testing.assert_array_equal(ours, theirs)


def test_what_acting_carries_for_an_environment_stays_with_it_in_a_turn():
    """Of ε_z the actions that are held; how far ε has fallen goes with who is copied."""
    assembly = assemble(dqn.build, config_of("--exploration", "epsilon_z"))
    training, numbers = assembly.training, assembly.numbers
    state = jax.jit(training.init)(member_keys(config_of()), numbers)
    each = np.arange(8, dtype=np.int32).reshape(4, 2)
    memory = state.memory.replace(steps=np.arange(40, 44, dtype=np.int32), action=each % 2, remaining=each)
    places = jax.tree.map(lambda leaf: "", (state.agent, state.replay))
    turn = jax.jit(lambda *args: turned(training, places, *args))
    after = turn(state.replace(memory=memory), np.array([1, 1, NEW, 2], np.int32), numbers).memory
    assert after.steps.tolist() == [41, 41, 0, 42]
    assert after.remaining.tolist() == [[0, 1], [2, 3], [0, 0], [6, 7]]
    assert after.action.tolist() == [[0, 1], [0, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize("seeds", [1, 2])
def test_every_number_of_every_kind_of_agent_is_found_in_its_state(seeds):
    from test_populations import config_for

    for name in ("bbf", "i_dqn", "sac", "maxinforl", "mrq", "ppo", "avg", "revalued", "bootstrapped_dqn"):
        module, config = config_for(name)
        config = dataclasses.replace(config, num_seeds=seeds)
        assembly = assemble(module.build, config)
        whole = getattr(assembly.training, "whole", assembly.training)
        places, hidden = leaves_of_numbers(whole, member_keys(config), assembly.numbers)
        # An ensemble's members add shifts of their own to it when they begin.
        assert hidden == ({"agent.base.hyper.reward_shift"} if name == "bootstrapped_dqn" else set()), name
        found = set(jax.tree.leaves(places))
        assert any("learning_rate" in path for path in found)
        assert any("discount" in path for path in found)


@pytest.mark.parametrize("seeds", [1, 2])
def test_numbers_are_changed_wherever_they_stand(seeds):
    """Also in the state of a single member, and once for each network of an ensemble."""
    flags = ["--env", "gymnax/CartPole-v1", "--members", "3", "--num-seeds", str(seeds), "--replay-capacity", "1000"]
    config = parse(bootstrapped_dqn.Config, bootstrapped_dqn.PRESETS, flags)
    assembly = assemble(bootstrapped_dqn.build, config)
    keys, path = member_keys(config), "agent.base.hyper.learning_rate.steps"
    state = jax.jit(assembly.training.init)(keys, assembly.numbers)
    places, _ = leaves_of_numbers(assembly.training, keys, assembly.numbers)
    before, steps = assembly.numbers[path][0], 7.0 + np.arange(seeds, dtype=np.float32)
    after = renumbered(places, state, {path: steps})
    pairs = zip(jax.tree.leaves(after.agent), jax.tree.leaves(state.agent), strict=True)
    ((found, was),) = [(new, old) for new, old in pairs if not (new == old).all()]
    np.testing.assert_array_equal(was, np.full((seeds, 3), before))
    np.testing.assert_array_equal(found, np.tile(steps[:, None], 3))


@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("sac", "initial_temperature", (0.5, 2.0)),
        ("ace", "initial_temperature", (0.5, 2.0)),
        ("reppo", "initial_temperature", (0.5, 2.0)),
        ("reppo", "kl_price", (0.5, 2.0)),
        ("revalued", "epsilon_initial", (0.5, 1.0)),
        ("sac", "target_entropy_per_dimension", (-1.0, -0.5)),
    ],
)
def test_copies_are_given_no_numbers_that_act_only_where_a_member_begins(name, field, values):
    from test_populations import config_for

    module, config = config_for(name)
    members = tuple(Member(0, {field: value, "discount": 0.9 + 0.01 * i}) for i, value in enumerate(values))
    for controller, refused in (("pbt", field != "target_entropy_per_dimension"), ("halving", False)):
        controlled = dataclasses.replace(config.with_population(members), controller=controller)
        training = assemble(module.build, controlled).training
        if refused:
            with pytest.raises(InputError, match=f"^{field} is .* acts only where a member begins"):
                Renumbering(module.build, controlled, training)
        else:
            Renumbering(module.build, controlled, training)


@pytest.mark.parametrize("controller", [pytest.param("pbt", marks=pytest.mark.slow), "halving"])
def test_a_controlled_run_stopped_in_the_middle_goes_on_to_the_same_end(controller, tmp_path, monkeypatch):
    def lines(path):
        return [{k: v for k, v in line.items() if k != "wall_seconds"} for line in read_metrics(path)]

    flags = ["--controller", controller, "--turn-fraction", "0.5"]
    whole = train(dqn.build, config_of(*flags, "--run-dir", str(tmp_path / "whole")))
    sources = [line["source"] for line in lines(tmp_path / "whole") if "source" in line]
    assert len(sources) == 5
    assert any(source != [0, 1, 2, 3] for source in sources)
    # Scores are the returns of training up to the turn; at the first, half of the members stay.
    first = next(i for i, line in enumerate(lines(tmp_path / "whole")) if "source" in line)
    played = np.array([line["episode_return"] for line in lines(tmp_path / "whole")[: first + 1]], float)
    scores = np.nanmean(played, axis=0)
    stay = scores >= np.sort(scores)[2]
    assert [source == lane for lane, source in enumerate(sources[0])] == stay.tolist()
    rates = [line["setting/learning_rate"] for line in lines(tmp_path / "whole")]
    assert rates[0] == [1e-3, 1e-3, 2e-3, 2e-3]
    assert rates[-1] != rates[0]
    assert [row["setting"]["learning_rate"] for row in whole["members"]] == rates[-1]
    assert len(load_curves(tmp_path / "whole")) == 1, "all members are one setting"

    from jaxq.runs.session import Session

    log, stopped = Session._log, []

    def stop_at_the_third(self, chunk, *args):
        log(self, chunk, *args)
        if chunk == 3 and not stopped:
            stopped.append(True)
            self.told.signal = 15

    begun = config_of(*flags, "--run-dir", str(tmp_path / "stopped"))
    monkeypatch.setattr(Session, "_log", stop_at_the_third)
    with pytest.raises(SystemExit):
        train(dqn.build, begun)
    assert len(lines(tmp_path / "stopped")) == 3
    again = parse(dqn.Config, dqn.PRESETS, ["--run-dir", str(tmp_path / "stopped"), "--resume"])
    assert train(dqn.build, again)["members"] == whole["members"]
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--turn-fraction", "0.5"], "turn_fraction is 0.5, but must be left out with --controller none"),
        (["--controller", "halving", "--perturbation", "2"], "perturbation is 2.0, but must be left out"),
        (["--controller", "pbt", "--turn-fraction", "0.7"], r"turn_fraction is 0.7, but must be in \(0, 0.5\]"),
    ],
)
def test_flags_that_a_controller_does_not_take_are_named(args, said):
    with pytest.raises(InputError, match=said):
        config_of(*args).make_controller()


def test_a_controller_needs_members_that_differ(tmp_path):
    plain = [*SMALL[: SMALL.index("--learning-rate")], "--controller", "pbt", "--run-dir", str(tmp_path / "run")]
    for args, said in (([], "a program has a single member"), (["--num-seeds", "2"], "members differ in no number")):
        with pytest.raises(InputError, match=said):
            train(dqn.build, parse(dqn.Config, dqn.PRESETS, [*plain, *args]))
    assert not (tmp_path / "run").exists()
