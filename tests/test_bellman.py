"""Returns, operators and the scalar representation against rlax and plain loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax
from jaxprs import precisions

from jaxq.bellman import Scalar, cut_at_end, huber, lambda_return, n_step_return, operators, retrace_return
from jaxq.errors import InputError


def test_n_step_return_by_hand():
    rewards = jnp.array([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    steps = jnp.array([3, 2, 1])
    terminated = jnp.array([False, False, True])
    returns, discount = n_step_return(rewards, steps, terminated, jnp.float32(0.5))
    np.testing.assert_allclose(returns, [1 + 1 + 1, 1 + 1, 3])
    np.testing.assert_allclose(discount, [0.125, 0.25, 0.0])
    with jax.default_matmul_precision("BF16_BF16_F32"):  # which returns are not in, whatever networks are in
        assert precisions(n_step_return, rewards, steps, terminated, 0.5) == [(jax.lax.Precision.HIGHEST,) * 2]


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_n_step_return_at_the_ends_of_the_discount(discount):
    returns, following = n_step_return(
        jnp.array([[1.0, 2.0]]), jnp.array([2]), jnp.array([False]), jnp.float32(discount)
    )
    np.testing.assert_allclose(returns, [3.0 if discount else 1.0])
    np.testing.assert_allclose(following, [discount])


def test_n_step_return_equals_rlax_on_whole_sequences():
    key = jax.random.key(0)
    rewards = jax.random.normal(key, (5,))
    values = jax.random.normal(jax.random.key(1), (5,))
    expected = rlax.n_step_bootstrapped_returns(rewards, jnp.full(5, 0.9), values, n=3)
    windows = jnp.stack([rewards[t : t + 3] for t in range(3)])
    returns, discount = n_step_return(windows, jnp.full(3, 3), jnp.zeros(3, bool), jnp.float32(0.9))
    np.testing.assert_allclose(returns + discount * values[2:], expected[:3], rtol=1e-5)


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
def test_lambda_return_equals_rlax(trace):
    rewards, values = jax.random.normal(jax.random.key(0), (2, 7, 3))
    discounts = 0.9 * jax.random.bernoulli(jax.random.key(1), 0.8, (7, 3))
    expected = jax.vmap(rlax.lambda_returns, (1, 1, 1, None), 1)(rewards, discounts, values, trace)
    np.testing.assert_allclose(lambda_return(rewards, discounts, values, trace), expected, rtol=1e-5, atol=1e-6)


def test_lambda_return_at_its_ends_is_one_step_and_monte_carlo():
    rewards, values = jax.random.normal(jax.random.key(0), (2, 5))
    discounts = jnp.full(5, 0.9)
    np.testing.assert_allclose(lambda_return(rewards, discounts, values, 0.0), rewards + 0.9 * values, rtol=1e-6)
    whole = lambda_return(rewards, discounts, values, 1.0)
    powers = 0.9 ** np.arange(5)
    np.testing.assert_allclose(whole[0], (powers * rewards).sum() + 0.9**5 * values[-1], rtol=1e-5)


def test_a_trace_of_zero_cuts_the_return_at_a_truncation():
    rewards, values = jax.random.normal(jax.random.key(0), (2, 6))
    discounts, trace = jnp.full(6, 0.9), jnp.full(6, 0.7).at[2].set(0.0)
    whole = lambda_return(rewards, discounts, values, trace)
    np.testing.assert_allclose(whole[2], rewards[2] + 0.9 * values[2], rtol=1e-6)
    alone = lambda_return(rewards[:3], discounts[:3], values[:3], trace[:3])
    np.testing.assert_allclose(whole[:3], alone, rtol=1e-6)


def test_retrace_equals_rlax():
    q_tm1, q_t = jax.random.normal(jax.random.key(0), (2, 6, 4))
    a_tm1, a_t = jax.random.randint(jax.random.key(1), (2, 6), 0, 4)
    reward = jax.random.normal(jax.random.key(2), (6,))
    discount = jnp.full(6, 0.9)
    policy = jax.nn.softmax(jax.random.normal(jax.random.key(3), (6, 4)))
    behaviour = jax.random.uniform(jax.random.key(4), (6,), minval=0.1)
    errors = rlax.retrace(q_tm1, q_t, a_tm1, a_t, reward, discount, policy, behaviour, 0.8)
    taken = q_t[jnp.arange(6), a_t]
    ours = retrace_return(
        reward, discount, taken, jnp.sum(policy * q_t, axis=1), policy[jnp.arange(6), a_t] / behaviour, 0.8
    )
    np.testing.assert_allclose(ours - q_tm1[jnp.arange(6), a_tm1], errors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("operator", [operators.Maximum(), operators.Double()])
def test_td_error_equals_rlax(operator):
    q_tm1, q_online, q_target = jax.random.normal(jax.random.key(0), (3, 16, 4))
    action = jax.random.randint(jax.random.key(1), (16,), 0, 4)
    reward = jax.random.normal(jax.random.key(2), (16,))
    discount = jax.random.uniform(jax.random.key(3), (16,))
    if isinstance(operator, operators.Maximum):
        expected = jax.vmap(rlax.q_learning)(q_tm1, action, reward, discount, q_target)
    else:
        expected = jax.vmap(rlax.double_q_learning)(q_tm1, action, reward, discount, q_target, q_online)
    weights = operator.weights(q_online, q_target)
    target = Scalar().target(reward, discount, q_target[..., None], weights)
    error = target[:, 0] - q_tm1[jnp.arange(16), action]
    np.testing.assert_allclose(error, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.5, 1.0, 3.0])
def test_huber_equals_optax(threshold):
    error = jnp.linspace(-5, 5, 101)
    np.testing.assert_allclose(huber(error, threshold), optax.huber_loss(error, delta=threshold), rtol=1e-5, atol=1e-7)
    gradient = jax.vmap(jax.grad(lambda e: huber(e, threshold)))(error)
    np.testing.assert_allclose(gradient, np.clip(error, -threshold, threshold), rtol=1e-5, atol=1e-6)


def test_squared_loss_is_half_the_square():
    loss = Scalar().loss(jnp.array([[3.0], [0.0]]), jnp.array([[1.0], [0.5]]))
    np.testing.assert_allclose(loss, [2.0, 0.125])


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_huber_threshold_must_be_positive(threshold):
    with pytest.raises(InputError, match="huber_threshold"):
        Scalar(threshold)


def test_a_window_ends_where_its_first_episode_does_over_all_patterns_of_ends():
    """Each of three steps goes on, terminates or truncates: what lies behind the first end is another window's."""
    patterns = np.array(list(itertools.product(range(3), repeat=3)))
    terminated, ended = patterns == 1, patterns > 0
    rewards = np.arange(1.0, 4.0) * np.ones((27, 3))
    for limit in (None, 1, 2, 3):
        found, steps, terminal = cut_at_end(jnp.asarray(rewards), jnp.asarray(terminated), jnp.asarray(ended), limit)
        for b, pattern in enumerate(patterns):
            expected, m = np.zeros(3), 0
            while m < (limit or 3):
                expected[m] = rewards[b, m]
                m += 1
                if pattern[m - 1]:
                    break
            np.testing.assert_array_equal(found[b], expected)
            assert (int(steps[b]), bool(terminal[b])) == (m, pattern[m - 1] == 1)
    channels = jnp.asarray(np.stack([rewards, -rewards], axis=-1))
    both, _, _ = cut_at_end(channels, jnp.asarray(terminated), jnp.asarray(ended))
    np.testing.assert_array_equal(both[..., 0], cut_at_end(channels[..., 0], terminated, jnp.asarray(ended))[0])
    np.testing.assert_array_equal(both[..., 1], -both[..., 0])
