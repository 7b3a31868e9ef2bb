"""Scatters of known rows: the same results, in an order that is defined."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations, precisions

from jaxq import envs, platforms
from jaxq.envs.scatters import distinct

ROWS = np.array([3, 1, 3, 0, 3, 1])
PLACES = np.array([4, 0, 2])


def unique(function, *args):
    found = equations(jax.make_jaxpr(function)(*args).jaxpr, "scatter")
    return [equation.params["unique_indices"] for equation in found]


def windows(x, y):
    """Rows of two, of which the first and the third overlap."""
    numbers = jax.lax.ScatterDimensionNumbers((1,), (), (0,))
    return jax.lax.scatter_add(x, jnp.array([[0], [3], [1]]), y[:3, :2], numbers)


def scanned(x, y):
    return jax.lax.scan(lambda x, one: (x.at[jnp.asarray(ROWS)].add(one), x.sum()), x, jnp.stack([y[:, 0], y[:, 1]]))


def while_below(x, y):
    return jax.lax.while_loop(lambda x: x.sum() < 100, lambda x: x.at[jnp.asarray(PLACES)].add(1 + y[:3, 0] ** 2), x)


def branched(x, y):
    places = jnp.asarray(PLACES)
    return jax.lax.cond(y[0, 0] > 0, lambda: x.at[places].set(y[:3, 0]), lambda: x.at[places - 5].mul(y[:3, 0]))


def by_environment(x, y):
    return jax.vmap(lambda one: x.at[jnp.mod(jnp.arange(3) + 1, 4)].multiply(one[:3]))(y)


def nested(x, y):
    return jax.jit(lambda x: jax.jit(lambda x: x.at[jnp.asarray(ROWS)].min(y[:, 1]))(x) * 2)(x)


CASES = {
    "places": (lambda x, y: x.at[jnp.asarray(PLACES)].set(y[:3, 0]), 1),
    "rows that come again": (lambda x, y: x.at[jnp.asarray(ROWS)].add(y[:, 0]), 3),
    "of two dimensions": (lambda x, y: y.at[jnp.asarray(ROWS), jnp.asarray(ROWS) % 2].add(x), 3),
    "beyond the end": (lambda x, y: x.at[jnp.array([2, 9, -1, -9])].add(y[:4, 1], mode="drop"), 1),
    "one row that is not known": (lambda x, y: x.at[jnp.argmax(y[:, 0])].set(0.0), 1),
    "windows": (windows, 2),
    "in a scan": (scanned, 3),
    "in a while": (while_below, 1),
    "in branches": (branched, 2),
    "by environment": (by_environment, 1),
    "in functions of functions": (nested, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_results_are_the_same_and_every_place_is_written_once(name):
    function, count = CASES[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=6).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    assert not all(unique(function, x, y)) or name == "one row that is not known", "there is something to do"
    told = distinct(function)
    assert unique(told, x, y) == [True] * count
    for ours, theirs in zip(
        jax.tree.leaves(jax.jit(told)(x, y)), jax.tree.leaves(jax.jit(function)(x, y)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_any_rows_of_any_windows_are_added_as_numpy_adds_them(seed):
    """Whole numbers, whose sums are exact in any order, and assignments, of which the last row's stays."""
    rng = np.random.default_rng(seed)
    rows, reach = int(rng.integers(2, 12)), int(rng.integers(1, 4))
    begin = rng.integers(0, 10 - reach, (rows, 1))
    updates = rng.integers(-9, 9, (rows, reach)).astype(np.float32)
    numbers = jax.lax.ScatterDimensionNumbers((1,), (), (0,))
    added, last = np.zeros(10, np.float32), np.zeros(10, np.float32)
    for (start,), update in zip(begin, updates, strict=True):
        added[start : start + reach] += update
        last[start : start + reach] = update
    for scatter, expected in ((jax.lax.scatter_add, added), (jax.lax.scatter, last)):
        told = distinct(lambda x, y: scatter(x, jnp.asarray(begin), y, numbers))  # noqa: B023
        assert all(unique(told, np.zeros(10, np.float32), updates))
        np.testing.assert_array_equal(told(jnp.zeros(10), updates), expected)


def test_rows_that_are_not_known_stay_as_they_are():
    x, index, y = jnp.zeros(6), jnp.array(ROWS), jnp.ones(6)
    function = lambda x, index, y: x.at[index].add(y)  # noqa: E731
    assert unique(distinct(function), x, index, y) == [False]
    np.testing.assert_array_equal(distinct(function)(x, index, y), function(x, index, y))
    # Held within the array, rows that differ may come to one place.
    held = lambda x, y: x.at[jnp.array([7, 8])].add(y[:2], mode="clip")  # noqa: E731
    assert unique(distinct(held), x, y) == [False]
    np.testing.assert_array_equal(distinct(held)(x, y), held(x, y))


def test_a_carry_that_begins_known_is_not_taken_for_a_constant():
    def counted(x):
        return jax.lax.fori_loop(0, 4, lambda i, x: x.at[i + jnp.arange(2)].add(1.0), x)

    np.testing.assert_array_equal(distinct(counted)(jnp.zeros(6)), counted(jnp.zeros(6)))


def test_physics_in_jax_writes_in_a_defined_order_and_multiplies_in_float32_on_accelerators():
    """And on a CPU it is left as it is."""
    environment = envs.make("brax/inverted_pendulum", 2)
    state, _ = jax.eval_shape(environment.reset, jax.random.split(jax.random.key(0), 2))
    step = lambda state, action: environment.step(state, action)  # noqa: E731
    assert not all(unique(step, state, jnp.zeros((2, 1))))
    with platforms.assume("gpu"):
        said = unique(lambda state, action: environment.step(state, action), state, jnp.zeros((2, 1)))
        products = precisions(lambda state, action: environment.step(state, action), state, jnp.zeros((2, 1)))
    assert said
    assert all(said)
    assert products
    assert {*products} == {(jax.lax.Precision.HIGHEST,) * 2}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brax/halfcheetah", "playground/CheetahRun"])
def test_physics_is_the_same_with_scatters_cut(name):
    keys = jax.random.split(jax.random.key(0), 2)
    size = envs.make(name, 2).action_spec.size
    actions = jax.random.uniform(jax.random.key(1), (5, 2, size), minval=-1.0)

    def play(platform):
        with platforms.assume(platform):
            environment = envs.make(name, 2)
            state, first = jax.jit(lambda keys: environment.reset(keys))(keys)
            _, timesteps = jax.jit(lambda s: jax.lax.scan(environment.step, s, actions))(state)
        return first.observation, timesteps.observation, timesteps.reward

    for ours, theirs in zip(jax.tree.leaves(play("gpu")), jax.tree.leaves(play("cpu")), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
