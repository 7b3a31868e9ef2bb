"""What thousands of environments need: resets computed ahead, physics that blows up, memory told before it is taken."""

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import walking
from benchmarks.resets import Cached
from jaxq import envs
from jaxq.agents import (
    EpsilonGreedy,
    HardUpdate,
    LambdaQHyperparameters,
    LambdaQLearning,
    LinearSchedule,
    QLearning,
    QLearningHyperparameters,
)
from jaxq.bellman import Scalar
from jaxq.envs import ArraySpec, Batched, Bins, Discrete, Once, Pooled, envpool_backend, gymnax_backend, with_actions
from jaxq.envs.base import finite
from jaxq.envs.envpool_backend import EnvPoolEnvironment
from jaxq.errors import InputError
from jaxq.networks import MLP, ActionValueHead, ActionValueNetwork
from jaxq.replay import PrioritizedReplay, SequenceReplay, UniformReplay
from jaxq.training import Evaluation, OffPolicy, OnPolicy
from jaxq.training.statistics import EpisodeStatistics
from jaxq.types import TimeStep

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments" / "continuous"))

# Some robots; the others are marked slow.
OFTEN = ("BarkourJoystick-v1", "G1JoystickFlatTerrain-v1", "Go1JoystickFlatTerrain-v1", "SpotFlatTerrainJoystick-v1")
TELLING = [pytest.param(task, marks=() if task in OFTEN else pytest.mark.slow) for task in envpool_backend.COSTS_TOLD]


def played(environment, actions, keys):
    """All TimeSteps [T + 1, B] under actions [T, B]."""
    state, first = environment.reset(keys)
    state, rest = jax.lax.scan(environment.step, state, actions)
    return state, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)


class KeyShowing:
    """Observes the key that its episode is made of; episodes are as long as the key says, 1 to 9 steps."""

    name = "KeyShowing"
    observation_spec = ArraySpec((2,), np.uint32)
    action_spec = Discrete(2)
    max_episode_steps = 20

    def reset(self, key):
        data = jax.random.key_data(key)
        return {"key": data, "left": (data[0] % 9 + 1).astype(jnp.int32)}, data

    def step(self, state, action, key):
        left = state["left"] - 1
        return {**state, "left": left}, state["key"], 1.0, left == 0, False


@pytest.mark.parametrize("num_envs", [1, 2, 7, 64])
def test_episodes_from_a_pool_are_those_of_full_resets(num_envs):
    """Bit for bit, whatever ends when; and however few are renewed at once."""
    keys = jax.random.split(jax.random.key(0), num_envs)
    actions = jnp.zeros((150, num_envs), jnp.int32)
    full, pool = (jax.jit(functools.partial(played, kind(KeyShowing(), num_envs)))(actions, keys)[1]
                  for kind in (Batched, Pooled))  # fmt: skip
    chex.assert_trees_all_equal(pool, full)
    # And so no first state is that of another episode, of the same environment or of any.
    starts = np.asarray(pool.observation)[np.asarray(pool.first)]
    assert len(starts) > 15 * num_envs
    assert len({tuple(start) for start in starts}) == len(starts)


@pytest.mark.parametrize("name", ["gymnax/Pendulum-v1", "gymnax/CartPole-v1", "gymnax/Breakout-MinAtar"])
def test_a_pool_changes_nothing_of_real_environments(name):
    full, pool = (envs.make(name, 24, resets=resets) for resets in ("full", "pool"))
    keys = jax.random.split(jax.random.key(1), 24)
    actions = jnp.stack([full.action_spec.sample(key, 24) for key in jax.random.split(jax.random.key(2), 230)])
    (_, ours), (_, theirs) = (jax.jit(functools.partial(played, kind))(actions, keys) for kind in (pool, full))
    assert (ours.first.sum(axis=0) > 1).all()
    chex.assert_trees_all_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_benchmark_s_cached_resets_begin_every_episode_alike():
    """What a pool is measured against is what it says."""
    environment = Cached(KeyShowing(), 6)
    keys, actions = jax.random.split(jax.random.key(0), 6), jnp.zeros((60, 6), jnp.int32)
    _, timesteps = jax.jit(functools.partial(played, environment))(actions, keys)
    first = np.asarray(timesteps.first)
    assert (first.sum(axis=0) > 5).all()
    for b in range(6):
        starts = np.asarray(timesteps.observation)[first[:, b], b]
        np.testing.assert_array_equal(starts, np.broadcast_to(starts[0], starts.shape))


class Counting(KeyShowing):
    """Counts, on the host, for how many environments first states are computed."""

    computed: ClassVar[list[int]] = []

    def reset(self, key):
        jax.debug.callback(lambda _: Counting.computed.append(1), jax.random.key_data(key))
        return super().reset(key)


def test_a_pool_computes_few_more_first_states_than_there_are_episodes():
    """Full resets compute the whole batch at nearly every step."""
    counts = {}
    for kind in (Batched, Pooled):
        environment = kind(Counting(), 32)
        keys, actions = jax.random.split(jax.random.key(0), 32), jnp.zeros((100, 32), jnp.int32)
        run = jax.jit(functools.partial(played, environment)).lower(actions, keys).compile()
        Counting.computed.clear()
        _, timesteps = jax.block_until_ready(run(actions, keys))
        jax.effects_barrier()
        counts[kind] = len(Counting.computed)
    episodes = int(timesteps.first.sum())
    assert counts[Batched] > 3000
    # Each block of 8 may be filled up where an environment could not wait; episodes here are the shortest there are.
    assert episodes <= counts[Pooled] < 3 * episodes


@pytest.mark.parametrize("make", [KeyShowing, lambda: gymnax_backend.make_single("Breakout-MinAtar")])
def test_one_episode_is_that_of_full_resets_and_what_follows_is_nothing(make):
    """Bit for bit; an environment whose episode is over stays where it is."""
    single = make()
    whole, once = Batched(single, 24), Pooled(single, 24).once()
    assert type(once) is Once
    keys = jax.random.split(jax.random.key(1), 24)
    actions = jnp.stack([once.action_spec.sample(key, 24) for key in jax.random.split(jax.random.key(2), 90)])
    (_, expected), (state, timesteps) = (jax.jit(functools.partial(played, e))(actions, keys) for e in (whole, once))
    ended = np.asarray(expected.last).cumsum(axis=0) - expected.last > 0  # before this step
    assert 0.5 < ended.mean() < 1
    for ours, theirs in zip(jax.tree.leaves(timesteps), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(ours)[~ended], np.asarray(theirs)[~ended])
    for leaf in (timesteps.observation, timesteps.reward, timesteps.terminated, timesteps.truncated):
        assert not np.asarray(leaf)[ended].any()
    assert np.asarray(timesteps.first)[ended].all()
    later, _ = jax.jit(once.step)(state, actions[0])
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(later), strict=True):
        if not jnp.issubdtype(after.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(np.asarray(before)[ended[-1]], np.asarray(after)[ended[-1]])


def test_of_one_episode_no_other_s_first_state_is_computed():
    once = Batched(Counting(), 32).once()
    keys, actions = jax.random.split(jax.random.key(0), 32), jnp.zeros((30, 32), jnp.int32)
    run = jax.jit(functools.partial(played, once)).lower(actions, keys).compile()
    Counting.computed.clear()
    _, timesteps = jax.block_until_ready(run(actions, keys))
    jax.effects_barrier()
    assert timesteps.first[-1].all()
    assert len(Counting.computed) == 32


def test_what_is_around_an_environment_stays_around_its_one_episode():
    stock = envs.WithStock(envs.make("gymnax/CartPole-v1", 4), 0.99, 0.0)
    assert type(stock.once()) is envs.WithStock
    assert type(stock.once().environment) is Once
    assert type(stock.environment) is Batched
    bins = envs.with_actions(envs.make("gymnax/Pendulum-v1", 4), Bins(1, 3))
    assert type(bins.once()) is Once
    assert bins.once().action_spec == bins.action_spec
    pool = envs.make("envpool/CartPole-v1", 4)
    assert pool.once() is pool


def test_a_pool_renews_itself_a_block_at_a_time():
    environment = Pooled(KeyShowing(), 32)
    assert environment.block == 8
    state, _ = environment.reset(jax.random.split(jax.random.key(0), 32))
    assert not state.fresh.any()
    state, timestep = environment.step(state, jnp.zeros(32, jnp.int32))
    assert int(state.fresh.sum()) == 8
    made = np.asarray(state.observation)[np.asarray(state.fresh)]
    assert (made != np.asarray(timestep.observation)[np.asarray(state.fresh)]).any(axis=1).all()
    # What is due waits for a block of its like, unless somebody needs it: then the block has that one.
    renewed, nobody = jax.jit(environment._renewed), jnp.zeros(32, bool)
    for due, made in ((7, 0), (8, 8)):
        fresh = renewed(state.replace(fresh=jnp.arange(32) >= due), nobody).fresh
        assert int(fresh.sum()) == 32 - due + made
    fresh = renewed(state.replace(fresh=nobody), nobody.at[31].set(True)).fresh
    assert (int(fresh.sum()), bool(fresh[31])) == (8, True)
    # Of 50, of which the root of twice as many is 10.
    assert (Pooled(KeyShowing(), 1).block, Pooled(KeyShowing(), 50).block) == (1, 8)


def test_shares_of_a_pool_are_apart():
    """Each half of the batch by itself is as in the whole."""
    whole = Pooled(KeyShowing(), 16)
    keys, actions = jax.random.split(jax.random.key(4), 16), jnp.zeros((60, 16), jnp.int32)
    state, _ = whole.reset(keys)
    _, together = jax.lax.scan(whole.step, state, actions)
    half = whole.share(2)
    assert (whole.num_envs, half.num_envs) == (16, 8)
    for part in (slice(0, 8), slice(8, 16)):
        own = jax.tree.map(lambda leaf: leaf[part], state)  # noqa: B023
        _, alone = jax.lax.scan(half.step, own, actions[:, part])
        np.testing.assert_array_equal(alone.observation, together.observation[:, part])


class SharedContacts:
    """As MuJoCo Warp: a list that is made once for the whole batch, whatever its size."""

    name = "SharedContacts"
    observation_spec = ArraySpec((1,))
    action_spec = Discrete(2)
    max_episode_steps = 3

    def reset(self, key):
        @jax.custom_batching.custom_vmap
        def contacts(position):
            return jnp.zeros(5)

        contacts.def_vmap(lambda size, batched, position: (jnp.zeros(5), True))
        position = jax.random.uniform(key, (1,))
        return {"position": position, "contacts": contacts(position)}, position


@pytest.mark.parametrize("kind", [Batched, Pooled])
def test_what_is_one_for_the_whole_batch_stays_what_was_computed_last(kind):
    environment = kind(SharedContacts(), 4)
    first, second = (environment._begun(keys, *environment._first(keys))
                     for keys in jax.random.split(jax.random.key(0), (2, 4)))  # fmt: skip
    assert (first[0].inner["contacts"].shape, first[0].inner["position"].shape) == ((5,), (4, 1))
    over = jnp.array([True, False, True, False])
    state, timestep = environment._merged(over, first, second)
    np.testing.assert_array_equal(state.inner["position"], timestep.observation)
    for i, begun in enumerate(over):
        chosen = first if begun else second
        np.testing.assert_array_equal(state.inner["position"][i], chosen[0].inner["position"][i])
    if kind is Pooled:
        state, _ = environment.reset(jax.random.split(jax.random.key(1), 4))
        renewed = environment._renewed(state, over)
        assert renewed.first["contacts"].shape == (5,)
        assert (renewed.fresh | ~over).all()


def test_many_environments_with_physics_have_a_pool():
    push = pytest.importorskip("test_environments").BraxStyle
    assert type(envs.from_object(push(), 4)) is Batched
    assert type(envs.from_object(push(), 64)) is Pooled
    assert type(envs.from_object(push(), 64, resets="full")) is Batched
    assert type(envs.make("gymnax/CartPole-v1", 1024)) is Batched
    with pytest.raises(InputError, match="resets is 'cached', but must be one of full, pool"):
        envs.make("gymnax/CartPole-v1", 4, resets="cached")
    with pytest.raises(InputError, match="resets is 'pool', but must be left out: EnvPool resets by itself"):
        envs.make("envpool/CartPole-v1", 4, resets="pool")


class BlowsUp:
    """Counts its steps; in the seventh of every episode a number is lost or huge: of the observation, or the reward.

    Observed is how many steps the episode is old. Episodes would otherwise be of 12 steps, each rewarded with 1.
    """

    name = "blows_up"
    action_spec = Discrete(2)
    observation_spec: ClassVar = {"time": ArraySpec((1,)), "flag": ArraySpec((1,), np.uint8)}
    max_episode_steps = 12

    def __init__(self, where="observation", number=np.nan):
        self.where, self.number = where, number

    def reset(self, key):
        return jnp.float32(0), self.seen(jnp.float32(0))

    def seen(self, time):
        return {"time": time[None], "flag": jnp.uint8(time > 3)[None]}

    def step(self, state, action, key):
        state = state + 1
        lost = state == 7
        seen = self.seen(jnp.where(lost & (self.where == "observation"), self.number, state))
        return state, seen, jnp.where(lost & (self.where == "reward"), self.number, 1.0), False, False


@pytest.mark.parametrize(("where", "number"), [("observation", np.nan), ("reward", np.inf)])
def test_one_episode_that_blows_up_is_over(where, number):
    once = Batched(BlowsUp(where, number), 3).once()
    _, timesteps = played(once, jnp.zeros((20, 3), jnp.int32), jax.random.split(jax.random.key(0), 3))
    np.testing.assert_array_equal(timesteps.observation["time"][:, 1, 0], [*range(7), *[0] * 14])
    np.testing.assert_array_equal(timesteps.first[:, 1], [True, *[False] * 6, *[True] * 14])
    assert not timesteps.last.any()
    assert timesteps.reward.sum() == 3 * 6


@pytest.mark.parametrize("kind", [Batched, Pooled])
@pytest.mark.parametrize(
    ("where", "number"),
    [("observation", np.nan), ("observation", -np.inf), ("reward", np.inf), ("observation", 2e10), ("reward", -2e10)],
)
def test_an_environment_that_blows_up_begins_a_new_episode_at_once(kind, where, number):
    environment = kind(BlowsUp(where, number), 3)
    _, timesteps = played(environment, jnp.zeros((20, 3), jnp.int32), jax.random.split(jax.random.key(0), 3))
    times = np.array([*range(7), *range(7), *range(7)])
    np.testing.assert_array_equal(timesteps.observation["time"][:, 1, 0], times)
    np.testing.assert_array_equal(timesteps.first[:, 1], times == 0)
    np.testing.assert_array_equal(timesteps.reward[:, 1], times != 0)
    assert not timesteps.last.any()


def test_one_number_that_is_lost_of_many_is_enough():
    image, reward = np.zeros((4, 2, 3), np.float32), np.zeros((4, 2), np.float32)
    image[1, 1, 2], reward[2, 1] = np.nan, np.inf
    timestep = TimeStep({"image": image, "flag": np.zeros((4, 2), np.uint8)}, reward, *[np.zeros(4, bool)] * 3)
    assert finite(timestep).tolist() == [True, False, False, True]


class FakePool:
    """Stands for EnvPool's C++: like `BlowsUp`, but what has become NaN stays so until the episode's own end."""

    def __init__(self, environment, batch, limit=12):
        self.times = np.zeros(batch, np.float32)
        self.environment, self.limit = environment, limit

    def step(self, handle, action):
        del action
        # As in `BlowsUp`, inside the program; the time is carried in the handle.
        time = jnp.where(handle >= self.limit, 0.0, handle + 1.0)
        observation = jnp.where(time >= 7, jnp.nan, time)[:, None]
        no = jnp.zeros(time.shape, bool)
        return time, (observation, jnp.where(time == 0, 0.0, 1.0), no, time == self.limit, {})


def broken_pool(batch=3):
    environment = envs.make("envpool/CartPole-v1", batch)
    environment.observation_spec = ArraySpec((1,))
    environment._convert = lambda observation, xp: observation.astype(xp.float32)
    environment._lazy.calls = (np.zeros(batch, np.float32), FakePool(environment, batch).step)
    environment._host_reset = lambda: (np.zeros(batch, np.float32), np.zeros((batch, 1), np.float32))
    return environment


def test_a_pool_that_cannot_be_reset_is_ignored_until_its_episode_ends():
    environment = broken_pool()
    assert isinstance(environment, EnvPoolEnvironment)
    step = jax.jit(environment.step)
    state, timestep = environment.reset(jax.random.split(jax.random.key(0), 3))
    seen = [timestep]
    for _ in range(30):
        state, timestep = step(state, jnp.zeros(3, jnp.int32))
        seen.append(timestep)
    timesteps = jax.tree.map(lambda *leaves: np.stack(leaves)[:, 0], *seen)
    # Six good steps, then six that show the last good observation, then the pool's own reset.
    expected = [*range(7), *[6] * 6, *range(7), *[6] * 6, *range(5)]
    np.testing.assert_array_equal(timesteps.observation[:, 0], expected)
    good = np.array([*[False] + [True] * 6 + [False] * 6] * 3)[:31]
    np.testing.assert_array_equal(timesteps.first, ~good)
    np.testing.assert_array_equal(timesteps.reward, good)
    assert not timesteps.last.any()


def ring(kind, n_step, num_envs=2, batch_size=512):
    return kind(300, batch_size, num_envs, BlowsUp.observation_spec, n_step)


def filled(replay, environment, num_envs=2, steps=100):
    """A replay of a run of an environment that blows up, with random actions."""
    state, timestep = environment.reset(jax.random.split(jax.random.key(0), num_envs))
    memory = replay.init(timestep, jnp.zeros(num_envs, jnp.int32), ())

    def step(carry, key):
        state, timestep, memory = carry
        action = jax.random.randint(key, (num_envs,), 0, 2)
        state, following = environment.step(state, action)
        return (state, following, replay.add(memory, timestep, action, (), following)), None

    keys = jax.random.split(jax.random.key(1), steps)
    return jax.lax.scan(step, (state, timestep, memory), keys)[0][2]


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_replay_ends_a_broken_episode_at_its_last_good_observation(kind, n_step):
    replay = ring(UniformReplay, n_step)
    replay = PrioritizedReplay(replay) if kind == "prioritized" else replay
    memory = filled(replay, Batched(BlowsUp(), 2))
    batch = jax.tree.map(np.asarray, replay.sample(memory, jax.random.key(2)))
    kept = batch.weight > 0
    assert kept.mean() > 0.99
    start, end = (x["time"][kept, 0] for x in (batch.observation, batch.next_observation))
    # By hand: starts are 0 .. 5; six, where the step was lost, is none. No window reaches beyond it.
    assert set(start) == set(range(6))
    np.testing.assert_array_equal(end, np.minimum(start + n_step, 6))
    np.testing.assert_array_equal(batch.steps[kept], end - start)
    np.testing.assert_array_equal(batch.rewards[kept].sum(axis=1), end - start)
    assert not batch.terminated.any()
    assert np.isfinite(batch.next_observation["time"]).all()


def test_sequences_end_a_broken_episode_at_its_last_good_observation():
    replay = ring(SequenceReplay, 9)
    memory = filled(replay, Batched(BlowsUp(), 2))
    segment = jax.tree.map(np.asarray, replay.sample(memory, jax.random.key(2)))
    time = segment.observation["time"][..., 0]
    np.testing.assert_array_equal(segment.final, time[:-1] == 6)
    np.testing.assert_array_equal(segment.truncated, time[1:] == 6)
    assert not segment.terminated.any()


def test_statistics_of_broken_episodes():
    """They count with what they came to; each lost step is counted once."""
    environment = Batched(BlowsUp(), 4)
    _, timesteps = played(environment, jnp.zeros((15, 4), jnp.int32), jax.random.split(jax.random.key(0), 4))
    statistics = EpisodeStatistics.start(4)
    for t in range(15):
        before, after = (jax.tree.map(lambda x, t=t: x[t], timesteps) for t in (t, t + 1))
        statistics = statistics.observe(before, after, after.last)
    _, report = statistics.report(2)
    for name, value in {"episode_return": 6, "episode_length": 6, "episodes": 4, "non_finite_steps": 4}.items():
        np.testing.assert_array_equal(report[name], value, err_msg=name)
    timestep = TimeStep(None, jnp.zeros(2), *[jnp.zeros(2, bool)] * 2, jnp.ones(2, bool))
    statistics = EpisodeStatistics.start(2)
    for _ in range(2):
        statistics = statistics.observe(timestep, timestep, timestep.last)
    _, report = statistics.report(1)
    assert (report["episodes"], report["non_finite_steps"]) == (0, 4), "an episode of no steps is none"
    step = timestep.replace(reward=jnp.array([0.5, 2.0]), first=jnp.zeros(2, bool))
    statistics = EpisodeStatistics.start(2).observe(timestep, step, step.last).observe(step, timestep, timestep.last)
    _, report = statistics.report(1)
    assert (report["episodes"], report["episode_return"], report["episode_length"]) == (2, 1.25, 1)


def learner(environment, on_policy, members=1):
    """A small agent, so that what it learns can be looked at."""
    network = ActionValueNetwork(MLP((8,)), ActionValueHead(2))
    shared = {"network": network, "observation_spec": environment.observation_spec, "representation": Scalar()}
    adam, greedy = optax.scale_by_adam(), EpsilonGreedy.decaying(1.0, 0.5, 500)
    loop = {"environment": environment, "evaluation": Evaluation(environment), "num_members": members}
    if on_policy:
        hyper = LambdaQHyperparameters(LinearSchedule.constant(1e-3), greedy)
        return OnPolicy(**loop, agent=LambdaQLearning(**shared, optimizer=adam, hyper=hyper), rollout_steps=16)
    hyper = QLearningHyperparameters(LinearSchedule.constant(1e-3), greedy, HardUpdate(10))
    agent = QLearning(**shared, optimizer=adam, hyper=hyper)
    replay = UniformReplay.for_environment(environment, members, capacity=400, batch_size=32)
    return OffPolicy(**loop, agent=agent, replay=replay, warmup_steps=80)


class OneNumber(BlowsUp):
    observation_spec = ArraySpec((1,))  # type: ignore[assignment]

    def seen(self, time):
        return time[None]


@pytest.mark.parametrize("on_policy", [False, True])
@pytest.mark.parametrize("pool", [False, True])
def test_a_run_goes_on_when_physics_blows_up(on_policy, pool):
    environment = Batched(OneNumber(), 4)
    training = learner(environment, on_policy, members=2)
    if pool:
        broken = broken_pool(4)
        training = dataclasses.replace(training, environment=broken)
    state = jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.arange(2)))
    state = jax.jit(training.warm_up)(state)
    steps = 16 if on_policy else 1
    state, metrics = jax.jit(training.train_chunk, static_argnums=1)(state, 64 // steps)
    for leaf in jax.tree.leaves((state.agent.params, state.agent.optimizer_state, metrics)):
        assert np.isfinite(leaf).all()
    # 64 steps, and for the replay 40 before them; a step in seven is lost, of the pool more.
    taken = 64 if on_policy else 104
    lost = np.isin(np.arange(1, taken + 1) % 13, (7, 8, 9, 10, 11, 12, 0)).sum() if pool else taken // 7
    np.testing.assert_array_equal(metrics["non_finite_steps"], 2 * lost)
    np.testing.assert_array_equal(metrics["episode_length"], 6)


class Recorder(LambdaQLearning):
    """Shows what an on-policy agent is given."""

    def update(self, state, rollout, key):
        return state, {"loss": jnp.float32(0), "rollout": rollout}


def test_rollouts_end_a_broken_episode_at_its_last_good_observation():
    training = learner(Batched(OneNumber(), 2), True)
    agent = Recorder(**{f.name: getattr(training.agent, f.name) for f in dataclasses.fields(training.agent)})
    training = dataclasses.replace(training, agent=agent, rollout_steps=30)
    state = training.init(jax.random.key(0)[None])
    _, metrics = jax.jit(lambda s: training._iterate(s, jnp.int32(0), jnp.int32(1), 1))(state)
    rollout = jax.tree.map(lambda leaf: leaf[0, ..., 0], metrics["rollout"])  # of the only member and iteration
    time = rollout.timestep.observation[..., 0]
    np.testing.assert_array_equal(time[:, 0], np.arange(30) % 7)
    np.testing.assert_array_equal(rollout.timestep.truncated, time == 6)
    np.testing.assert_array_equal(rollout.arrived("truncated")[:-1], time[1:] == 6)


class SometimesOneNumber(OneNumber):
    """Half of whose episodes begin where nothing is lost any more."""

    def reset(self, key):
        begun = jnp.where(jax.random.bernoulli(key), 20.0, 0.0)
        return begun, self.seen(begun)


@pytest.mark.parametrize("single", [OneNumber(), SometimesOneNumber()])
def test_an_evaluation_counts_a_broken_episode_with_what_it_came_to(single):
    """And tells how many there were; where no episode came to its end there is no return."""
    training = learner(Batched(single, 16), False)
    state = training.init(jax.random.key(0)[None])
    measured = jax.jit(training.evaluation, static_argnums=0)(training.agent, state.agent, state.key)
    found = {name: float(value[0]) for name, value in measured.items()}
    broken = found["eval_broken_off"]
    if isinstance(single, SometimesOneNumber):
        assert 0 < broken < 16
        assert found["eval_return"] == found["eval_length"] == (6 * broken + 12 * (16 - broken)) / 16
    else:
        assert (broken, found["eval_length"]) == (16, 6)
        assert np.isnan(found["eval_return"])


def small_sac(*args):
    import sac

    from jaxq.runs import parse

    return sac, parse(sac.Config, sac.PRESETS, ["--num-seeds", "2", "--num-envs", "4", "--eval-episodes", "3", *args])


def test_memory_told_before_is_that_which_is_taken():
    from jaxq.runs.memory import bytes_of, parts_of
    from jaxq.runs.population import member_keys

    sac, config = small_sac()
    training = sac.build(config)
    parts = parts_of(training, jax.eval_shape(training.init, member_keys(config)))
    state = jax.jit(training.init)(member_keys(config))

    def taken(tree):
        keys = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
        others = [x for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
        return sum(x.nbytes for x in [*others, *map(jax.random.key_data, keys)])

    evaluation = jax.jit(training.begin_evaluation)(state)
    # By hand: a transition of Pendulum is three numbers, an action, a reward and a byte of flags.
    assert 2 * 50_000 * (4 * (3 + 1 + 1) + 1) <= parts["replay"] < 2 * 50_000 * 21 + 100
    assert parts["evaluation"] == taken(evaluation)
    assert parts["environments"] == taken((state.env, state.timestep, state.statistics))
    assert sum(parts.values()) == taken(state) + taken(evaluation) == bytes_of((state, evaluation))


def test_a_run_that_cannot_fit_is_refused_with_what_would(tmp_path, monkeypatch):
    from jaxq.runs import run
    from jaxq.runs.memory import parts_of, require_memory
    from jaxq.runs.population import member_keys

    sac, config = small_sac("--replay-capacity", "2000000000", "--run-dir", str(tmp_path / "run"))
    monkeypatch.setattr("jaxq.host_memory._of_host", lambda: 8_000_000_000)
    with pytest.raises(InputError, match=r"replay_capacity is 2000000000, but must be at most 190,?000,?000 to fit"):
        run(sac.build, config)
    assert not (tmp_path / "run").exists()

    def parts(config):
        training = sac.build(config)
        return parts_of(training, jax.eval_shape(training.init, member_keys(config)))

    # What is named fits, and a third more does not.
    for field, arguments in {
        "replay_capacity": ("--replay-capacity", "20000000"),
        "num_envs": (
            "--num-envs",
            "40000",
            "--replay-capacity",
            "120000",
            "--warmup-steps",
            "100000",
            "--hidden-widths",
            "16",
        ),
        "num_seeds": ("--num-seeds", "40", "--replay-capacity", "5000", "--hidden-widths", "512", "512"),
    }.items():
        _, config = small_sac(*arguments)
        free = int(0.76 * sum(parts(config).values()))
        with pytest.raises(InputError, match=rf"{field} is {getattr(config, field)}, but must be at most") as refused:
            require_memory(config, parts(config), free)
        most = int(str(refused.value).split("at most ")[1].split(" ")[0].replace(",", ""))
        require_memory(config, parts(dataclasses.replace(config, **{field: most})), free)
        more = parts(dataclasses.replace(config, **{field: int(most * 1.3) + 1}))
        with pytest.raises(InputError):
            require_memory(config, more, free)
    with pytest.raises(InputError, match=r"but only 0\.001 kB"):
        require_memory(config, parts(config), 1)


def test_a_pool_that_the_host_does_not_hold_is_refused_before_it_is_made(monkeypatch):
    """What an environment takes is measured on a few; that of a robot is told among what a run takes."""
    from jaxq import host_memory
    from jaxq.runs.memory import described

    line = described({}, jax.devices()[0], 10**9, of_host=52_000_000)
    assert line.endswith("; environments have 52 MB of the host's besides")
    made = []
    make = envpool_backend._pool

    def making(task, num_envs, *rest):
        made.append(num_envs)
        return make(task, num_envs, *rest)

    monkeypatch.setattr(envpool_backend, "_pool", making)
    monkeypatch.setattr(host_memory, "taken_bytes", lambda: 10**9 + sum(made) * 10**7)
    monkeypatch.setattr(host_memory, "_of_host", lambda: 500_000_000)
    monkeypatch.setattr(host_memory, "_of_container", lambda: None)
    said = r"num_envs \(or eval_episodes\) of all members is 96, but must be at most \d+ to fit.* takes"
    with pytest.raises(InputError, match=said) as told:
        jax.eval_shape(envs.make("envpool/CheetahRun-v1", 96).reset, jax.random.split(jax.random.key(0), 96))
    assert "at most 50 to fit: one of envpool/CheetahRun-v1 takes 10 MB" in str(told.value)
    assert made == [1, 8]
    monkeypatch.setattr(host_memory, "free_bytes", lambda: None)
    assert envs.make("envpool/CartPole-v1", 64).pool is not None, "where nobody says what is free, nothing is refused"


def test_a_pool_made_out_of_what_another_left_is_measured_all_the_same():
    """In a process of its own: what this one has freed, and where, depends on the tests before."""
    program = """
from jaxq import envs
taken = []
for number in (16, 4):
    pool = envs.make("envpool/CheetahRun-v1", number)
    assert pool.host_bytes == 0, "a pool is made when it is needed"
    pool.pool.reset()
    taken.append(pool.host_bytes)
    del pool
print(*taken)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert 80e6 < first < 800e6, "some 13 MB each"
    assert 20e6 < second < 200e6, "some 13 MB each"


@pytest.mark.parametrize("task", TELLING)
def test_gains_and_costs_add_up_to_the_reward(task):
    """Of two pools with the same seeds and actions, where the reward is cut off at zero up to that."""
    kinds = dict(num_envs=2, seed=[3, 4], max_episode_steps=12)
    plain, apart = envs.make(f"envpool/{task}", **kinds), envs.make(f"envpool/{task}", costs_apart=True, **kinds)
    assert apart.reward_shape == (2,)
    states, rng, seen = [], np.random.default_rng(0), []
    for environment in (plain, apart):
        state, timestep = jax.jit(environment.reset)(jax.random.split(jax.random.key(0), 2))
        assert timestep.reward.shape == (2, *environment.reward_shape)
        states.append(state)
    steps = [jax.jit(environment.step) for environment in (plain, apart)]
    for t in range(30):
        action = jnp.float32(rng.normal(size=(2, plain.action_spec.size)) * (0.05 if t < 14 else 0.7)).clip(-1, 1)
        (first, one), (second, two) = (step(state, action) for step, state in zip(steps, states, strict=True))
        states = [first, second]
        np.testing.assert_array_equal(one.observation, two.observation)
        gains, costs = np.asarray(two.reward).T
        assert (gains >= 0).all()
        assert (costs <= 0).all()
        whole = gains + costs
        cut_off = not task.startswith(("G1", "Apollo"))
        np.testing.assert_allclose(one.reward, np.maximum(whole, 0) if cut_off else whole, atol=2e-5)
        np.testing.assert_array_equal(np.asarray(two.reward)[np.asarray(two.first)], 0.0)
        seen.append(two)
    assert any(bool(timestep.first.any()) for timestep in seen)
    assert any(bool((timestep.reward < 0).any()) for timestep in seen)


def test_robots_that_are_tried_are_paid_until_they_fall(monkeypatch):
    """By the pool's own rewards, of which those that stand get some and those that thrash about next to nothing."""
    monkeypatch.setattr(walking, "ROBOTS", 2)
    env, rng = "envpool/Go1JoystickFlatTerrain-v1", np.random.default_rng(0)
    still = walking.still_standing(env)
    thrashing = walking.played(env, lambda observation: rng.choice([-1.0, 1.0], size=(2, 12)))
    assert np.mean(still["returns"]) > 5.0 > 0.5 > np.mean(thrashing["returns"])
    assert max(still["lengths"]) == 1000 > max(thrashing["lengths"])
    assert all(0.0 < share < 1.0 for share in still["followed"].values())
    for other, said in (("brax/ant", "one of EnvPool's"), ("envpool/HalfCheetah-v4", "one that tells how its")):
        with pytest.raises(InputError, match=f"env is '{other}', but must be {said}"):
            walking.played(other, lambda observation: observation)


def test_robots_that_were_tried_before_stay(monkeypatch, tmp_path, capsys):
    tried = {"env": "envpool/Robot-v1", "returns": [1.0], "lengths": [1], "followed": {}}
    monkeypatch.setattr(walking, "RESULT", tmp_path / "walking.json")
    monkeypatch.setattr(walking, "still_standing", lambda env: tried)
    for run, value in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        monkeypatch.setattr(walking, "walked", lambda run, value=value: {**tried, "returns": [value]})
        monkeypatch.setattr(sys, "argv", ["walking.py", run])
        walking.main()
    found = json.loads(walking.RESULT.read_text())
    assert {name: walk["returns"] for name, walk in found["walks"].items()} == {"a": [3.0], "b": [2.0]}
    assert found["walks"]["b"]["provenance"]["command"].endswith(" b")
    assert "return   3.00" in capsys.readouterr().out


def test_costs_are_apart_only_where_they_are_told():
    for name in ("HalfCheetah-v4", "PandaPickCube-v1"):
        with pytest.raises(InputError, match=f"env is 'envpool/{name}', but must be one that tells the terms of its"):
            envs.make(f"envpool/{name}", 1, costs_apart=True)
    apart = envs.make("envpool/BarkourJoystick-v1", 2, costs_apart=True)
    assert apart.remade(3).reward_shape == (2,)


def test_environments_of_which_only_the_actions_differ_have_one_pool():
    """So that members whose numbers differ are one program; EnvPool's calls have the pool's address in their text."""
    pool = envs.make("envpool/InvertedPendulum-v4", 2)
    bins = Bins(1, 3)
    first, second = with_actions(pool, bins), with_actions(pool, bins)
    assert first.pool is second.pool is pool.pool
    assert first.host_bytes == pool.host_bytes


def test_memory_that_is_free(tmp_path):
    from jaxq.host_memory import _of_container
    from jaxq.runs.memory import free_bytes

    class Accelerator:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 300}

    assert free_bytes(Accelerator()) == 700
    assert 1e6 < free_bytes(jax.devices("cpu")[0]) < 1e14
    assert _of_container(tmp_path) is None
    for name, said in {"max": "5000\n", "current": "3000\n", "stat": "anon 1\ninactive_file 800\n"}.items():
        (tmp_path / f"memory.{name}").write_text(said)
    assert _of_container(tmp_path) == 2800
