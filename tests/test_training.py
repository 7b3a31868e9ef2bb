"""The off-policy loop: lanes, periods, evaluation, statistics, exactness across a checkpoint."""

import dataclasses
import shutil
import time
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxprs import equations

from jaxq import envs
from jaxq.agents import (
    Epochs,
    EpsilonGreedy,
    HardUpdate,
    LambdaQHyperparameters,
    LambdaQLearning,
    LinearSchedule,
    QLearning,
    QLearningHyperparameters,
    flatten_small,
)
from jaxq.bellman import Scalar
from jaxq.envs.base import zero_reward_timestep
from jaxq.errors import InputError
from jaxq.lanes import over_lanes, where_due
from jaxq.networks import MLP, ActionValueHead, ActionValueNetwork, torso_for
from jaxq.replay import UniformReplay
from jaxq.runs.checkpoints import Checkpoints
from jaxq.training import Evaluation, OffPolicy, OnPolicy
from jaxq.training.loop import ChunkState, Plan
from jaxq.training.statistics import EpisodeStatistics
from jaxq.types import TimeStep


def cart_pole(members=1, num_envs=2, updates=1, collect_steps=2, **changes):
    environment = envs.make("gymnax/CartPole-v1", members * num_envs)
    agent = QLearning(
        network=ActionValueNetwork(MLP((16,)), ActionValueHead(2)),
        observation_spec=environment.observation_spec,
        optimizer=flatten_small(optax.scale_by_adam()),
        hyper=QLearningHyperparameters(
            LinearSchedule.constant(1e-3), EpsilonGreedy.decaying(1.0, 0.1, 500), HardUpdate(10)
        ),
        representation=Scalar(1.0),
    )
    settings = {
        "replay": UniformReplay.for_environment(environment, members, capacity=2000, batch_size=16),
        "evaluation": Evaluation(envs.make("gymnax/CartPole-v1", members * 2)),
        "num_members": members,
        "collect_steps": collect_steps,
        "updates": updates,
        "warmup_steps": 100,
        **changes,
    }
    return OffPolicy(agent=agent, environment=environment, **settings)


def chains(members, kind=LambdaQLearning, environment=None, **changes):
    """On-policy training of members that have two environments each, from rollouts of eight steps."""
    environment = environment or envs.make("tabular/Chain", 2 * members)
    agent = kind(
        network=ActionValueNetwork(MLP((8,)), ActionValueHead(2)),
        observation_spec=environment.observation_spec,
        optimizer=optax.scale_by_adam(),
        hyper=LambdaQHyperparameters(LinearSchedule.constant(1e-3), EpsilonGreedy.decaying(1.0, 0.1, 100)),
        representation=Scalar(),
        **{"epochs": Epochs(2, 2), **changes},
    )
    evaluation = Evaluation(envs.make("tabular/Chain", members))
    return OnPolicy(agent=agent, environment=environment, evaluation=evaluation, num_members=members, rollout_steps=8)


def start(training, seeds):
    state = jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.asarray(seeds)))
    return jax.jit(training.warm_up)(state)


def leaves(tree):
    return [np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
            for x in jax.tree.leaves(tree)]  # fmt: skip


def assert_same(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def three_chunks():
    """A population of three after each of three chunks, with the plan and the metrics."""
    training = cart_pole(members=3)
    plan = training.plan(1300, 3, 3)
    chunk = jax.jit(lambda state: training.train_chunk(state, plan.iterations))
    states, metrics = [start(training, [4, 5, 6])], []
    for _ in range(plan.chunks):
        state, measured = chunk(states[-1])
        states.append(state)
        metrics.append(jax.device_get(measured))
    return training, plan, chunk, states, metrics


def test_plan_covers_the_steps_asked_for():
    training = cart_pole(num_envs=2, collect_steps=2)
    for total, chunks, evaluations in ((1300, 3, 3), (10_001, 100, 20), (200, 50, 7), (104, 5, 5)):
        plan = training.plan(total, chunks, evaluations)
        assert plan.warmup == 100
        assert plan.steps_per_chunk == 4 * plan.iterations
        assert plan.chunks >= min(chunks, (total - 100) // 4)
        assert total - plan.steps_per_chunk - 4 < plan.total_steps <= total
        assert plan.evaluates(plan.chunks)
        found = sum(plan.evaluates(chunk) for chunk in range(1, plan.chunks + 1))
        assert found == min(evaluations, plan.chunks) or abs(found - evaluations) <= 0.5 * evaluations
        assert plan.steps_after(plan.chunks) == plan.total_steps
        longer = plan.extended(total + 2 * plan.steps_per_chunk)
        assert (longer.chunks, longer.total_steps - plan.total_steps) == (plan.chunks + 2, 2 * plan.steps_per_chunk)
    assert all(training.plan(1300, 3, 3).evaluates(chunk) for chunk in (1, 2, 3))


def test_updates_are_counted_by_the_steps_of_a_member():
    off_policy = cart_pole(members=3, num_envs=2, updates=3, collect_steps=5)
    assert off_policy.updates_per_step == 3 / 10
    on_policy = chains(3, epochs=Epochs(2, 5))
    assert on_policy.updates_per_step == 5 * 2 / (8 * 2)
    assert on_policy.plan(70, 2, 1) == Plan(2, 2, 2, 0, 32)


def test_periods(three_chunks):
    training, plan, _, states, _ = three_chunks
    rows = 50 + plan.iterations * training.collect_steps
    for i, state in enumerate(states):
        assert int(state.iteration) == i * plan.iterations
        assert state.agent.updates.tolist() == [i * plan.iterations * training.updates] * 3
        assert int(state.replay.size) == min(50 + i * (rows - 50), training.replay.rows)


def test_every_metric_has_a_value_for_each_member(three_chunks):
    *_, metrics = three_chunks
    for measured in metrics:
        assert {"loss", "mean_q", "episode_return", "episode_length", "episodes"} <= set(measured)
        assert all(value.shape == (3,) for value in measured.values())
        assert all(np.isfinite(value).all() for value in measured.values())
        # In CartPole every step rewards 1.
        np.testing.assert_allclose(measured["episode_return"], measured["episode_length"])


def test_a_member_equals_the_same_seed_alone(three_chunks):
    _, plan, _, states, metrics = three_chunks
    alone = cart_pole(members=1)
    state, measured = jax.jit(lambda s: alone.train_chunk(s, plan.iterations))(start(alone, [5]))
    for ours, theirs in zip(leaves(state.agent.params), leaves(states[1].agent.params), strict=True):
        np.testing.assert_allclose(ours[0], theirs[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(state.replay.observation[0], states[1].replay.observation[1])
    for name, value in measured.items():
        np.testing.assert_allclose(value[0], metrics[0][name][1], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tabular/Chain", {}),
        ("brax/inverted_pendulum", {"resets": "full"}),
        ("brax/inverted_pendulum", {"resets": "pool"}),
        pytest.param("playground/CartpoleBalance", {}, marks=pytest.mark.slow),
    ],
)
def test_environments_go_on_from_a_checkpoint_bit_for_bit(name, options, three_chunks, tmp_path):
    """Those whose states are all of them, those of a pool of first states too."""
    environment = envs.make(name, 2, **options)
    keys = jax.random.split(jax.random.key(1), 30)
    actions = jax.vmap(lambda key: environment.action_spec.sample(key, 2))(keys)
    play = jax.jit(lambda env: jax.lax.scan(environment.step, env, actions))
    env, before = play(jax.jit(environment.reset)(jax.random.split(jax.random.key(0), 2))[0])
    state, checkpoints = three_chunks[3][0].replace(env=env), Checkpoints(tmp_path)
    checkpoints.save(state, {})
    restored, _, _ = Checkpoints(tmp_path).restore(jax.eval_shape(lambda: state))
    assert before.last.any() or name != "tabular/Chain"
    for ours, theirs in zip(leaves(play(restored.env)), leaves(play(env)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_members_in_turn_equal_members_side_by_side(three_chunks):
    """As environments that only step all together are trained, and all of them on accelerators."""
    _, plan, _, states, metrics = three_chunks
    together = cart_pole(members=3)
    together.environment.resumable = False
    state, measured = jax.jit(lambda s: together.train_chunk(s, plan.iterations))(states[0])
    for ours, theirs in zip(leaves(state.agent.params), leaves(states[1].agent.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    for field in ("observation", "action", "reward", "flags", "position", "size"):
        np.testing.assert_array_equal(getattr(state.replay, field), getattr(states[1].replay, field))
    for ours, theirs in zip(leaves((state.env, state.key)), leaves((states[1].env, states[1].key)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    for name, value in measured.items():
        np.testing.assert_allclose(value, metrics[0][name], rtol=1e-4)


def test_rollouts_in_turn_equal_rollouts_side_by_side():
    states = []
    for resumable in (True, False):
        training = chains(3)
        training.environment.resumable = resumable
        plan = training.plan(64, 1, 1)
        state = jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.arange(3)))
        states.append(jax.jit(lambda s: training.train_chunk(s, plan.iterations)[0])(state))  # noqa: B023
    for ours, theirs in zip(*map(leaves, states), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def _advanced(training, state, iterations, counts):
    """A chunk in parts, by one program for parts of any length."""
    part = jax.jit(training.advance_chunk)
    chunk = jax.jit(training.begin_chunk, static_argnums=1)(state, iterations)
    for count in counts:
        state, chunk = part(state, chunk, jnp.int32(count))
    assert int(chunk.done) == iterations
    return jax.jit(training.end_chunk)(state, chunk)


def test_how_a_chunk_is_cut_changes_no_bit(three_chunks):
    training, _, _, states, _ = three_chunks
    whole = _advanced(training, states[0], 12, [12])
    assert_same(whole, _advanced(training, states[0], 12, [1, 7, 3, 1]))
    assert int(whole[0].iteration) == int(states[0].iteration) + 12
    whole, measured = whole
    again, other = jax.jit(training.train_chunk, static_argnums=1)(states[0], 12)
    for ours, theirs in zip(leaves((whole.agent, measured)), leaves((again.agent, other)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_how_an_evaluation_is_cut_changes_no_bit():
    training = cart_pole(members=2)
    state = start(training, [4, 5])
    part = jax.jit(training.evaluate)

    def evaluated(counts):
        evaluation = jax.jit(training.begin_evaluation)(state)
        so_far = 0
        for count in counts:
            evaluation, more = part(state, evaluation, jnp.int32(count))
            so_far += count
            if more:
                assert evaluation.time.tolist() == [so_far] * 2
        assert not more
        return evaluation

    assert_same(evaluated([500]), evaluated([1, 2, 5, 492]))


def test_the_end_of_a_chunk_chooses_once_for_all_leaves():
    """One by one each would be compiled with all that it is chosen by, for minutes where there are hundreds."""
    training = cart_pole()
    state = jax.eval_shape(training.init, jax.random.split(jax.random.key(0), 1))
    chunk = jax.eval_shape(lambda state: training.begin_chunk(state, 4), state)
    kernels = {(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state.agent.params) if leaf.ndim == 3}
    made = [
        equation.primitive.name
        for equation in jax.make_jaxpr(training.end_chunk)(state, chunk).jaxpr.eqns
        if kernels & {(out.aval.shape, out.aval.dtype) for out in equation.outvars}
    ]
    assert made == ["cond"]


def test_who_diverges_in_a_chunk_is_what_it_was_before_and_the_others_tell_their_means(three_chunks):
    """By a metric that is not finite, and by a single number of a network."""
    training, _, _, states, _ = three_chunks
    before, after = states[0], states[1]
    head = after.agent.params["params"]["head"]["Dense_0"]
    torn = {**head, "kernel": head["kernel"].at[2, 0, 1].set(jnp.nan)}
    params = {"params": {**after.agent.params["params"], "head": {"Dense_0": torn}}}
    metrics = {"loss": jnp.array([[1.0, 2.0, 6.0, 3.0], [1.0, jnp.inf, 6.0, 3.0], [1.0, 2.0, 3.0, 4.0]])}
    spoiled = after.replace(agent=after.agent.replace(params=params))
    for frozen in (False, True):
        chunk = ChunkState(metrics, jnp.int32(4), (before.agent, before.memory))
        ended, told = training.end_chunk(spoiled.replace(frozen=jnp.array([frozen, False, False])), chunk)
        assert ended.frozen.tolist() == [frozen, True, True]
        np.testing.assert_array_equal(told["loss"], [np.nan if frozen else 3.0, np.nan, np.nan])
        for ours, old, new in zip(*map(leaves, ((s.agent, s.memory) for s in (ended, before, spoiled))), strict=True):
            np.testing.assert_array_equal(ours[1:], old[1:])
            np.testing.assert_array_equal(ours[0], old[0] if frozen else new[0])


def test_members_differ(three_chunks):
    *_, metrics = three_chunks
    assert len(set(metrics[-1]["loss"].tolist())) == 3


def test_a_restored_run_is_bit_for_bit_the_uninterrupted_one(three_chunks, tmp_path):
    _, _, chunk, states, metrics = three_chunks
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(states[1], {"chunk": 1})
    checkpoints.wait()
    restored, under_way, notes = Checkpoints(tmp_path).restore(jax.eval_shape(lambda: states[1]))
    assert (under_way, notes) == (None, {"chunk": 1})
    assert_same(restored, states[1])
    for i in (1, 2):
        restored, measured = chunk(restored)
        assert_same(restored, states[i + 1])
        assert_same(measured, metrics[i])


def test_empty_arrays_and_keys_survive_a_checkpoint(three_chunks, tmp_path):
    _, _, _, states, _ = three_chunks
    state = states[0].replace(env={"empty": jnp.zeros((3, 0)), "key": jax.random.split(jax.random.key(1), 2)})
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, {})
    checkpoints.wait()
    assert_same(checkpoints.restore(state)[0], state)
    assert_same(checkpoints.restore_agent(state.agent), state.agent)


def test_a_checkpoint_of_another_kind_of_run_is_refused(three_chunks, tmp_path):
    _, _, _, states, _ = three_chunks
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match="no whole checkpoint"):
        checkpoints.restore(states[0])
    checkpoints.save(states[1], {})
    checkpoints.wait()
    other = cart_pole(members=1)
    with pytest.raises(InputError, match=r"another kind of run: an array \(3, .*, where \(1, .* is expected"):
        checkpoints.restore(jax.eval_shape(other.init, jax.vmap(jax.random.key)(jnp.arange(1))))


def test_who_reads_another_s_checkpoints_leaves_what_is_being_written(three_chunks, tmp_path):
    _, _, _, states, _ = three_chunks
    with pytest.raises(InputError, match="no whole checkpoint"):
        Checkpoints(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    writer = Checkpoints(tmp_path)
    writer.save(states[1], {})
    under_way = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
    under_way.mkdir()
    reader = Checkpoints(tmp_path, read_only=True)
    assert_same(reader.restore_agent(states[1].agent), states[1].agent)
    reader.close()
    assert under_way.is_dir()
    Checkpoints(tmp_path).close()
    for _ in range(100):  # Orbax clears away beside what else it does
        if not under_way.exists():
            break
        time.sleep(0.1)
    assert not under_way.exists(), "of a writer that is no more"


def test_a_damaged_checkpoint_is_named(three_chunks, tmp_path):
    _, _, _, states, _ = three_chunks
    checkpoints = Checkpoints(tmp_path)
    for chunk in (1, 2):
        checkpoints.save(states[1], {"chunk": chunk})
    checkpoints.wait()
    for number, beside in ((2, "; move it away to go on from checkpoint 1, which is beside it"), (1, "$")):
        for file in (tmp_path / "checkpoints" / str(number)).rglob("*"):
            if file.is_file() and file.stat().st_size > 200:
                file.write_bytes(file.read_bytes()[:100])
        with pytest.raises(InputError, match=f"checkpoints/{number} is damaged .*{beside}"):
            Checkpoints(tmp_path).restore(states[1])
        shutil.rmtree(tmp_path / "checkpoints" / str(number))


class Corridor:
    """Walk right to 3; the reward there is 1. The best policy takes 3 steps, standing still takes 10."""

    class Params:
        max_steps_in_episode = 10

    default_params = Params()
    name = "Corridor"

    def reset_env(self, key, params):
        return jnp.zeros(1), jnp.int32(0)

    def step_env(self, key, state, action, params):
        state = jnp.maximum(state + 2 * action - 1, 0)
        return jnp.float32(state)[None], state, jnp.float32(state == 3), state == 3, {}

    def action_space(self, params):
        return type("Space", (), {"n": 2})()

    def observation_space(self, params):
        return type("Space", (), {"shape": (1,)})()


@dataclasses.dataclass(frozen=True)
class Constant:
    """An agent that always takes its state's action."""

    def init_memory(self, num_envs):
        return ()

    def exploit(self, state, memory, timestep, key):
        return jnp.broadcast_to(state, timestep.first.shape), memory


class TwoHints:
    """One step an episode: the right action is that one of an image's bit and a number's is set, and not both."""

    name = "two_hints"
    observation_spec: ClassVar = {"image": envs.ArraySpec((4, 4, 1), np.uint8), "number": envs.ArraySpec((1,))}
    action_spec = envs.Discrete(2)
    max_episode_steps = 1

    def reset(self, key):
        bits = jax.random.bernoulli(key, 0.5, (2,))
        return bits, {"image": jnp.full((4, 4, 1), bits[0]), "number": bits[1:].astype(jnp.float32)}

    def step(self, state, action, key):
        _, observation = self.reset(key)
        return state, observation, jnp.float32(action == (state[0] ^ state[1])), True, False


class TwoEnds:
    """Every other episode terminates after three steps; the others are cut off after five."""

    name = "two_ends"
    observation_spec = envs.ArraySpec((2,))
    action_spec = envs.Discrete(2)
    max_episode_steps = 5

    def _seen(self, state):
        return jnp.stack(state).astype(jnp.float32)

    def reset(self, key):
        state = (jnp.int32(0), jax.random.bernoulli(key).astype(jnp.int32))
        return state, self._seen(state)

    def step(self, state, action, key):
        state = (state[0] + 1, state[1])
        return state, self._seen(state), jnp.float32(state[0]), (state[0] == 3) & (state[1] == 1), False


class Recorder(LambdaQLearning):
    """Shows what an on-policy agent is given."""

    def update(self, state, rollout, key):
        return state, {"rollout": rollout}


def test_rollouts_show_each_member_how_its_own_episodes_end():
    """What `OnPolicy` hands to an agent, [T, E] of each member."""
    training = chains(3, Recorder, envs.Batched(TwoEnds(), 6))
    state = jax.jit(training.init)(jax.random.split(jax.random.key(0), 3))
    after, metrics = jax.jit(lambda s: training._iterate(s, jnp.int32(0), jnp.int32(1), 1))(state)
    rollout = jax.tree.map(lambda leaf: np.asarray(leaf[..., 0]), metrics["rollout"])
    time, early = np.moveaxis(rollout.timestep.observation, -1, 0)
    assert time.shape == rollout.action.shape == (3, 8, 2)
    np.testing.assert_array_equal(time[:, :4], np.broadcast_to(np.arange(4.0)[:, None], (3, 4, 2)))
    ends = (time == 3) & (early == 1)
    np.testing.assert_array_equal(rollout.timestep.terminated, ends)
    np.testing.assert_array_equal(rollout.timestep.truncated, time == 5)
    assert ends.any()
    assert (time == 5).any()
    np.testing.assert_array_equal(rollout.timestep.reward, time)
    np.testing.assert_array_equal(rollout.following.observation.reshape(6, 2), after.timestep.observation)


@pytest.mark.parametrize("on_policy", [False, True])
def test_agents_learn_from_all_parts_of_a_tree(on_policy):
    environment = envs.Batched(TwoHints(), 8)
    network = ActionValueNetwork(torso_for(environment.observation_spec, (32,)), ActionValueHead(2))
    shared = {"network": network, "observation_spec": environment.observation_spec, "representation": Scalar()}
    loop = {"environment": environment, "evaluation": Evaluation(envs.Batched(TwoHints(), 64))}
    adam, greedy = optax.scale_by_adam(), EpsilonGreedy.decaying(1.0, 0.1, 500)
    if on_policy:
        hyper = LambdaQHyperparameters(LinearSchedule.constant(3e-3), greedy)
        agent = LambdaQLearning(**shared, optimizer=adam, hyper=hyper, epochs=Epochs(4, 2))
        training = OnPolicy(**loop, agent=agent, rollout_steps=16)
    else:
        hyper = QLearningHyperparameters(LinearSchedule.constant(3e-3), greedy, HardUpdate(20))
        replay = UniformReplay.for_environment(environment, capacity=1000, batch_size=64)
        agent = QLearning(**shared, optimizer=adam, hyper=hyper)
        training = OffPolicy(**loop, agent=agent, replay=replay, updates=2, warmup_steps=80)
    state = start(training, [0])
    state, metrics = jax.jit(training.train_chunk, static_argnums=1)(state, 40 if on_policy else 200)
    assert 0.2 < metrics["mean_q"] < 1.0, (
        "a mean over samples, updates and iterations; no episode is worth more than one"
    )
    played = jax.jit(lambda state: training.evaluation(training.agent, state.agent, state.key))(state)
    assert played["eval_return"] == 1.0


def test_evaluation_plays_whole_episodes_of_each_member():
    evaluation = Evaluation(envs.from_object(Corridor(), 8))
    keys = jax.random.split(jax.random.key(0), 2)
    measured = jax.jit(lambda actions: evaluation(Constant(), actions, keys))(jnp.array([1, 0]))
    np.testing.assert_allclose(measured["eval_return"], [1.0, 0.0])
    np.testing.assert_allclose(measured["eval_length"], [3.0, 10.0])
    short = dataclasses.replace(evaluation, max_steps=4)
    measured = jax.jit(lambda actions: short(Constant(), actions, keys))(jnp.array([1, 0]))
    np.testing.assert_allclose(measured["eval_length"], [3.0, 4.0])
    with pytest.raises(InputError, match=r"keys is 'of shape \(\)', but must be \[N\], one a member"):
        evaluation(Constant(), jnp.array([1, 0]), keys[0])
    with pytest.raises(InputError, match=r"agent_state is 'with arrays of shape \[\(\)\]', but must be \[2, ...\]"):
        evaluation(Constant(), jnp.array(1), keys)


def test_episode_statistics_equal_sums_by_hand():
    """Of whole episodes: of those that end some are lives, after which their game goes on."""
    rng = np.random.default_rng(0)
    batch, steps = 4, 200
    statistics = EpisodeStatistics.start(batch)
    running, expected = np.zeros((batch, 2)), [[] for _ in range(2)]
    last = np.zeros(batch, bool)
    no = np.zeros(batch, bool)
    before = TimeStep(None, *map(jnp.asarray, (np.zeros(batch, np.float32), no, no, ~no)))
    for _ in range(steps):
        first, reward = last, np.where(last, 0, rng.normal(size=batch)).astype(np.float32)
        last = (rng.random(batch) < 0.2) & ~first
        running += np.stack([reward, ~first], 1)
        over = last & (rng.random(batch) < 0.6)
        for e in np.flatnonzero(over):
            expected[e // 2].append(running[e].copy())
        running = np.where(over[:, None], 0, running)
        now = TimeStep(None, *map(jnp.asarray, (reward, last, no, first)))
        statistics, before = statistics.observe(before, now, jnp.asarray(over)), now
    statistics, report = statistics.report(2)
    for member in range(2):
        assert report["episodes"][member] == len(expected[member])
        mean = np.mean(expected[member], axis=0)
        np.testing.assert_allclose(report["episode_return"][member], mean[0], rtol=1e-4)
        np.testing.assert_allclose(report["episode_length"][member], mean[1], rtol=1e-5)
    _, empty = statistics.report(2)
    assert np.isnan(empty["episode_return"]).all()


def test_over_lanes_of_one_equals_vmap():
    def function(shared, own):
        return {"shared": shared + 1, "own": own["x"] * shared}

    axes_in, axes_out = (None, {"x": 0}), {"shared": None, "own": 0}
    args = (jnp.float32(3), {"x": jnp.ones((1, 2))})
    ours = over_lanes(function, 1, axes_in, axes_out)(*args)
    theirs = jax.vmap(function, axes_in, axes_out)(*args)
    assert_same(ours, theirs)


def twice_where_due(due, x):
    return where_due(due, lambda: {"x": 2.0 * x, "sine": jnp.sin(x)}, {"x": x, "sine": jnp.zeros_like(x)})


@pytest.mark.parametrize("due", [[[0, 0], [0, 0]], [[1, 0], [0, 0]], [[0, 1], [1, 1]], [[1, 1], [1, 1]]])
def test_what_is_due_is_done_for_lanes_side_by_side_as_for_each_alone(due):
    due, x = np.array(due, bool), np.arange(1.0, 13.0, dtype=np.float32).reshape(2, 2, 3)

    def gradient(due, x):
        return jax.grad(lambda x: sum(map(jnp.sum, jax.tree.leaves(twice_where_due(due, x)))))(x)

    for function in (twice_where_due, gradient):
        both = jax.jit(jax.vmap(jax.vmap(function)))(due, x)
        shared = jax.jit(jax.vmap(function, (None, 0)))(due[0, 0], x[0])
        for i in range(2):
            assert_same(jax.tree.map(lambda leaf: leaf[i], shared), jax.jit(function)(due[0, 0], x[0, i]))  # noqa: B023
            for j in range(2):
                alone = jax.jit(function)(due[i, j], x[i, j])
                assert_same(jax.tree.map(lambda leaf: leaf[i, j], both), alone)  # noqa: B023


def test_nothing_is_computed_where_no_lane_is_due():
    due, x = np.zeros((2, 2), bool), np.ones((2, 2, 3), np.float32)
    for function, args in (
        (twice_where_due, (due[0, 0], x[0, 0])),
        (jax.vmap(twice_where_due), (due[0], x[0])),
        (jax.vmap(jax.vmap(twice_where_due)), (due, x)),
    ):
        program = jax.make_jaxpr(function)(*args).jaxpr
        assert len(list(equations(program, "sin"))) == 1
        assert not list(equations(program, "sin", branches=False))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"warmup_steps": 10}, "warmup_steps is 10"),
        ({"warmup_steps": 5000}, "warmup_steps is 5000"),
        ({"updates": 0}, "updates"),
        ({"updates": 105}, "updates is 105, but must be at most 104"),
        ({"collect_steps": 0}, "collect_steps"),
    ],
)
def test_impossible_loops_are_named(changes, named):
    with pytest.raises(InputError, match=named):
        cart_pole(**changes)
    assert cart_pole(updates=104).updates == 104


@pytest.mark.parametrize("own", [False, True])
def test_a_warm_up_is_of_random_actions_or_of_the_agent_s_own(own):
    training = cart_pole(num_envs=4, acts_from_the_start=own)
    greedy = training.agent.hyper.replace(exploration=EpsilonGreedy.decaying(0.0, 0.0, 1))
    training = dataclasses.replace(training, agent=dataclasses.replace(training.agent, hyper=greedy))
    state = start(training, [0])
    sample = over_lanes(training._sample, 1, (training.replay.population_axes, 0))
    batch = jax.tree.map(lambda x: x[0], sample(state.replay, jax.random.split(jax.random.key(1), 1)))
    learner, memory = jax.tree.map(lambda x: x[0], state.agent), training.agent.init_memory(16)
    timestep = zero_reward_timestep(batch.observation, 16)
    chosen, _ = training.agent.exploit(learner, memory, timestep, jax.random.key(2))
    alike = float((chosen == batch.action).mean())
    assert alike == 1 if own else 0.1 < alike < 0.9


def test_a_run_shorter_than_its_warm_up_and_an_iteration_is_refused():
    with pytest.raises(InputError, match="total_steps is 103, but must be at least 104"):
        cart_pole().plan(103, 10, 10)
