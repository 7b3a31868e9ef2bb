"""Representations of the return: against rlax, brute force and closed forms, by property, and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxq.bellman import (
    Categorical,
    Expectile,
    HLGauss,
    ImplicitQuantile,
    Mapped,
    Quantile,
    Scalar,
    SignedHyperbolic,
    Support,
    Symlog,
    TwoHot,
    operators,
)
from jaxq.bellman.categorical import project
from jaxq.bellman.quantile import midpoints, quantile_huber_loss
from jaxq.errors import InputError

SUPPORT = Support(-4.0, 6.0, 21)
REPRESENTATIONS = {
    "scalar": Scalar(),
    "huber": Scalar(1.0),
    "categorical": Categorical(SUPPORT),
    "two-hot": TwoHot(SUPPORT),
    "hl-gauss": HLGauss(SUPPORT),
    "quantile": Quantile(7),
    "implicit": ImplicitQuantile(),
    "expectile": Expectile(5),
    "mapped": Mapped(Scalar(), Symlog()),
}


def brute_force_projection(support, values, probabilities):
    """Atom by atom, mass by mass, from the definition."""
    atoms = np.linspace(support.low, support.high, support.size)
    out = np.zeros((len(values), support.size))
    for b in range(len(values)):
        for value, mass in zip(np.clip(values[b], support.low, support.high), probabilities[b], strict=True):
            for i, atom in enumerate(atoms):
                out[b, i] += mass * max(0.0, 1.0 - abs(value - atom) / (atoms[1] - atoms[0]))
    return out


def masses(seed, batch, size):
    return np.asarray(jax.nn.softmax(2 * jax.random.normal(jax.random.key(seed), (batch, size))))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(-12, 12), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_projection_equals_brute_force_and_keeps_mass_and_mean(seed, reward, discount):
    values = reward + discount * np.asarray(SUPPORT.atoms)[None]
    probabilities = masses(seed, 1, SUPPORT.size)
    out = np.asarray(project(SUPPORT, jnp.asarray(values, jnp.float32), jnp.asarray(probabilities)))
    np.testing.assert_allclose(out, brute_force_projection(SUPPORT, values, probabilities), atol=1e-5)
    np.testing.assert_allclose(out.sum(), 1.0, rtol=1e-5)
    assert (out >= 0).all()
    clipped_mean = (np.clip(values, SUPPORT.low, SUPPORT.high) * probabilities).sum()
    np.testing.assert_allclose((out * np.asarray(SUPPORT.atoms)).sum(), clipped_mean, atol=1e-4)


def test_projection_equals_rlax():
    values = 3 * jax.random.normal(jax.random.key(0), (16, 9))
    values = jnp.sort(values, axis=1)
    probabilities = jnp.asarray(masses(1, 16, 9))
    expected = jax.vmap(rlax.categorical_l2_project, (0, 0, None))(values, probabilities, SUPPORT.atoms)
    np.testing.assert_allclose(project(SUPPORT, values, probabilities), expected, atol=1e-4)


def test_projection_is_exact_on_aligned_atoms():
    """A reward of two atom distances shifts the masses by two, and piles what falls off on the last atom."""
    probabilities = masses(0, 1, SUPPORT.size)
    out = np.asarray(project(SUPPORT, SUPPORT.atoms[None] + 2 * SUPPORT.step, jnp.asarray(probabilities)))
    expected = np.zeros(SUPPORT.size)
    expected[2:] = probabilities[0, :-2]
    expected[-1] += probabilities[0, -2:].sum()
    np.testing.assert_allclose(out[0], expected, atol=1e-5)


def test_projection_is_monotone():
    """Moving mass up never makes the projected distribution function larger."""
    low = jnp.sort(3 * jax.random.normal(jax.random.key(0), (8, 5)), axis=1)
    high = low + jax.random.uniform(jax.random.key(1), low.shape)
    probabilities = jnp.asarray(masses(2, 8, 5))
    cdf_low, cdf_high = (jnp.cumsum(project(SUPPORT, v, probabilities), axis=1) for v in (low, high))
    assert (cdf_high <= cdf_low + 1e-5).all()


def test_both_ways_of_projecting_agree(monkeypatch):
    values = 4 * jax.random.normal(jax.random.key(0), (6, 21))
    probabilities = jnp.asarray(masses(3, 6, 21))
    on_cpu = project(SUPPORT, values, probabilities)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_allclose(project(SUPPORT, values, probabilities), on_cpu, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(-10, 10))
def test_encodings_of_a_scalar(value):
    inside = np.clip(value, SUPPORT.low, SUPPORT.high)
    two_hot = np.asarray(TwoHot(SUPPORT).encode(jnp.array([value])))[0]
    np.testing.assert_allclose(two_hot @ np.asarray(SUPPORT.atoms), inside, atol=1e-4)
    assert (two_hot > 1e-6).sum() <= 2
    smooth = np.asarray(HLGauss(SUPPORT, 0.75).encode(jnp.array([value])))[0]
    np.testing.assert_allclose(smooth.sum(), 1.0, rtol=1e-5)
    edges = (np.arange(SUPPORT.size + 1) - 0.5) * SUPPORT.step + SUPPORT.low
    truncated = scipy.stats.norm.cdf(edges, inside, 0.75 * SUPPORT.step)
    np.testing.assert_allclose(smooth, np.diff(truncated) / (truncated[-1] - truncated[0]), atol=1e-5)
    # Away from the ends the mean is kept.
    if abs(value - 1) < 2.5:
        np.testing.assert_allclose(smooth @ np.asarray(SUPPORT.atoms), value, atol=1e-2)


def test_quantile_loss_equals_rlax():
    values, target = jax.random.normal(jax.random.key(0), (2, 8, 6))
    fractions = jnp.sort(jax.random.uniform(jax.random.key(1), (8, 6)))
    for threshold in (0.0, 1.0, 0.5):
        ours = quantile_huber_loss(values, fractions, target, threshold)
        expected = jax.vmap(lambda v, f, t, k=threshold: rlax.quantile_regression_loss(v, f, t, k))(
            values, fractions, target
        )
        # rlax leaves out the division by κ of the paper's eq. 10.
        np.testing.assert_allclose(ours, expected / (threshold or 1.0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("representation", "reference"),
    [(Quantile(9, 0.0), "quantile"), (Expectile(9), "expectile")],
)
def test_regression_finds_the_statistics_of_a_sample(representation, reference):
    """Minimizing the loss against fixed samples gives their quantiles, or their expectiles."""
    samples = np.sort(np.random.default_rng(0).gamma(2.0, size=301)).astype(np.float32)
    optimizer = optax.adam(optax.linear_schedule(0.05, 0.0005, 3000))

    @jax.jit
    def fit():
        def step(carry, _):
            prediction, state = carry
            gradient = jax.grad(lambda p: representation.loss(p[None], jnp.asarray(samples)[None]).sum())(prediction)
            update, state = optimizer.update(gradient, state)
            return (prediction + update, state), None

        start = jnp.zeros(representation.width)
        return jax.lax.scan(step, (start, optimizer.init(start)), None, 4000)[0][0]

    fractions = np.asarray(midpoints(9))
    if reference == "quantile":
        expected = np.quantile(samples, fractions)
    else:
        expected = []
        for fraction in fractions:  # the root of τ E[(x - e)+] = (1 - τ) E[(e - x)+]
            low, high = samples.min(), samples.max()
            for _ in range(60):
                e = (low + high) / 2
                balance = (
                    fraction * np.maximum(samples - e, 0).mean() - (1 - fraction) * np.maximum(e - samples, 0).mean()
                )
                low, high = (e, high) if balance > 0 else (low, e)
            expected.append(e)
    np.testing.assert_allclose(fit(), expected, atol=0.05)


@pytest.mark.parametrize("name", list(REPRESENTATIONS))
@pytest.mark.parametrize(("reward", "discount"), [(0.0, 0.0), (1e4, 0.9), (-1e4, 1.0), (0.3, 1.0)])
def test_gradients_are_finite_at_the_edges(name, reward, discount):
    representation = REPRESENTATIONS[name]
    width = 12 if name == "implicit" else representation.width
    following = jnp.zeros((2, 3, width))  # equal quantiles, uniform atoms
    weights = jnp.full((2, 3), 1 / 3)
    target = representation.target(jnp.full(2, reward), jnp.full(2, discount), following, weights)
    value, gradient = jax.value_and_grad(lambda p: representation.loss(p, target).sum())(jnp.zeros((2, width)))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", list(REPRESENTATIONS))
def test_the_mean_is_backed_up(name):
    """mean(target) = r + γ Σ w mean(next), for all that stays inside the support: the Bellman equation itself."""
    representation = REPRESENTATIONS[name]
    width = 12 if name == "implicit" else representation.width
    following = 0.3 * jax.random.normal(jax.random.key(0), (5, 3, width))
    weights = jnp.asarray(masses(1, 5, 3))
    reward = 0.2 * jax.random.normal(jax.random.key(2), (5,))
    target = representation.target(reward, jnp.full(5, 0.5), following, weights)
    expected = reward + 0.5 * jnp.sum(weights * representation.mean(following), axis=1)
    if name in ("categorical", "two-hot", "hl-gauss"):
        found = target @ SUPPORT.atoms
    elif name == "mapped":
        found = Symlog().inverse(target[:, 0])
    else:
        found = target.mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3 if name == "hl-gauss" else 1e-4)


@pytest.mark.parametrize("name", list(REPRESENTATIONS))
def test_representations_work_under_vmap_and_in_bfloat16(name):
    representation = REPRESENTATIONS[name]
    width = 12 if name == "implicit" else representation.width
    following = 0.3 * jax.random.normal(jax.random.key(0), (4, 5, 3, width))
    weights = jnp.full((5, 3), 1 / 3)
    reward, discount = jnp.zeros(5), jnp.full(5, 0.9)
    batched = jax.vmap(representation.target, (None, None, 0, None))(reward, discount, following, weights)
    for i in range(4):
        alone = representation.target(reward, discount, following[i], weights)
        np.testing.assert_allclose(batched[i], alone, rtol=1e-4, atol=1e-5)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (reward, discount, following[0], weights))
    coarse = representation.target(*half)
    np.testing.assert_allclose(np.asarray(coarse, np.float32), batched[0], atol=0.05)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e4, 1e4))
def test_mappings_are_inverted(value):
    for mapping in (SignedHyperbolic(), SignedHyperbolic(0.01), Symlog()):
        there = mapping.forward(jnp.float32(value))
        np.testing.assert_allclose(mapping.inverse(there), value, rtol=2e-3, atol=1e-3)


def test_signed_hyperbolic_equals_rlax():
    x = jnp.linspace(-50, 50, 101)
    np.testing.assert_allclose(SignedHyperbolic(1e-3).forward(x), rlax.signed_hyperbolic(x, 1e-3), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(SignedHyperbolic(1e-2).inverse(x), rlax.signed_parabolic(x, 1e-2), rtol=1e-2, atol=1e-2)


def test_operators_by_their_equations():
    q = jax.random.normal(jax.random.key(0), (6, 4))
    action = jnp.array([0, 1, 2, 3, 0, 1])
    tau = 0.5
    soft = operators.Soft(tau)
    value = jnp.sum(soft.weights(q, q) * q, axis=1) + soft.next_bonus(q)
    np.testing.assert_allclose(value, tau * jax.nn.logsumexp(q / tau, axis=1), rtol=1e-5)
    mellow = operators.Mellowmax(3.0)
    value = jnp.sum(mellow.weights(q, q) * q, axis=1) + mellow.next_bonus(q)
    np.testing.assert_allclose(value, jnp.log(jnp.mean(jnp.exp(3.0 * q), axis=1)) / 3.0, rtol=1e-4)
    expected = operators.Expected(0.2)
    np.testing.assert_allclose(
        jnp.sum(expected.weights(q, q) * q, axis=1), 0.8 * q.max(axis=1) + 0.2 * q.mean(axis=1), rtol=1e-5
    )
    munchausen = operators.Munchausen(0.03, 0.9, -1.0)
    bonus = munchausen.reward_bonus(q, action)
    log_policy = jnp.log(jax.nn.softmax(q / 0.03, axis=1))[jnp.arange(6), action]
    np.testing.assert_allclose(bonus, 0.9 * jnp.clip(0.03 * log_policy, -1, 0), rtol=1e-4, atol=1e-5)
    gap = operators.AdvantageLearning(scale=0.5)
    np.testing.assert_allclose(
        gap.reward_bonus(q, action), -0.5 * (q.max(axis=1) - q[jnp.arange(6), action]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Support(1.0, 1.0, 5), "v_max"),
        (lambda: Support(2.0, 1.0, 5), "v_max"),
        (lambda: Support(0.0, 1.0, 0), "num_atoms"),
        (lambda: Support(float("nan"), 1.0, 5), "v_min"),
        (lambda: Quantile(0), "num_quantiles"),
        (lambda: Quantile(5, -1.0), "huber_threshold"),
        (lambda: Expectile(4), "num_expectiles"),
        (lambda: HLGauss(SUPPORT, 0.0), "smoothing"),
        (lambda: SignedHyperbolic(0.0), "epsilon"),
    ],
)
def test_impossible_representations_are_named(make, named):
    with pytest.raises(InputError, match=named):
        make()
