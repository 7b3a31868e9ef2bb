"""The sum tree against plain sums, and prioritized replay against the transitions that really took place."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_replay import ENVS, Log

from jaxq import platforms
from jaxq.envs.base import ArraySpec
from jaxq.errors import InputError
from jaxq.replay import PrioritizedReplay, SumTree, UniformReplay
from jaxq.schedules import LinearSchedule


@pytest.mark.parametrize("size", [16, 5000])
def test_leaves_named_twice_are_written_the_same_on_every_platform(size):
    """Once and in a defined order on accelerators: the same bits, with zeros among the values.

    The larger tree has more nodes than a node has children and than there are writes: what is dropped must be beyond.
    """
    rng = np.random.default_rng(size)
    index = jnp.tile(jnp.asarray(rng.integers(0, size, 20)), 2)
    value = jnp.asarray(rng.exponential(size=40) * (rng.random(40) < 0.7), jnp.float32)
    tree, trees = SumTree.create(size).set(jnp.arange(size), jnp.ones(size)), []
    for platform in ("cpu", "gpu"):
        with platforms.assume(platform):
            trees.append(jax.jit(lambda tree: tree.set(index, value))(tree))
    for ours, theirs in zip(trees[0].levels, trees[1].levels, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [1, 16, 17, 300, 5000])
def test_sums_are_exact_after_many_writes(size):
    """Every inner value is the sum of its children, and the total that of the leaves, after writes all over."""
    rng = np.random.default_rng(size)
    leaves = np.zeros(size, np.float32)
    rounds, writes = 50, min(size, 64)
    indices = np.stack([rng.permutation(size)[:writes] for _ in range(rounds)])
    values = rng.exponential(size=(rounds, writes)).astype(np.float32) * (rng.random((rounds, writes)) < 0.8)
    tree, _ = jax.jit(lambda t, i, v: jax.lax.scan(lambda t, x: (t.set(*x), None), t, (i, v)))(
        SumTree.create(size), indices, values
    )
    for index, value in zip(indices, values, strict=True):
        leaves[index] = value
    np.testing.assert_array_equal(np.asarray(tree.levels[0]).ravel()[:size], leaves)
    np.testing.assert_array_equal(tree.get(jnp.arange(size)), leaves)
    for below, above in zip(tree.levels, tree.levels[1:], strict=False):
        np.testing.assert_allclose(np.asarray(above).ravel()[: len(below)], np.asarray(below).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(tree.total, leaves.sum(dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize(("size", "width"), [(1, 1), (16, 16), (33, 2), (300, 16), (300, 37), (5000, 64), (5000, 1)])
def test_a_range_is_set_as_its_leaves_are(size, width):
    rng = np.random.default_rng(size)
    tree = SumTree.create(size).set(jnp.arange(size), jnp.asarray(rng.exponential(size=size), jnp.float32))
    for start in {0, (size - width) // 2, (size - width) // 3, size - width}:
        value = jnp.asarray(rng.exponential(size=width), jnp.float32)
        by_range = tree.set_range(jnp.int32(start), value)
        by_leaf = tree.set(start + jnp.arange(width), value)
        for a, b in zip(by_range.levels, by_leaf.levels, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 16, 300, 5000])
def test_find_equals_a_search_in_the_running_sum(size):
    """Whole numbers, whose sums float32 holds exactly: the leaf found is that of numpy's searchsorted."""
    leaves = np.random.default_rng(size).integers(0, 5, size).astype(np.float32)
    leaves[-1] = 1
    tree = SumTree.create(size).set(jnp.arange(size), jnp.asarray(leaves))
    mass = np.arange(leaves.sum()) + 0.5
    found = tree.find(jnp.asarray(mass, jnp.float32))
    np.testing.assert_array_equal(found, np.searchsorted(np.cumsum(leaves), mass, side="right"))


def test_a_leaf_of_zero_is_never_found():
    values = jnp.zeros(1000).at[jnp.array([3, 500, 999])].set(jnp.array([1e-6, 1.0, 1e6]))
    tree = SumTree.create(1000).set(jnp.arange(1000), values)
    mass = jnp.concatenate([jnp.linspace(0, 1, 5000) * tree.total, tree.total[None] * 2])
    assert set(np.unique(tree.find(mass))) <= {3, 500, 999}


@pytest.mark.slow
def test_a_million_writes_leave_the_sums_exact():
    size = 100_000
    key = jax.random.key(0)

    def write(tree, key):
        index_key, value_key = jax.random.split(key)
        index = jax.random.randint(index_key, (100,), 0, size)
        return tree.set(index, jax.random.exponential(value_key, (100,))), None

    tree, _ = jax.jit(lambda t: jax.lax.scan(write, t, jax.random.split(key, 10_000)))(SumTree.create(size))
    np.testing.assert_allclose(tree.total, np.asarray(tree.levels[0], np.float64).sum(), rtol=1e-5)


def filled(rows_written, capacity_rows, n, frames=0, batch=2048, **exponents):
    log = Log(0, rows_written, frames=frames)
    spec = ArraySpec((1, frames) if frames else (1,), np.float32, frames)
    replay = PrioritizedReplay(UniformReplay(capacity_rows * ENVS, batch, ENVS, spec, n_step=n), **exponents)
    state = replay.init(log.timestep(0), jnp.asarray(log.action[0], jnp.int32), ())
    add = jax.jit(replay.add)
    for t in range(rows_written):
        state = add(state, log.timestep(t), jnp.asarray(log.action[t], jnp.int32), (), log.timestep(t + 1))
    return log, replay, state


@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("rows_written", [12, 20, 47])
def test_what_can_be_drawn_is_what_uniform_replay_draws(rows_written, n, frames):
    log, replay, state = filled(rows_written, 20, n, frames)
    batch = jax.device_get(jax.jit(replay.sample)(state, jax.random.key(1)))
    uniform = jax.device_get(jax.jit(replay.ring.sample)(state.ring, jax.random.key(1)))
    assert (batch.weight > 0).all()
    assert set(batch.index) == set(uniform.index[uniform.weight > 0])
    for i in range(0, len(batch.index), 50):
        identity = int(batch.observation[i].ravel()[-1])
        observation, action, rewards, steps, terminated, following = log.window(*divmod(identity - 1, ENVS), n)
        np.testing.assert_array_equal(batch.observation[i], observation)
        np.testing.assert_array_equal(batch.rewards[i], rewards)
        np.testing.assert_array_equal(batch.next_observation[i], following)
        assert (batch.action[i], batch.steps[i], batch.terminated[i]) == (action, steps, terminated)


def test_draws_follow_priorities_and_weights_undo_them():
    """With α = β = 1/2, the defaults: shares by the root of priorities, and weights by the root of shares."""
    _, replay, state = filled(20, 40, 1, batch=20_000)
    index = np.unique(replay.sample(state, jax.random.key(0)).index)
    priority = np.linspace(0.5, 4.0, len(index)).astype(np.float32)
    state = replay.update_priorities(state, jnp.asarray(index), jnp.asarray(priority))
    batch = jax.device_get(replay.sample(state, jax.random.key(3)))
    drawn, counts = np.unique(batch.index, return_counts=True)
    np.testing.assert_array_equal(drawn, index)
    share = np.sqrt(priority) / np.sqrt(priority).sum()
    np.testing.assert_allclose(counts, share * 20_000, atol=2)  # a draw from each share: it is no more than one off
    place = np.searchsorted(index, batch.index)
    np.testing.assert_allclose(batch.weight, np.sqrt(share.min() / share[place]), rtol=1e-4)
    np.testing.assert_allclose(batch.priority, priority[place], rtol=1e-4)


def test_each_equal_share_of_the_total_is_drawn_from_once():
    """As many draws as there are transitions, all as likely: each comes once."""
    _, replay, state = filled(20, 40, 1)
    leaves = np.flatnonzero(np.asarray(state.tree.levels[0]).ravel())
    replay = dataclasses.replace(replay, ring=dataclasses.replace(replay.ring, batch_size=len(leaves)))
    np.testing.assert_array_equal(np.sort(jax.jit(replay.sample)(state, jax.random.key(0)).index), leaves)


def test_new_transitions_get_the_largest_priority_so_far():
    log, replay, state = filled(10, 40, 1, priority_exponent=0.6)
    index = np.unique(replay.sample(state, jax.random.key(0)).index)
    state = replay.update_priorities(state, jnp.asarray(index[:2]), jnp.array([7.0, 0.3]))
    for _ in range(2):
        state = replay.add(state, log.timestep(0), jnp.zeros(ENVS, jnp.int32), (), log.timestep(1).replace(
            terminated=jnp.zeros(ENVS, bool), truncated=jnp.zeros(ENVS, bool)))  # fmt: skip
    newest = (10 * ENVS) + jnp.arange(ENVS)
    np.testing.assert_allclose(state.tree.get(newest), 7.0**0.6, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_priorities_are_named(value):
    _, replay, state = filled(10, 40, 1)
    with pytest.raises(InputError, match=r"priority is .* positive and finite"):
        replay.update_priorities(state, jnp.arange(2), jnp.array([1.0, value]))
    inside = jax.jit(replay.update_priorities)(state, jnp.arange(2), jnp.array([1.0, value]))
    # As the nearest of a millionth and a million, the worst that NaN can be.
    np.testing.assert_allclose(inside.tree.get(jnp.arange(2)), [1.0, 1e-3 if value <= 0 else 1e3], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"priority_exponent": 1.5}, "priority_exponent"),
        ({"importance": LinearSchedule(1.5, 0.4, 10)}, "^importance_exponent is 1.5"),
        ({"importance": LinearSchedule(0.4, -1.0, 10)}, "^importance_exponent_final is -1"),
    ],
)
def test_impossible_exponents_are_named(settings, name):
    ring = UniformReplay(100, 8, 2, ArraySpec((1,)))
    with pytest.raises(InputError, match=name):
        PrioritizedReplay(ring, **settings)


def test_the_importance_exponent_is_annealed_by_batches():
    _, replay, state = filled(20, 40, 1, batch=64, priority_exponent=1.0, importance=LinearSchedule(0.0, 1.0, 4))
    index = jnp.arange(64)
    for expected in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0):
        assert float(state.importance.at(state.batches)) == expected
        state = replay.update_priorities(state, index, jnp.ones(64))


def test_of_a_transition_drawn_twice_the_largest_priority_stays_whatever_the_order():
    rng = np.random.default_rng(0)
    index, value = rng.integers(0, 300, 200), rng.random(200).astype(np.float32)
    expected = np.zeros(300, np.float32)
    np.maximum.at(expected, index, value)
    trees = []
    for _ in range(5):
        order = rng.permutation(200)
        start = SumTree.create(300).set(jnp.arange(300), jnp.full(300, 2.0)).set(jnp.arange(300), jnp.zeros(300))
        trees.append(start.set(jnp.asarray(index[order]), jnp.asarray(value[order])))
    np.testing.assert_array_equal(trees[0].get(jnp.arange(300)), expected)
    for tree in trees[1:]:
        for ours, theirs in zip(tree.levels, trees[0].levels, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # A new value replaces the old one, though it is smaller.
    assert float(trees[0].set(jnp.array([7]), jnp.array([1e-3])).get(jnp.array([7]))[0]) == np.float32(1e-3)
