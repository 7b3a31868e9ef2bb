"""Returns, operators and the scalar representation against rlax and plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax

from jaxq.bellman import Scalar, huber, n_step_return, operators
from jaxq.errors import InputError


def test_n_step_return_by_hand():
    rewards = jnp.array([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    steps = jnp.array([3, 2, 1])
    terminated = jnp.array([False, False, True])
    returns, discount = n_step_return(rewards, steps, terminated, jnp.float32(0.5))
    np.testing.assert_allclose(returns, [1 + 1 + 1, 1 + 1, 3])
    np.testing.assert_allclose(discount, [0.125, 0.25, 0.0])


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
