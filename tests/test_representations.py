"""Representations of the return: against rlax, brute force and closed forms, by property, and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import precisions
from representations import CASES, ELSEWHERE

from jaxq import bellman, platforms
from jaxq.bellman import (
    ByMagnitude,
    Categorical,
    Decomposed,
    EachPart,
    Expectile,
    FullyParameterizedQuantile,
    Gaussian,
    HLGauss,
    HybridReward,
    Identity,
    ImplicitQuantile,
    ItakuraSaito,
    Logarithmic,
    Mapped,
    Particles,
    Quantile,
    RiskSensitive,
    Scalar,
    ScaledGaussian,
    SignedHyperbolic,
    StockAugmented,
    Support,
    Symlog,
    TwoHot,
    base,
    by_sign,
    by_sign_and_size,
    gains_and_losses,
    operators,
    risk,
    solve_matrix_game,
)
from jaxq.bellman.categorical import project
from jaxq.bellman.particles import squared_mmd
from jaxq.bellman.quantile import midpoints, quantile_huber_loss
from jaxq.errors import InputError
from jaxq.tabular import matrix_game_value

SUPPORT = Support(-4.0, 6.0, 21)
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def test_the_list_of_representations_is_whole():
    kinds = {kind for kind in vars(bellman).values() if isinstance(kind, type) and hasattr(kind, "loss")}
    abstract = {kind for kind in vars(base).values() if isinstance(kind, type)} - ELSEWHERE
    assert kinds - abstract - ELSEWHERE == {type(case.representation) for case in CASES.values()}


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


def test_both_ways_of_projecting_agree():
    values = 4 * jax.random.normal(jax.random.key(0), (6, 21))
    probabilities = jnp.asarray(masses(3, 6, 21))
    on_cpu = project(SUPPORT, values, probabilities)
    with platforms.assume("gpu"):
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


@EVERY
@pytest.mark.parametrize(("reward", "discount"), [(0.0, 0.0), (1e4, 0.9), (-1e4, 1.0), (0.3, 1.0)])
def test_gradients_are_finite_at_the_edges(case, reward, discount):
    representation = case.representation
    following = case.prediction((2, 3))  # equal quantiles, uniform atoms
    weights = jnp.full((2, 3), 1 / 3)
    target = representation.target(jnp.full(2, reward), jnp.full(2, discount), following, weights)
    value, gradient = jax.value_and_grad(lambda p: representation.loss(p, target).sum())(case.prediction((2,)))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@EVERY
def test_the_mean_is_backed_up(case):
    """mean(target) = r + γ Σ w mean(next), for all that stays inside the support: the Bellman equation itself."""
    representation = case.representation
    following = case.prediction((5, 3), jax.random.key(0))
    weights = jnp.asarray(masses(1, 5, 3))
    reward = 0.2 * jax.random.normal(jax.random.key(2), (5,))
    target = representation.target(reward, jnp.full(5, 0.5), following, weights)
    expected = reward + 0.5 * jnp.sum(weights * (case.backed_up or representation).value(following), axis=1)
    atol = 2e-3 if isinstance(representation, HLGauss) else 1e-4
    np.testing.assert_allclose(case.target_mean(target), expected, rtol=1e-3, atol=atol)


@EVERY
def test_representations_work_under_vmap_and_in_bfloat16(case):
    representation = case.representation
    following = case.prediction((4, 5, 3), jax.random.key(0))
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
    shifted = Logarithmic(0.7, 0.3, 1.0, 2e4)
    for mapping in (SignedHyperbolic(), SignedHyperbolic(0.01), Symlog(), Identity(), Logarithmic(0.7, 0.3), shifted):
        if isinstance(mapping, Logarithmic):
            value = abs(value)
        there = mapping.forward(jnp.float32(value))
        np.testing.assert_allclose(mapping.inverse(there), value, rtol=2e-3, atol=1e-3)


def test_signed_hyperbolic_equals_rlax():
    x = jnp.linspace(-50, 50, 101)
    np.testing.assert_allclose(SignedHyperbolic(1e-3).forward(x), rlax.signed_hyperbolic(x, 1e-3), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(SignedHyperbolic(1e-2).inverse(x), rlax.signed_parabolic(x, 1e-2), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(SignedHyperbolic(0.3).inverse(x), rlax.signed_parabolic(x, 0.3), rtol=1e-5, atol=1e-5)


def test_operators_by_their_equations():
    """Of two steps of three environments each, as of a segment; with the papers' numbers where they are defaults."""
    q = jax.random.normal(jax.random.key(0), (2, 3, 4))
    action = jnp.array([[0, 1, 2], [3, 0, 1]])
    taken = jnp.take_along_axis(q, action[..., None], 2)[..., 0]
    tau = 0.5
    soft = operators.Soft(tau)
    value = jnp.sum(soft.weights(q, q) * q, axis=2) + soft.next_bonus(q)
    np.testing.assert_allclose(value, tau * jax.nn.logsumexp(q / tau, axis=2), rtol=1e-5)
    mellow = operators.Mellowmax(3.0)
    value = jnp.sum(mellow.weights(q, q) * q, axis=2) + mellow.next_bonus(q)
    np.testing.assert_allclose(value, jnp.log(jnp.mean(jnp.exp(3.0 * q), axis=2)) / 3.0, rtol=1e-4)
    expected = operators.Expected(0.2)
    np.testing.assert_allclose(
        jnp.sum(expected.weights(q, q) * q, axis=2), 0.8 * q.max(axis=2) + 0.2 * q.mean(axis=2), rtol=1e-5
    )
    # τ log π(a|s) = q(s, a) - τ log Σ exp(q / τ), which goes below the floor here.
    log_policy = taken - 0.03 * jax.nn.logsumexp(q / 0.03, axis=2)
    assert log_policy.min() < -1.4
    np.testing.assert_allclose(
        operators.Munchausen(0.03).reward_bonus(q, action), 0.9 * np.clip(log_policy, -1, 0), rtol=1e-4, atol=1e-5
    )
    for gap, scale in ((operators.AdvantageLearning(scale=0.5), 0.5), (operators.AdvantageLearning(), 0.9)):
        np.testing.assert_allclose(gap.reward_bonus(q, action), scale * (taken - q.max(axis=2)), rtol=1e-5, atol=1e-6)
    for bonus in (expected.next_bonus(q), expected.reward_bonus(q, action)):
        np.testing.assert_array_equal(bonus, np.zeros((2, 3), np.float32), strict=True)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Support(1.0, 1.0, 5), "v_max"),
        (lambda: Support(2.0, 1.0, 5), "v_max"),
        (lambda: Support(0.0, 1.0, 0), "num_atoms"),
        (lambda: Support(float("nan"), 1.0, 5), "^v_min is nan"),
        (lambda: Support(float("-inf"), 1.0, 5), "^v_min is -inf"),
        (lambda: Quantile(0), "num_quantiles"),
        (lambda: Quantile(5, -1.0), "huber_threshold"),
        (lambda: Expectile(4), "num_expectiles"),
        (lambda: HLGauss(SUPPORT, 0.0), "smoothing"),
        (lambda: quantile_huber_loss(jnp.zeros((1, 2)), jnp.array([0.5, 1.0]), jnp.zeros((1, 2)), 1.0), "fractions"),
        (lambda: quantile_huber_loss(jnp.zeros((1, 2)), jnp.array([0.0, 0.5]), jnp.zeros((1, 2)), 1.0), "fractions"),
        (lambda: SignedHyperbolic(0.0), "epsilon"),
        (lambda: Logarithmic(offset=0.0), "offset"),
        (lambda: Mapped(Scalar(), Symlog(), 0.0), "averaging_rate"),
        (lambda: FullyParameterizedQuantile(1), "num_quantiles"),
        (lambda: Gaussian(0.0), "smallest_std"),
        (lambda: Particles(0), "num_particles"),
        (lambda: Particles(3, bandwidths=(1.0, -1.0)), "bandwidths"),
        (lambda: Particles(3, bandwidths=(1.0, 0.0)), "bandwidths"),
        (lambda: Particles(3, bandwidths=()), "bandwidths"),
        (lambda: ItakuraSaito(0.0), "risk_aversion"),
        (lambda: ByMagnitude((1.0, 0.0)), "edges"),
        (lambda: ByMagnitude((1.0, 1.0)), "edges"),
        (lambda: Decomposed((Scalar(), Scalar()), (1.0,)), "coefficients"),
        (lambda: Decomposed((Scalar(), Quantile(3)), (1.0, 1.0)), "representations"),
        (lambda: risk.CVaR(0.0), "level"),
        (lambda: risk.CVaR(1.5), "level"),
        (lambda: risk.CPW(0.2), "exponent"),
        (lambda: risk.Wang(float("inf")), "shift"),
        (lambda: risk.Entropic(0.0), "risk_aversion"),
    ],
)
def test_impossible_representations_are_named(make, named):
    with pytest.raises(InputError, match=named):
        make()


def test_the_fractions_gradient_is_that_of_the_wasserstein_error():
    """Proposition 1 of the FQF paper, against the numeric derivative of the error itself, for F⁻¹(τ) = τ³."""
    inverse_cdf = lambda t: t**3  # noqa: E731
    fractions = np.array([0.2, 0.5, 0.9])

    def wasserstein(fractions):
        ends = np.concatenate([[0.0], fractions, [1.0]])
        fine = (np.arange(200_000) + 0.5) / 200_000
        cell = np.searchsorted(ends[1:-1], fine, side="right")
        return np.abs(inverse_cdf(fine) - inverse_cdf((ends[cell] + ends[cell + 1]) / 2)).mean()

    expected = [
        (wasserstein(fractions + h) - wasserstein(fractions - h)) / 2e-3
        for h in 1e-3 * np.eye(3)
    ]  # fmt: skip
    representation = FullyParameterizedQuantile(4)
    ends = jnp.asarray([*fractions, 1.0])
    midpoint = ends - 0.5 * jnp.diff(ends, prepend=0.0)
    values, at_ends = inverse_cdf(midpoint), inverse_cdf(ends[:-1])

    def loss(ends):
        return representation.loss(jnp.concatenate([values, ends, at_ends])[None], jnp.zeros((1, 4)))[0]

    np.testing.assert_allclose(jax.grad(loss)(ends)[:3], expected, atol=2e-3)


def test_gaussian_loss_is_a_cross_entropy_and_its_backup_has_the_mixture_s_moments():
    representation = Gaussian()
    prediction = jnp.array([[0.7, -0.4]])
    target = jnp.array([[1.5, 0.8**2]])
    x = np.random.default_rng(0).normal(1.5, 0.8, 400_000)
    expected = -scipy.stats.norm.logpdf(x, 0.7, np.exp(-0.4)).mean() - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(representation.loss(prediction, target)[0], expected, rtol=1e-2)
    following = jnp.array([[[1.0, 0.0], [3.0, -1.0]]])
    out = representation.target(jnp.array([0.5]), jnp.array([0.9]), following, jnp.array([[0.25, 0.75]]))[0]
    mixture = np.concatenate(
        [np.random.default_rng(1).normal(1, 1, 100_000), np.random.default_rng(2).normal(3, np.exp(-1), 300_000)]
    )
    np.testing.assert_allclose(out, [(0.5 + 0.9 * mixture).mean(), (0.9 * mixture).var()], rtol=1e-2)


@pytest.mark.parametrize(
    ("representation", "rest"), [(Gaussian(num_points=5), np.log), (ScaledGaussian(num_points=5), lambda std: std)]
)
def test_gaussians_are_their_quantiles_and_as_urgent_as_their_means_are_off(representation, rest):
    mean, std = np.array([[0.7, -2.0, 0.3], [1.9, 5.0, -0.4]]), np.array([[0.2, 1.4, 3.0], [0.6, 2.5, 0.9]])
    others = [np.full((2, 3), other) for other in (1.7, -0.8)][: representation.width - 2]
    prediction = jnp.asarray(np.stack([mean, rest(std), *others], axis=-1))
    values, probabilities = representation.distribution(prediction)
    quantiles = [scipy.stats.norm.ppf(fraction, mean, std) for fraction in (0.1, 0.3, 0.5, 0.7, 0.9)]
    np.testing.assert_allclose(values, np.stack(quantiles, axis=-1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, 0.2, rtol=1e-6)
    np.testing.assert_array_equal(representation.value(prediction), prediction[..., 0])
    target = jnp.array([[1.5, 9.0], [1.2, -7.0]])
    np.testing.assert_allclose(representation.priority(prediction[:, 0], target), [0.8, 0.7], rtol=1e-5)


def test_gaussian_deviations_have_limits():
    """A prediction's on both sides; a target's, which is nothing after a terminal state, below."""
    stds = Gaussian().std(jnp.array([[0.0, -9.0], [0.0, 0.3], [0.0, 9.0]]))
    np.testing.assert_allclose(stds, [0.01, np.exp(0.3), 1000.0], rtol=1e-4)
    following = jnp.array([[[4.0, 1.0]], [[4.0, 1.0]]])
    target = Gaussian(0.3).target(jnp.array([0.5, 0.5]), jnp.array([0.0, 0.9]), following, jnp.ones((2, 1)))
    np.testing.assert_allclose(target, [[0.5, 0.3**2], [4.1, 0.81 * np.exp(2.0)]], rtol=1e-5)


def test_averaged_distributions_are_their_mixture():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    averaged = Categorical(Support(-1.0, 1.0, 5)).averaged(jnp.asarray(logits))
    expected = scipy.special.softmax(logits, axis=-1).mean(axis=2)
    np.testing.assert_allclose(np.exp(averaged), expected, rtol=1e-4)
    one = Categorical(Support(-1.0, 1.0, 5)).averaged(jnp.asarray(logits[0, 0]))
    np.testing.assert_allclose(np.exp(one), expected[0, 0], rtol=1e-4)


def test_quantiles_and_scalars_are_averaged_number_by_number():
    predictions = np.random.default_rng(0).normal(size=(3, 4, 5))
    for representation in (Quantile(5), Scalar()):
        averaged = representation.averaged(jnp.asarray(predictions))
        np.testing.assert_allclose(averaged, predictions.mean(axis=1), rtol=1e-4, atol=1e-6)


def test_mmd_by_its_definition():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3)), np.random.default_rng(1).normal(size=(2, 4, 3))
    kernel = lambda a, b: sum(h**0.5 * np.exp(-((a - b) ** 2).mean() / h) for h in (1.0, 4.0))  # noqa: E731
    for i in range(2):
        xx, yy, xy = (
            np.mean([[kernel(a, b) for a in p] for b in q]) for p, q in ((x[i], x[i]), (y[i], y[i]), (x[i], y[i]))
        )
        ours = squared_mmd(jnp.asarray(x), jnp.asarray(y), (1.0, 4.0), 0.5)[i]
        np.testing.assert_allclose(ours, xx + yy - 2 * xy, rtol=1e-4)
    np.testing.assert_allclose(squared_mmd(jnp.asarray(x), jnp.asarray(x[:, ::-1]), (1.0,)), 0.0, atol=1e-6)


def test_particles_of_several_channels_are_moved_together_and_valued_by_their_sum():
    rng = np.random.default_rng(0)
    following, reward = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 2))
    weights, discount = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.array([0.9, 0.5])
    representation = Particles(4, channels=2)
    prediction = jnp.asarray(following.reshape(2, 3, 8))
    np.testing.assert_allclose(representation.value(prediction), following.sum(axis=3).mean(axis=2), rtol=1e-5)
    target = representation.target(jnp.asarray(reward), jnp.asarray(discount), prediction, jnp.asarray(weights))
    for b in range(2):
        moved = [reward[b] + discount[b] * sum(w * p for w, p in zip(weights[b], at)) for at in zip(*following[b])]
        np.testing.assert_allclose(target[b], np.concatenate(moved), rtol=1e-5)


def test_itakura_saito_is_minimal_at_the_certainty_equivalent():
    samples = np.random.default_rng(0).normal(1.0, 2.0, 2_001).astype(np.float32)
    for aversion in (0.3, -0.5, 2.0):
        representation = ItakuraSaito(aversion)
        expected = -np.log(np.mean(np.exp(-aversion * samples.astype(float)))) / aversion
        gradient = jax.grad(lambda v, r=representation: r.loss(jnp.full((len(samples), 1), v), samples[:, None]).mean())
        assert float(gradient(expected - 0.05)) < 0 < float(gradient(expected + 0.05))
    # Near zero it is half the squared error.
    np.testing.assert_allclose(ItakuraSaito(1e-3).loss(jnp.zeros((1, 1)), jnp.full((1, 1), 0.7)), 0.245, rtol=1e-2)
    # On both sides of where its series ends: e^x - 1 - x in twice the digits.
    for aversion in (0.5, -2.0):
        exponent = np.array([-3.0, -0.1, -0.021, -0.019, -1e-3, 1e-3, 0.019, 0.021, 0.1, 3.0])
        loss = ItakuraSaito(aversion).loss(jnp.zeros((10, 1)), jnp.asarray(-exponent / aversion)[:, None])
        expected = (np.expm1(exponent) - exponent) / aversion**2
        np.testing.assert_allclose(loss, expected, rtol=1e-3)
        series = np.abs(exponent) < 0.02
        np.testing.assert_allclose(loss[series], expected[series], rtol=5e-6)
    # Far from the target it goes on along a line, whose slope is that at an exponent of twenty.
    slope = jax.vmap(jax.grad(lambda v: ItakuraSaito(0.5).loss(v[None, None], jnp.zeros((1, 1)))[0]))
    np.testing.assert_allclose(slope(jnp.array([39.0, 60.0, 1e4])), np.expm1([19.5, 20.0, 20.0]) / 0.5, rtol=1e-4)


def test_logarithmic_mapping_averages_in_the_space_of_returns():
    """Stochastic targets 0 and 1: mapped as they are they end at a mean that is off, averaged they end at 1/2."""
    ends = {}
    for rate in (1.0, 0.01):
        representation = Mapped(Scalar(), Logarithmic(), averaging_rate=rate)

        @jax.jit
        def fit(representation=representation):
            def step(prediction, target):
                gradient = jax.grad(lambda p: representation.loss(p, target[None, None]).sum())(prediction)
                return prediction - 0.5 * gradient, representation.value(prediction)[0]

            targets = jax.random.bernoulli(jax.random.key(0), 0.5, (6000,)).astype(jnp.float32)
            return jax.lax.scan(step, jnp.ones((1, 1)), targets)[1][-2000:].mean()

        ends[rate] = float(fit())
    assert abs(ends[0.01] - 0.5) < 0.05
    assert abs(ends[1.0] - 0.5) > 0.15


def test_a_mapped_target_is_fixed_and_on_the_way_from_the_present_value():
    """Loss and gradient of the regression `(p - h(v + β (U - v)))² / 2`, with h and its inverse in numpy."""
    representation = Mapped(Scalar(), Logarithmic(0.7, 0.3), averaging_rate=0.4)
    prediction, returns = np.array([[0.9], [0.2], [1.6]]), np.array([0.5, 3.0, -1.0])
    present = 0.3 * (np.exp(prediction[:, 0] / 0.7) - 1)
    np.testing.assert_allclose(representation.value(jnp.asarray(prediction)), present, rtol=1e-5)
    error = prediction[:, 0] - 0.7 * np.log(np.maximum(0.6 * present + 0.4 * returns, 0.0) / 0.3 + 1)
    target = representation.encode(jnp.asarray(returns))
    loss, gradient = jax.vmap(jax.value_and_grad(lambda p, y: representation.loss(p[None], y[None])[0]))(
        jnp.asarray(prediction), target
    )
    np.testing.assert_allclose(loss, 0.5 * error**2, rtol=1e-5)
    np.testing.assert_allclose(gradient[:, 0], error, rtol=1e-5)
    np.testing.assert_allclose(representation.priority(jnp.asarray(prediction), target), np.abs(error), rtol=1e-5)
    np.testing.assert_array_equal(Logarithmic(0.7, 0.3).forward(jnp.array([-2.0, 0.0])), 0.0)
    # One that begins at a value of one, and ends at 25.
    gains = Logarithmic(0.7, 0.3, 1.0, 25.0)
    np.testing.assert_allclose(gains.forward(jnp.array([1.0, 4.0])), [0.0, 0.7 * np.log(4.3 / 1.3)], atol=1e-6)
    np.testing.assert_allclose(gains.inverse(jnp.array([0.0, 500.0])), [1.0, 25.0], rtol=1e-5)
    np.testing.assert_allclose(gains.forward(jnp.array([99.0])), gains.forward(jnp.array([25.0])))


def test_channels_add_up_and_decompose():
    reward = jnp.array([[-2.0, 0.0, 3.0]])
    np.testing.assert_allclose(by_sign(reward)[0], [[0, 2], [0, 0], [3, 0]])
    np.testing.assert_allclose(gains_and_losses(reward)[0], [[0, -2], [0, 0], [3, 0]])
    sizes = by_sign_and_size(2.5)(jnp.array([[-3.0, 0.0, 0.7, 2.5, 4.0]]))
    np.testing.assert_allclose(sizes[0], [[0, 0, 3], [0, 0, 0], [0.7, 0, 0], [0, 2.5, 0], [0, 4, 0]])
    parts = ByMagnitude((0.0, 1.0))(jnp.array([-1.0, 0.5, 1.0, 4.0]))
    np.testing.assert_allclose(parts, [[-1, 0, 0], [0, 0.5, 0], [0, 0, 1], [0, 0, 4]])
    decomposed = Decomposed((Scalar(), Quantile(1)), (1.7, -0.6))
    following = jax.random.normal(jax.random.key(0), (4, 3, 2))
    value = 1.7 * following[..., 0] - 0.6 * following[..., 1]
    np.testing.assert_allclose(decomposed.value(following), value, rtol=1e-5)
    weights = operators.greedy(value)
    rewards = jax.random.normal(jax.random.key(1), (4, 2))
    target = decomposed.target(rewards, jnp.full(4, 0.9), following, weights)
    np.testing.assert_allclose(target, rewards + 0.9 * following[jnp.arange(4), np.argmax(value, axis=1)], rtol=1e-5)
    away = np.asarray(following[:, 0] - target)
    absolute = np.abs(away[:, 1])
    regressions = 0.5 * away[:, 0] ** 2 + 0.5 * np.where(absolute < 1, 0.5 * absolute**2, absolute - 0.5)
    np.testing.assert_allclose(decomposed.loss(following[:, 0], target), regressions, rtol=1e-5)
    hybrid = HybridReward((Scalar(), Scalar()), (1.7, 0.3))
    target = hybrid.target(rewards, jnp.full(4, 0.9), following, weights)
    np.testing.assert_allclose(target, rewards + 0.9 * following.max(axis=1), rtol=1e-5)


def test_risk_measures_by_their_definitions():
    """Against `∫ F⁻¹(β(τ)) dτ` on a fine grid of fractions."""
    values = np.sort(np.random.default_rng(0).normal(size=7))
    probabilities = np.array([0.1, 0.2, 0.05, 0.25, 0.1, 0.2, 0.1])
    tau = (np.arange(400_000) + 0.5) / 400_000
    phi, inverse_phi = scipy.stats.norm.cdf, scipy.stats.norm.ppf
    cases = {
        risk.CVaR(0.3): 0.3 * tau,
        risk.CVaR(1.0): tau,
        risk.Wang(-0.75): phi(inverse_phi(tau) - 0.75),
        risk.Wang(0.5): phi(inverse_phi(tau) + 0.5),
        risk.CPW(0.71): tau**0.71 / (tau**0.71 + (1 - tau) ** 0.71) ** (1 / 0.71),
        risk.Power(2.0): tau ** (1 / 3),
        risk.Power(0.5): tau ** (2 / 3),
        risk.Power(-2.0): 1 - (1 - tau) ** (1 / 3),
    }
    for measure, distorted in cases.items():
        quantiles = values[np.minimum(np.searchsorted(np.cumsum(probabilities), distorted), 6)]
        np.testing.assert_allclose(
            measure(jnp.asarray(values), jnp.asarray(probabilities)), quantiles.mean(), atol=2e-3, err_msg=str(measure)
        )
    utility = -np.log((probabilities * np.exp(-2.0 * values)).sum()) / 2.0
    np.testing.assert_allclose(risk.Entropic(2.0)(jnp.asarray(values), jnp.asarray(probabilities)), utility, rtol=1e-4)
    squares = risk.ExpectedUtility(lambda x: -(x**2))(jnp.asarray(values), jnp.asarray(probabilities))
    np.testing.assert_allclose(squares, -(probabilities * values**2).sum(), rtol=1e-5)


@pytest.mark.parametrize(
    "measure", [risk.CVaR(0.25), risk.CVaR(0.1), risk.Wang(-0.75), risk.CPW(), risk.Power(-2.0), risk.Power(2.0)]
)
def test_quantiles_where_a_measure_looks_tell_what_it_measures(measure):
    """Of a normal return by eight quantiles at random fractions: nearer the truth than evenly drawn ones.

    Where both tails count for less (CPW), evenly drawn ones tell as much.
    """
    fine = (np.arange(200_000) + 0.5) / 200_000
    even = np.random.default_rng(0).uniform(size=(2_000, 8))
    np.testing.assert_allclose(measure.distorted(measure.fractions(jnp.asarray(even))), even, atol=2e-3)
    worth = RiskSensitive(ImplicitQuantile(), measure).value

    def errors(fractions):
        quantiles = scipy.stats.norm.ppf(fractions)
        return worth(jnp.asarray(np.concatenate([quantiles, fractions], axis=-1))) - truth

    truth = scipy.stats.norm.ppf(np.asarray(measure.fractions(jnp.asarray(fine)), np.float64)).mean()
    there, evenly = errors(np.asarray(measure.fractions(jnp.asarray(even)), np.float64)), errors(even)
    assert abs(there.mean()) < 0.06
    most = 1.2 if isinstance(measure, risk.CPW) else 0.8
    assert np.square(there).mean() < most * np.square(evenly).mean()


def test_what_is_sure_is_worth_itself_to_everyone():
    """However far off the points are that have no mass, and where masses add up to a little more than one."""
    values = jnp.array([[-50.0, *[2.5] * 10, 80.0], [-50.0, 2.5, *range(71, 81)]])
    probabilities = jnp.array([[0.0, *[0.1] * 10, 0.0], np.eye(12)[1]], jnp.float32)
    assert jnp.cumsum(probabilities, axis=1).max() > 1
    distortions = (risk.CVaR(0.3), risk.Wang(-3.0), risk.Wang(3.0), risk.CPW(), risk.Power(-0.5), risk.Power(0.5))
    for measure in (*distortions, risk.Entropic(0.7)):
        np.testing.assert_allclose(jax.jit(measure)(values, probabilities), 2.5, atol=1e-4, err_msg=str(measure))


@pytest.mark.parametrize(
    "measure",
    [risk.CVaR(0.5), risk.Wang(-0.75), risk.Wang(0.5), risk.CPW(), risk.Power(-2.0), risk.Power(2.0)],
    ids=str,
)
def test_risk_measures_have_the_slopes_of_what_they_measure(measure):
    """By the logits of the masses, against differences; also where masses vanish and the sum is 1 before the end."""
    values = jnp.asarray(np.sort(np.random.default_rng(1).normal(size=7)), jnp.float32)

    def worth(logits):
        return measure(values, jax.nn.softmax(logits))

    logits = jnp.asarray([-200.0, 0.3, -1.0, 0.5, 0.1, -200.0, -200.0])
    step = 1e-2 * jnp.eye(7)
    differences = (jax.vmap(worth)(logits + step) - jax.vmap(worth)(logits - step)) / 2e-2
    assert jnp.abs(differences).max() > 0.05
    np.testing.assert_allclose(jax.grad(worth)(logits), differences, atol=2e-3)
    exact = jnp.asarray([0.0, 0.25, 0.25, 0.5, 0.0, 0.0, 0.0])
    assert jnp.isfinite(jax.grad(lambda masses: measure(values, masses))(exact)).all()


@EVERY
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_returns_are_in_float32_whatever_networks_are_in(case, platform):
    """Values, targets, losses, priorities and slopes, where products of matrices have few digits by default."""
    representation = case.representation
    prediction, following = case.prediction((5,), jax.random.key(0)), case.prediction((5, 3), jax.random.key(1))
    reward = jnp.zeros((5, representation.channels)) if hasattr(representation, "channels") else jnp.zeros(5)

    def everything(prediction, following):
        weights = jax.nn.softmax(representation.value(following))
        target = representation.target(reward, jnp.ones(5), following, weights)
        slope = jax.grad(lambda one: representation.loss(one, target).sum())(prediction)
        return slope, representation.priority(prediction, target)

    with platforms.assume(platform), jax.default_matmul_precision("BF16_BF16_F32"):
        found = precisions(everything, prediction, following)
    assert set(found) <= {(jax.lax.Precision.HIGHEST,) * 2}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if hasattr(case.representation, "distribution")])
def test_distributions_have_mass_one_and_the_representation_s_mean(name):
    case = CASES[name]
    representation = case.backed_up or case.representation
    prediction = case.prediction((5, 3), jax.random.key(3))
    values, probabilities = representation.distribution(prediction)
    assert values.shape == probabilities.shape
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, rtol=1e-5)
    if not isinstance(representation, ImplicitQuantile):  # whose mean is over the fractions as they were drawn
        np.testing.assert_allclose((values * probabilities).sum(axis=-1), representation.value(prediction), atol=1e-4)


SOLVE = jax.jit(solve_matrix_game)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1e-3, 1.0, 100.0]))
def test_matrix_games_are_solved(seed, rows, columns, scale):
    """The value that linear programming finds, by strategies that guarantee it to either player."""
    rng = np.random.default_rng(seed)
    payoff = scale * (rng.normal(size=(rows, columns)) if seed % 2 else rng.integers(-2, 3, (rows, columns)))
    value, row, column = SOLVE(jnp.asarray(payoff, jnp.float32))
    expected, _ = matrix_game_value(payoff)
    np.testing.assert_allclose(value, expected, atol=2e-4 * scale)
    for strategy in (row, column):
        assert (np.asarray(strategy) >= -1e-6).all()
        np.testing.assert_allclose(np.sum(strategy), 1.0, rtol=1e-5)
    assert np.min(np.asarray(row) @ payoff) >= expected - 5e-4 * scale
    assert np.max(payoff @ np.asarray(column)) <= expected + 5e-4 * scale


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_both_ways_of_summing_over_pairs_agree_in_loss_and_gradient(threshold):
    """The loop of the CPU, the table of accelerators, and autodiff of rlax's loss."""
    values, target = jax.random.normal(jax.random.key(0), (2, 6, 13))
    fractions = jax.random.uniform(jax.random.key(1), (6, 13))

    def ours(values):
        return quantile_huber_loss(values, fractions, target, threshold).sum()

    def theirs(values):
        losses = jax.vmap(lambda v, f, t: rlax.quantile_regression_loss(v, f, t, threshold))(values, fractions, target)
        return losses.sum() / (threshold or 1.0)

    expected, expected_slope = jax.value_and_grad(theirs)(values)
    for backend in ("cpu", "gpu"):
        with platforms.assume(backend):
            value, slope = jax.value_and_grad(ours)(values)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(slope, expected_slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [Categorical, TwoHot, HLGauss])
def test_priorities_over_atoms_are_divergences(kind):
    """A perfect prediction has none, however wide; else they are scipy's."""
    rng = np.random.default_rng(0)
    representation = kind(Support(-1.0, 1.0, 7))
    logits, target = rng.normal(size=(5, 7)), rng.dirichlet(np.ones(7), 5)
    target[0] = np.eye(7)[2]
    found = representation.priority(jnp.asarray(logits), jnp.asarray(target))
    expected = scipy.stats.entropy(target, np.asarray(jax.nn.softmax(logits)), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    perfect = representation.priority(jnp.log(jnp.asarray(target[1:])), jnp.asarray(target[1:]))
    np.testing.assert_allclose(perfect, 0.0, atol=1e-6)


def test_priorities_of_implicit_quantiles_are_absolute_errors_of_all_pairs():
    rng = np.random.default_rng(0)
    values, target = rng.normal(size=(4, 3)), rng.normal(size=(4, 5))
    prediction = np.concatenate([values, np.full((4, 3), 0.5)], axis=1)
    expected = [sum(np.abs(t - v).mean() for v in row) for row, t in zip(values, target, strict=True)]
    found = ImplicitQuantile().priority(jnp.asarray(prediction), jnp.asarray(target))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_stock_counts_in_what_actions_are_worth_and_in_nothing_that_is_learned():
    base = Quantile(5)
    predictions, stock = jax.random.normal(jax.random.key(0), (4, 3, 5)), jnp.linspace(-2.0, 1.5, 12).reshape(4, 3, 1)
    weights = jax.nn.one_hot(jnp.array([0, 1, 2, 0]), 3)
    reward, discount = jnp.arange(4.0), jnp.full(4, 0.9)
    augmented = StockAugmented(base, risk.ExpectedUtility(lambda x: jnp.minimum(x, 0.3)))
    both = jnp.concatenate([predictions, stock], axis=-1)
    target = base.target(reward, discount, predictions, weights)
    np.testing.assert_array_equal(augmented.target(reward, discount, both, weights), target)
    np.testing.assert_allclose(
        augmented.value(both), np.minimum(np.asarray(predictions) + np.asarray(stock), 0.3).mean(axis=-1), rtol=1e-5
    )
    for name in ("loss", "priority"):
        found, expected = (getattr(r, name)(p[:, 1], target) for r, p in ((augmented, both), (base, predictions)))
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("representation", [Scalar(), ItakuraSaito(0.5)])
def test_priorities_of_scalars_are_absolute_errors(representation):
    priority = representation.priority(jnp.array([[0.7], [-2.0], [1.5]]), jnp.array([[2.0], [0.3], [-0.2]]))
    np.testing.assert_allclose(priority, [1.3, 2.3, 1.7], rtol=1e-5)


def test_each_implicit_quantile_stands_for_the_fractions_nearest_to_its_own():
    """Against a fine grid of fractions, for three actions whose fractions differ and are in no order."""
    rng = np.random.default_rng(0)
    quantiles, fractions = rng.normal(size=(2, 3, 4)), rng.uniform(0.05, 0.95, (2, 3, 4))
    prediction = jnp.asarray(np.concatenate([quantiles, fractions], axis=-1))
    values, probabilities = ImplicitQuantile().distribution(prediction)
    np.testing.assert_allclose(ImplicitQuantile().value(prediction), quantiles.mean(axis=-1), rtol=1e-5)
    fine = (np.arange(20_000) + 0.5) / 20_000
    for b, a in np.ndindex(2, 3):
        nearest = np.abs(fine[:, None] - fractions[b, a]).argmin(axis=1)
        order = np.argsort(fractions[b, a])
        np.testing.assert_allclose(probabilities[b, a], np.bincount(nearest)[order] / 20_000, atol=2e-4)
        np.testing.assert_allclose(values[b, a], quantiles[b, a, order], rtol=1e-6)


def test_quantiles_that_cross_are_sorted_where_fractions_are_fixed_and_read_by_fraction_where_chosen():
    """As IQN's paper values an action: the mean of the quantiles at distorted fractions, whichever is the largest."""
    crossing, measure = jnp.array([1.0, 3.0, 2.0, -4.0]), risk.CVaR(0.25)
    asked = jnp.concatenate([crossing, measure.fractions(jnp.array([0.125, 0.375, 0.625, 0.875]))])
    np.testing.assert_allclose(RiskSensitive(ImplicitQuantile(), measure).value(asked), 0.5, rtol=1e-5)
    np.testing.assert_allclose(RiskSensitive(Quantile(4), measure).value(crossing), -4.0, rtol=1e-5)


def pair_by_pair(values, fractions, target, loss, slope):
    """`E_j Σ_i |τ_i - 1{u_ij < 0}| loss(u_ij)` and its gradient by the values, from the definition."""
    total, gradient = np.zeros(len(values)), np.zeros_like(values)
    for b, i, j in np.ndindex(*values.shape, target.shape[1]):
        u = target[b, j] - values[b, i]
        weight = abs(fractions[b, i] - (u < 0)) / target.shape[1]
        total[b] += weight * loss(u)
        gradient[b, i] -= weight * slope(u)
    return total, gradient


@pytest.mark.parametrize(
    ("representation", "told", "regression"),
    [
        (ImplicitQuantile(0.7), ["fractions"], ImplicitQuantile.loss),
        (FullyParameterizedQuantile(5, 0.7), ["ends", "at_ends"], FullyParameterizedQuantile.priority),
    ],
)
def test_quantiles_at_fractions_that_are_told_are_regressed_pair_by_pair(representation, told, regression):
    """The regression, and the gradient of the loss by the values, of samples that do not count alike."""
    rng = np.random.default_rng(0)
    values, target = 2.0 * rng.normal(size=(3, 5)), 2.0 * rng.normal(size=(3, 6))
    ends = rng.dirichlet(np.full(5, 3.0), 3).cumsum(axis=1)
    middles = [[(low + high) / 2 for low, high in zip([0.0, *row], row)] for row in ends]
    parts = {"fractions": np.array(middles), "ends": ends, "at_ends": rng.normal(size=(3, 4))}
    prediction = jnp.asarray(np.concatenate([values, *(parts[name] for name in told)], axis=1))
    huber = lambda u: u * u / 1.4 if abs(u) < 0.7 else abs(u) - 0.35  # noqa: E731
    expected, slope = pair_by_pair(values, parts["fractions"], target, huber, lambda u: np.clip(u / 0.7, -1, 1))
    np.testing.assert_allclose(regression(representation, prediction, jnp.asarray(target)), expected, rtol=1e-4)
    counts = np.array([0.3, 1.7, 0.0])
    gradient = jax.grad(lambda p: (counts * representation.loss(p, jnp.asarray(target))).sum())(prediction)
    np.testing.assert_allclose(gradient[:, :5], counts[:, None] * slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(gradient[:, 10:], 0.0)  # of the values at the ends, where there are such


def test_expectiles_are_regressed_pair_by_pair_and_the_middle_one_is_the_value():
    rng = np.random.default_rng(0)
    values, target = rng.normal(size=(3, 5)), rng.normal(size=(3, 6))
    fractions = np.tile([0.1, 0.3, 0.5, 0.7, 0.9], (3, 1))
    expected, slope = pair_by_pair(values, fractions, target, lambda u: u * u, lambda u: u + u)
    prediction = jnp.asarray(values)
    np.testing.assert_array_equal(Expectile(5).value(prediction), prediction[:, 2])
    np.testing.assert_allclose(Expectile(5).priority(prediction, jnp.asarray(target)), expected, rtol=1e-4)
    gradient = jax.grad(lambda p: Expectile(5).loss(p, jnp.asarray(target)).sum())(prediction)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_parts_are_learned_each_by_itself_and_count_alike():
    """Two parts, each as the representation has it alone; losses and priorities are their means."""
    rng = np.random.default_rng(0)
    base, representation = Gaussian(), EachPart(Gaussian())
    following, now = jnp.asarray(rng.normal(size=(4, 2, 5, 2))), jnp.asarray(rng.normal(size=(4, 2, 2)))
    weights = jnp.asarray(rng.dirichlet(np.ones(5), (4, 2)))
    reward, discount = jnp.asarray(rng.normal(size=4)), jnp.array([0.9, 0.5, 0.0, 0.9])
    target = representation.target(reward, discount, following, weights)
    backed_up = [base.target(reward, discount, following[:, part], weights[:, part]) for part in range(2)]
    np.testing.assert_allclose(target, np.stack(backed_up, axis=1), rtol=1e-5)
    np.testing.assert_array_equal(representation.value(now), base.value(now))
    for of_all, of_one in ((representation.loss, base.loss), (representation.priority, base.priority)):
        alone = [of_one(now[:, part], backed_up[part]) for part in range(2)]
        np.testing.assert_allclose(of_all(now, target), np.mean(alone, axis=0), rtol=1e-5)


def test_widths_are_what_a_head_must_give_for_one_return():
    widths = {
        Scalar(): 1,
        ItakuraSaito(0.5): 1,
        Mapped(HLGauss(SUPPORT), Symlog()): 21,
        Gaussian(): 2,
        ScaledGaussian(): 4,
        Quantile(7): 7,
        Expectile(1): 1,
        Expectile(5): 5,
        ImplicitQuantile(): 1,  # for each fraction that is asked for
        FullyParameterizedQuantile(4): 1,
        Categorical(SUPPORT): 21,
        Particles(4, channels=3): 12,
        Decomposed((Quantile(3),) * 2, (1.0, -1.0)): 6,
        EachPart(Quantile(3)): 3,
    }
    assert {representation: representation.width for representation in widths} == widths


def test_what_is_not_chosen_is_as_in_the_papers():
    assert Quantile() == Quantile(200, 1.0)
    assert ImplicitQuantile() == ImplicitQuantile(1.0)
    assert FullyParameterizedQuantile() == FullyParameterizedQuantile(32, 1.0)
    assert Expectile() == Expectile(11)
    assert HLGauss(SUPPORT) == HLGauss(SUPPORT, 0.75)
    assert Particles() == Particles(200, 1, tuple(2.0**i for i in range(-8, 9)), 0.5)
    assert ScaledGaussian() == ScaledGaussian(3.0, 0.1, 50.0)
    assert SignedHyperbolic() == SignedHyperbolic(1e-3)
    # Logarithms of returns from 0.96¹⁰⁰ up, halved.
    np.testing.assert_allclose([Logarithmic().scale, np.log(Logarithmic().offset)], [0.5, 100 * np.log(0.96)])
