"""What the later actor-critics add, one axis each, held against independent readings of the papers' formulas."""

import dataclasses
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from test_actor_critic import agent_of, bandit_batch
from test_experiments import load, small

from jaxq import platforms
from jaxq.agents import (
    ActorCritic,
    BellmanRank,
    CausalActorCritic,
    CuriousActorCritic,
    Deterministic,
    DormancyResets,
    EnergyFlowHyperparameters,
    FullResets,
    InformationGain,
    IteratedActorCritic,
    LinearSchedule,
    MixedPrecision,
    Normalized,
    Optimism,
    OptimisticActorCritic,
    PolicySample,
    PolyakUpdate,
    RepeatedNoise,
    ScaledRewards,
    SoftWindow,
    SquashedGaussian,
    TunedTemperature,
    WeightedTemperature,
)
from jaxq.agents.causality import _entropy, _standardized, causal_order, effects_on_last
from jaxq.agents.optimistic import Tuned
from jaxq.agents.policies import Given
from jaxq.agents.resets import dormant_share
from jaxq.bellman import Categorical, IntervalQuantile, Own, Pessimistic, Quantile, Scalar, ScaledGaussian, Support
from jaxq.configs import ActorCriticLearner, Averaging, Privileged, Temperature, seeing
from jaxq.envs import ArraySpec, Continuous
from jaxq.errors import InputError
from jaxq.keys import stream, streams
from jaxq.networks import (
    MLP,
    ActionCritic,
    BroNet,
    DropoutMLP,
    DynamicsModel,
    Ensemble,
    FlashNet,
    GaussianCritic,
    ImplicitQuantileCritics,
    LowPass,
    OptimisticPolicyNetwork,
    ResidualMLP,
    RMSNormMLP,
    SimBaNet,
    SimBaV2Net,
    UnitHead,
    on_spheres,
)
from jaxq.runs import parse
from jaxq.schedules import CosineSchedule
from jaxq.training.numbers import with_numbers
from jaxq.types import TimeStep

KEY = jax.random.key(0)


def layers(mode):
    return MLP((16,))


# Returns as Gaussians, by DSAC-T


def test_dsac_t_has_the_gradients_of_its_paper():
    rng = np.random.default_rng(0)
    # Weights from below their least to above their most, samples within reach and beyond, errors beyond fifty.
    mean, std = rng.normal(size=50), rng.uniform(0.05, 6.0, 50)
    running, target = rng.uniform(1.0, 3.0, 50), rng.normal(scale=6.0, size=(50, 2))
    running[:8], target[:8] = 30.0, 20.0 * target[:8]
    prediction = jnp.asarray(np.stack([mean, std, running, rng.normal(size=50)], axis=1), jnp.float32)
    gradient = jax.grad(lambda p: ScaledGaussian().loss(p, jnp.asarray(target, jnp.float32)).sum())(prediction)
    scale = np.clip(running**2 / (std**2 + 0.1), 0.1, 10.0)
    near = np.clip(target[:, 1] - mean, -3 * running, 3 * running)
    squared = np.where(np.abs(near) < 50, near**2, 100 * np.abs(near) - 2500)
    assert {(scale == 0.1).any(), (scale == 10).any(), (np.abs(near) > 50).any()} == {True}
    np.testing.assert_allclose(gradient[:, 0], -scale * np.clip(target[:, 0] - mean, -50, 50), rtol=1e-4, atol=1e-5)
    of_std = -scale * (squared - std**2) / (std + 0.1)
    np.testing.assert_allclose(gradient[:, 1], of_std, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(gradient[:, 2:], 0.0)


def test_dsac_t_learns_the_moments_of_a_return():
    """Where the gradients vanish on average there are the mean and the deviation of the targets."""
    target = 2.0 + 1.5 * jax.random.normal(KEY, (4096,))
    targets = jnp.stack([jnp.full(4096, target.mean()), target], axis=1)

    def step(p, _):
        full = jnp.broadcast_to(jnp.array([p[0], p[1], 1.5, 0.0]), (4096, 4))
        gradient = jax.grad(lambda q: ScaledGaussian().loss(q, targets).mean())(full).sum(axis=0)
        return p - 0.05 * gradient[:2], None

    moments, _ = jax.lax.scan(step, jnp.array([0.0, 0.5]), None, 600)
    np.testing.assert_allclose(moments, [2.0, 1.5], atol=0.08)


def test_a_gaussian_critic_keeps_the_mean_of_its_deviations():
    critic = GaussianCritic(layers, rate=0.25)
    x, a = jax.random.normal(KEY, (8, 2)), jnp.zeros((8, 1))
    variables = jax.jit(critic.init)(KEY, x, a)
    first, moved = critic.apply(variables, x, a, mutable="statistics")
    np.testing.assert_allclose(first[:, 2], first[:, 1].mean(), rtol=1e-6)
    second, _ = critic.apply({**variables, **moved}, 3.0 * x, a, mutable="statistics")
    np.testing.assert_allclose(second[:, 2], 0.75 * first[:, 1].mean() + 0.25 * second[:, 1].mean(), rtol=1e-6)
    drawn = critic.apply({**variables, **moved}, x, a, "target", rngs={"samples": KEY})
    assert (np.abs(drawn[:, 3]) <= 3).all()
    assert len(np.unique(drawn[:, 3])) == 8
    np.testing.assert_array_equal(critic.apply({**variables, **moved}, x, a, "act")[:, 3], 0.0)


def test_its_target_is_the_mean_and_a_sample_of_the_critic_with_the_smaller_mean():
    following = jnp.array([[[1.0, 0.5, 9.0, 2.0], [0.0, 2.0, 9.0, -1.0]]])
    weights = jnp.array([[0.0, 1.0]])
    target = ScaledGaussian().target(jnp.array([0.5]), jnp.array([0.9]), following, weights)
    np.testing.assert_allclose(target, [[0.5, 0.5 + 0.9 * -2.0]], rtol=1e-6)


# Reductions


def test_pessimism_about_two_critics_is_the_smaller_of_every_quantile():
    predictions = jax.random.normal(KEY, (5, 2, 7))
    reduced, weights = Pessimistic(1.0)(Quantile(7), predictions, KEY)
    np.testing.assert_allclose(reduced[:, 0], predictions.min(axis=1), atol=1e-6)
    np.testing.assert_allclose(Pessimistic()(Quantile(7), predictions, KEY)[0][:, 0], predictions.mean(axis=1))
    np.testing.assert_array_equal(weights, np.ones((5, 1), np.float32), strict=True)
    # Of three it is the deviation, which has a slope where they agree too.
    three = jax.random.normal(KEY, (5, 3, 2)).at[0].set(0.75)
    expected = np.mean(three, axis=1) - 0.5 * np.std(three, axis=1)
    np.testing.assert_allclose(Pessimistic(0.5)(Quantile(2), three, KEY)[0][:, 0], expected, atol=1e-5)
    slope = jax.grad(lambda x: Pessimistic(0.5)(Quantile(2), x, KEY)[0].sum())(three)
    np.testing.assert_allclose(slope[0], 1 / 3, rtol=1e-4)
    with pytest.raises(InputError, match="representation is 'Categorical'"):
        Pessimistic().check(Categorical(Support(0.0, 1.0, 3)), 2)


def test_critics_at_sampled_fractions_have_them_in_common():
    critics = ImplicitQuantileCritics(2, 16, 8)
    x, a = jax.random.normal(KEY, (4, 2)), jnp.zeros((4, 1))
    variables = jax.jit(critics.init)({"params": KEY, "samples": KEY}, x, a)
    out = critics.apply(variables, x, a, "learn", rngs={"samples": jax.random.key(1)})
    values, fractions, lengths = np.split(out, 3, axis=-1)
    assert out.shape == (2, 4, 24)
    np.testing.assert_array_equal(fractions[0], fractions[1])
    np.testing.assert_allclose(np.cumsum(lengths, axis=-1) - 0.5 * lengths, fractions, rtol=1e-5)
    np.testing.assert_allclose(lengths.sum(axis=-1), 1.0, rtol=1e-5)
    assert lengths.max() < 11 * lengths.min()
    assert (np.abs(values[0] - values[1]) > 1e-6).all()
    assert (np.diff(fractions[0], axis=-1) > 0).all()
    assert ((fractions > 0) & (fractions < 1)).all()
    reduced, _ = Pessimistic(1.0)(IntervalQuantile(), jnp.moveaxis(out, 0, 1), KEY)
    smaller = np.concatenate([values.min(axis=0), fractions[0], lengths[0]], axis=-1)
    np.testing.assert_allclose(reduced[:, 0], smaller, atol=1e-6)
    exploited = critics.apply(variables, x, a, "exploit")
    np.testing.assert_allclose(exploited[0, 0, 8:16], (np.arange(8) + 0.5) / 8, atol=1e-6)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_quantiles_count_by_the_intervals_that_they_stand_for(platform):
    """DSAC's value and loss, pair by pair."""
    rng = np.random.default_rng(0)
    representation = IntervalQuantile()

    def drawn(size):
        lengths = rng.uniform(0.1, 1.1, size=(3, size))
        lengths /= lengths.sum(axis=1, keepdims=True)
        return rng.normal(scale=3.0, size=(3, size)), np.cumsum(lengths, axis=1) - 0.5 * lengths, lengths

    def joined(parts):
        return jnp.asarray(np.concatenate(parts, axis=1), jnp.float32)

    now, then, other = drawn(6), drawn(5), drawn(6)
    of_actions = representation.value(jnp.stack([joined(now), joined(other)], axis=1))
    np.testing.assert_allclose(of_actions, np.stack([(x[0] * x[2]).sum(axis=1) for x in (now, other)], 1), rtol=1e-4)
    reward, discount = rng.normal(size=3), np.array([0.9, 0.9, 0.0])
    target = representation.target(jnp.asarray(reward), jnp.asarray(discount), joined(then)[:, None], jnp.ones((3, 1)))
    loss, slope, priority = np.zeros(3), np.zeros((3, 6)), np.zeros(3)
    for b in range(3):
        for i in range(6):
            for j in range(5):
                u = reward[b] + discount[b] * then[0][b, j] - now[0][b, i]
                weight = then[2][b, j] * abs(now[1][b, i] - (u < 0))
                loss[b] += weight * (0.5 * u**2 if abs(u) < 1 else abs(u) - 0.5)
                slope[b, i] -= weight * np.clip(u, -1, 1)
                priority[b] += then[2][b, j] * abs(u)
    with platforms.assume(platform):
        found = jax.jit(representation.loss)(joined(now), target)
        gradient = jax.grad(lambda p: representation.loss(p, target).sum())(joined(now))
    np.testing.assert_allclose(found, loss, rtol=1e-4)
    np.testing.assert_allclose(gradient[:, :6], slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(gradient[:, 6:], 0.0)
    np.testing.assert_allclose(representation.priority(joined(now), target), priority, rtol=1e-4)


def test_every_critic_may_have_targets_of_its_own():
    agent = agent_of(target_reduction=Own(), hyper={"target": PolyakUpdate(0.1)})
    state, batch, key = jax.jit(agent.init)(KEY), bandit_batch(jax.random.key(1), 8, False), jax.random.key(2)
    action, log_densities = agent._next_action(state, batch, key)
    then = agent.critic.apply(state.critic.target, batch.next_observation, action)[..., 0]
    alpha = state.hyper.entropy.temperature(state.entropy)
    expected = batch.rewards[:, 0] + 0.99 * (then - alpha * log_densities.sum(axis=1))
    now = agent.critic.apply(state.critic.variables, batch.observation, batch.action)[..., 0]
    _, metrics, priority = agent._improve_critic(state, batch, key)
    np.testing.assert_allclose(metrics["loss"], 0.5 * ((now - expected) ** 2).mean(axis=1).sum(), rtol=1e-4)
    np.testing.assert_allclose(priority, np.abs(now - expected).mean(axis=0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("chain", [{}, dict(kind=IteratedActorCritic, links=2, hyper={"target": SoftWindow(0.1, 1)})])
def test_a_temperature_may_be_tuned_by_the_actions_of_targets(chain):
    agent = agent_of(tuned_by_targets=True, actor_period=2, **chain)
    state, batch = jax.jit(agent.init)(KEY), bandit_batch(jax.random.key(1), 8)
    update = jax.jit(agent.update)
    for count in (1, 2):
        _, densities = agent._next_action(state, batch, jax.random.key(count))
        expected = state.hyper.entropy.step(state.entropy, -densities.sum(axis=1).mean(), state.updates)
        before = state.entropy.log_temperature
        state, _, _ = update(state, batch, jax.random.key(count))
        assert abs(float(state.entropy.log_temperature - before)) > 1e-4
        np.testing.assert_allclose(state.entropy.log_temperature, expected.log_temperature, rtol=1e-4, atol=1e-6)


# Critics


def test_a_low_pass_filter_takes_high_frequencies_off_targets_and_leaves_the_rest():
    class Wave(ActionCritic):
        def __call__(self, observation, action, mode="learn"):
            return jnp.concatenate([action, jnp.sin(5.0 * action)], axis=-1)

    a = jnp.linspace(-0.5, 0.5, 11)[:, None]
    critic = LowPass(Wave(layers), std=0.1, pairs=2000)
    filtered = critic.apply({}, a, a, "target", rngs={"samples": KEY})
    np.testing.assert_allclose(filtered[:, 0], a[:, 0], atol=1e-3)
    # The convolution of a sine of frequency k with a Gaussian is exp(-k² σ² / 2) of it.
    np.testing.assert_allclose(filtered[:, 1], np.exp(-0.125) * np.sin(5 * a[:, 0]), atol=0.02)
    for mode in ("learn", "act"):
        np.testing.assert_allclose(critic.apply({}, a, a, mode)[:, 1], np.sin(5 * a[:, 0]), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_rank_regularizer_is_that_of_the_bellman_equation(steps):
    """Of transitions, and of windows of two steps; half of it, beside half the squared error."""
    target = PolyakUpdate(0.3)
    agent = agent_of(deterministic=True, critics=2, hyper={"target": target}, regularizer=BellmanRank(0.5))
    state, batch, key = jax.jit(agent.init)(KEY), bandit_batch(jax.random.key(1), 6, False), jax.random.key(2)
    # Large rewards: without them the bound is never below one.
    batch = batch.replace(
        observation=jax.random.normal(key, (6, 2)),
        next_observation=jax.random.normal(KEY, (6, 2)),
        rewards=jnp.tile(10.0 * batch.rewards, (1, steps)),
        steps=jnp.full(6, steps),
        weight=jnp.linspace(0.3, 1.7, 6),
    )
    state, _, _ = jax.jit(agent.update)(state, batch, key)
    returns, discount = batch.rewards[:, 0] * (1.0 if steps == 1 else 1.99), 0.99**steps
    action, _ = agent._next_action(state, batch, key)
    found = BellmanRank(0.5)(agent, state, state.critic.params, batch, action)
    own = np.tanh(agent.actor.apply(state.actor.variables, batch.next_observation))

    def phi(variables, x, a, k):
        net = variables["params"][f"ActionCritic_{k}"]
        x = np.concatenate([x, a], axis=1)
        return jnp.maximum(x @ net["MLP_0"]["Dense_0"]["kernel"].T + net["MLP_0"]["Dense_0"]["bias"], 0)

    def charged(learning):  # of the features in the cosine alone there is a gradient
        total = 0.0
        for k in range(2):
            now = np.asarray(phi(state.critic.variables, batch.observation, batch.action, k))
            then = np.asarray(phi(state.critic.target, batch.next_observation, action, k))
            online = np.asarray(phi(state.critic.variables, batch.next_observation, own, k))
            w = np.ravel(state.critic.variables["params"][f"ActionCritic_{k}"]["Dense_0"]["kernel"])
            unit = phi(learning, batch.observation, batch.action, k)
            unit /= jnp.linalg.norm(unit, axis=1, keepdims=True)
            for b in range(6):
                lengths = np.linalg.norm(now[b]) * np.linalg.norm(then[b])
                numerator = now[b] @ now[b] + discount**2 * online[b] @ online[b] - returns[b] ** 2 / (w @ w)
                excess = unit[b] @ (then[b] / np.linalg.norm(then[b])) - numerator / (2 * discount * lengths)
                total += (0.3 + 0.28 * b) * 0.5 * 0.5 / 6 * jnp.maximum(excess, 0.0)
        return total

    total, slope = jax.value_and_grad(charged)(state.critic.params)
    assert total > 0
    np.testing.assert_allclose(found, total, rtol=1e-4)
    gradient = jax.grad(lambda params: BellmanRank(0.5)(agent, state, params, batch, action))(state.critic.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), gradient, slope)
    plain = dataclasses.replace(agent, regularizer=None)
    with_it, without = (each._improve_critic(state, batch, key)[1]["loss"] for each in (agent, plain))
    np.testing.assert_allclose(with_it - without, found, rtol=1e-3)


def test_residual_networks_by_hand():
    """Blocks of BRO and of SimBa, in numpy from the authors' descriptions; layers begin as there."""
    x = np.asarray(jax.random.normal(KEY, (5, 3)), np.float64)

    def shaken(net):
        params = jax.jit(net.init)(KEY, jnp.asarray(x, jnp.float32))["params"]
        leaves, tree = jax.tree.flatten(params)
        keys = jax.random.split(KEY, len(leaves))
        return tree.unflatten(
            [leaf + 0.3 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
        )

    def parts_of(params):
        dense, norm = (
            iter([params[f"{kind}_{i}"] for i in range(9) if f"{kind}_{i}" in params])
            for kind in ("Dense", "LayerNorm")
        )

        def linear(y):
            layer = next(dense)
            return y @ np.asarray(layer["kernel"], np.float64).T + layer["bias"]

        def normal(y):
            layer = next(norm)
            return (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-6) * layer["scale"] + layer[
                "bias"
            ]

        return linear, normal

    params = shaken(BroNet(8, 2))
    linear, normal = parts_of(params)
    expected = np.maximum(normal(linear(x)), 0)
    for _ in range(2):
        expected = expected + normal(linear(np.maximum(normal(linear(expected)), 0)))
    np.testing.assert_allclose(BroNet(8, 2).apply({"params": params}, x), expected, rtol=1e-3, atol=1e-3)

    params = shaken(SimBaNet(8, 2))
    linear, normal = parts_of(params)
    expected = linear(x)
    for _ in range(2):
        expected = expected + linear(np.maximum(linear(normal(expected)), 0))
    np.testing.assert_allclose(SimBaNet(8, 2).apply({"params": params}, x), normal(expected), rtol=1e-3, atol=1e-3)
    assert params["Dense_1"]["kernel"].shape == (32, 8)

    params = shaken(DropoutMLP("exploit", (8, 6)))
    linear, normal = parts_of(params)
    expected = np.maximum(normal(linear(np.maximum(normal(linear(x)), 0))), 0)
    found = DropoutMLP("exploit", (8, 6)).apply({"params": params}, x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)

    params = shaken(RMSNormMLP((8, 6)))
    (linear, _), expected = parts_of(params), x
    for i in range(2):
        y = linear(expected)
        y = y / np.sqrt((y**2).mean(1, keepdims=True) + 1e-6) * np.asarray(params[f"RMSNorm_{i}"]["scale"])
        expected = y / (1 + np.exp(-y))
    np.testing.assert_allclose(RMSNormMLP((8, 6)).apply({"params": params}, x), expected, rtol=1e-3, atol=1e-3)

    params = shaken(ResidualMLP(8, 2))
    linear, normal = parts_of(params)
    expected = linear(x)
    for _ in range(2):
        expected = normal(expected + linear(np.maximum(linear(expected), 0)))
    expected = np.where(expected > 0, expected, np.expm1(np.minimum(expected, 0)))
    np.testing.assert_allclose(ResidualMLP(8, 2).apply({"params": params}, x), expected, rtol=1e-3, atol=1e-3)

    begun = {kind: jax.jit(kind(64, 1).init)(KEY, jnp.ones((1, 16)))["params"] for kind in (BroNet, SimBaNet)}
    for kind, gain in ((BroNet, 2.0), (SimBaNet, 1.0)):
        kernel = np.asarray(begun[kind]["Dense_0"]["kernel"])
        np.testing.assert_allclose(kernel.T @ kernel, gain * np.eye(16), atol=1e-4)
    np.testing.assert_allclose(np.std(begun[SimBaNet]["Dense_1"]["kernel"]), (2 / 64) ** 0.5, rtol=0.05)


def test_a_network_on_spheres_by_hand():
    """SimBaV2's embedding, blocks and head in numpy, from the authors' description."""

    class Whole(nn.Module):
        @nn.compact
        def __call__(self, x):
            return UnitHead(3, hidden=1)(SimBaV2Net(8, 2)(x))

    x = jax.random.normal(KEY, (5, 3))
    params = jax.jit(Whole().init)(KEY, x)["params"]
    net, head = params["SimBaV2Net_0"], params["UnitHead_0"]
    size = np.sqrt(2 / 8)
    begin = {"Scaler_0": size, "Scaler_1": size / 2, "Scaler_2": 8**-0.5, "Scaler_3": size / 2, "Scaler_4": 8**-0.5}
    for name, value in begin.items():
        np.testing.assert_allclose(net[name]["scale"], value, rtol=1e-6)
    # A step of each scale, by which what it begins at and what it learns as can be told apart.
    net = {name: {"scale": leaf["scale"] + 0.1} if "Scaler" in name else leaf for name, leaf in net.items()}
    head = {**head, "bias": jnp.arange(3.0)}

    def unit(y):
        return y / np.linalg.norm(y, axis=-1, keepdims=True)

    def weights(k, of=net):
        return np.asarray(of[f"UnitDense_{k}"]["kernel"], np.float64).T

    features = unit(np.concatenate([np.asarray(x, np.float64), np.full((5, 1), 3.0)], axis=1))
    features = unit((size + 0.1) * (features @ weights(0)))
    for block in range(2):
        hidden = np.maximum((size / 2 + 0.1) * (features @ weights(1 + 2 * block)), 0)
        moved = unit(hidden @ weights(2 + 2 * block))
        alpha = (8**-0.5 + 0.1) / 8**-0.5 / 3
        features = unit(features + alpha * (moved - features))
    expected = (1.0 * (features @ weights(0, head))) @ weights(1, head) + np.arange(3.0)
    found = Whole().apply({"params": {"SimBaV2Net_0": net, "UnitHead_0": head}}, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_layers_of_ace_are_its_authors():
    """An ELU and then ReLUs; kernels uniform within √(6 / (inputs + outputs))."""
    module, presets = load("ace")
    flags = ["--env", "gymnax/Pendulum-v1", *small(module.Config), "--hidden-widths", "64", "32", "32"]
    agent = module.build(parse(module.Config, presets, flags)).agent
    state = jax.jit(agent.init)(KEY)
    x, a = jax.random.normal(KEY, (4, 3)), jax.random.uniform(KEY, (4, 1))
    found = agent.critic.apply(state.critic.variables, x, a)[0, :, 0]
    net = state.critic.params["params"]["ActionCritic_0"]
    hidden = np.concatenate([x, a], axis=1)
    for k, layer in enumerate([net["MLP_0"], net["MLP_1"], net]):
        for name in sorted(key for key in layer if "Dense" in key):
            kernel = np.asarray(layer[name]["kernel"])
            limit = (6 / sum(kernel.shape)) ** 0.5
            assert 0.8 * limit < np.abs(kernel).max() <= limit
            out = hidden @ kernel.T
            hidden = (np.where(out > 0, out, np.expm1(out)), np.maximum(out, 0), out)[k]
    np.testing.assert_allclose(found, hidden[:, 0], rtol=1e-4, atol=1e-5)


# Spheres


def test_weights_and_features_stay_on_their_spheres():
    make = dict(
        critic=Ensemble(lambda: ActionCritic(lambda mode: SimBaV2Net(8, 1), 5, make_head=UnitHead), 2),
        representation=Categorical(Support(-1.0, 1.0, 5)),
        constraint=on_spheres,
    )
    agent = dataclasses.replace(agent_of(), **make)
    state = jax.jit(agent.init)(KEY)
    after, _, _ = jax.jit(agent.update)(state, bandit_batch(jax.random.key(1)), jax.random.key(2))
    units = [
        (path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(after.critic.params)
        if any("UnitDense" in str(part) for part in path)
    ]
    assert len(units) == 2 * 4
    for path, leaf in units:
        np.testing.assert_allclose(np.linalg.norm(leaf, axis=-1), 1.0, rtol=1e-5, err_msg=str(path))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), state.critic.params, after.critic.params)
    assert min(value for value in jax.tree.leaves(moved)) > 0
    net = SimBaV2Net(8, 2)
    x = 100.0 * jax.random.normal(KEY, (5, 3))
    features = net.apply(net.init(KEY, x), x)
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1.0, rtol=1e-5)


def test_the_network_of_flash_sac_is_its_formulas():
    """Twice: by running statistics, and, learning, by the batch's own."""
    x = jax.random.normal(KEY, (16, 3))
    drawn = jax.random.split(jax.random.key(3), 200)

    def of(mode):
        net = FlashNet(mode, 4, 2)
        shapes = jax.eval_shape(net.init, KEY, x)
        leaves, tree = jax.tree.flatten(shapes)
        values = [jnp.abs(jax.random.normal(k, leaf.shape)) + 0.1 for k, leaf in zip(drawn, leaves, strict=False)]
        variables = tree.unflatten(values)
        out = net.apply(variables, x, mutable=["statistics"])[0]
        params, seen = (jax.tree.map(np.asarray, variables[name]) for name in ("params", "statistics"))

        def normalized(k, x):
            layer, held = params[f"BatchRenorm_{k}"], seen[f"BatchRenorm_{k}"]
            mean, variance = (x.mean(0), x.var(0)) if mode == "learn" else (held["mean"], held["variance"])
            return layer["scale"] * (x - mean) / np.sqrt(variance + 1e-5) + layer["bias"]

        def dense(k, x):
            return x @ params[f"UnitDense_{k}"]["kernel"].T

        y = dense(0, normalized(0, np.asarray(x)))
        for block in (0, 1):
            hidden = np.maximum(normalized(2 * block + 1, dense(2 * block + 1, y)), 0.0)
            y = y + np.maximum(normalized(2 * block + 2, dense(2 * block + 2, hidden)), 0.0)
        expected = params["RMSNorm_0"]["scale"] * y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6)
        np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)
        return out

    assert np.abs(of("act") - of("learn")).max() > 0.1


def test_batch_normalizations_keep_their_length_and_other_parameters_theirs():
    net = FlashNet("learn", 4, 1)
    x = jax.random.normal(KEY, (16, 3))
    params = jax.jit(net.init)(KEY, x)["params"]
    shaken = jax.tree.map(lambda leaf: 3.0 * leaf + 0.5, {**params, "Dense_0": {"kernel": jnp.ones((2, 2))}})
    back = on_spheres(shaken)
    for name, layer in back.items():
        if name.startswith("BatchRenorm"):
            np.testing.assert_allclose(sum(np.sum(leaf**2) for leaf in layer.values()), layer["scale"].size, rtol=1e-5)
    np.testing.assert_allclose(np.sum(back["RMSNorm_0"]["scale"] ** 2), 4.0, rtol=1e-5)
    np.testing.assert_array_equal(back["Dense_0"]["kernel"], 3.5)


# Resets


def test_everything_begins_anew_at_the_given_updates():
    agent = agent_of(resets=FullResets((2,)))
    state, batch = jax.jit(agent.init)(KEY), bandit_batch(jax.random.key(1), 8)
    update = jax.jit(agent.update)
    moments = []
    for count in range(4):
        state, _, _ = update(state, batch, jax.random.key(count))
        # Adam's count of its steps, which is how long the optimizer has lived.
        moments.append(int(jax.tree.leaves(state.critic.optimizer_state)[0]))
        assert int(state.updates) == count + 1
    assert moments == [1, 2, 1, 2]
    assert int(jax.tree.leaves(state.actor.optimizer_state)[0]) == 2
    anew = FullResets((2,)).step(agent, state.replace(updates=jnp.int32(2)), batch, KEY)
    fresh = agent.init(KEY)
    for name in ("actor", "critic", "entropy"):
        ours, theirs = getattr(anew, name), getattr(fresh, name)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs)
    assert int(anew.updates) == 2


def test_dormant_units_are_those_with_small_gradients():
    # A tenth of the layers' means is 0.212 and 0.2.
    first = jnp.array([[3.0, 4.0], [0.0, 0.0], [0.12, 0.16], [0.0, 0.4], [4.0, 3.0]])
    second = jnp.array([[0.1, 0.0], [3.0, 0.0], [0.0, 2.9]])
    gradient = {"a": {"kernel": first, "bias": jnp.zeros(5)}, "b": {"kernel": second, "bias": jnp.ones(3)}}
    np.testing.assert_allclose(dormant_share(gradient, 0.1), 3 / 8)
    assert dormant_share(gradient, 0.0) == 0.0


def test_networks_move_towards_fresh_ones_by_the_share_of_dormant_units():
    """All of them dormant, none, and some: a fifth is kept, nine tenths, and what is not dormant."""
    agent = agent_of(resets=DormancyResets(3, threshold=0.7))
    state, batch, key = jax.jit(agent.init)(KEY), bandit_batch(jax.random.key(1), 8), jax.random.key(5)
    state = state.replace(critic=state.critic.replace(target=jax.jit(agent.init)(jax.random.key(9)).critic.target))
    _, gradient = jax.jit(agent.actor_gradient)(state, batch, stream(key, "dormancy"))
    asleep = [np.linalg.norm(leaf, axis=1) for leaf in jax.tree.leaves(gradient) if leaf.ndim == 2]
    share = sum((length < 0.7 * length.mean()).sum() for length in asleep) / sum(map(len, asleep))
    assert 0.1 < share < 0.8
    fresh, fresh_target = (jax.jit(agent.init)(k) for k in streams(key, "fresh", "fresh target"))

    @jax.jit
    def step(threshold, updates):
        resets = with_numbers(agent.resets, {"threshold": threshold})
        return resets.step(agent, state.replace(updates=updates), batch, key)

    for threshold, keep in ((1e9, 0.2), (0.0, 0.9), (0.7, 1 - share)):
        after = step(threshold, jnp.int32(3))
        for new, old, anew in (
            (after.actor.variables, state.actor.variables, fresh.actor.variables),
            (after.critic.variables, state.critic.variables, fresh.critic.variables),
            (after.critic.target, state.critic.target, fresh_target.critic.target),
        ):
            for x, y, z in zip(*map(jax.tree.leaves, (new, old, anew)), strict=True):
                np.testing.assert_allclose(x, keep * np.asarray(y) + (1 - keep) * np.asarray(z), atol=1e-5)
    for updates in (0, 2, 4):
        other = step(0.7, jnp.int32(updates))
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), other.critic, state.critic))
    assert float(after.entropy.log_temperature) == float(state.entropy.log_temperature)


# Optimism


def optimistic(**numbers):
    return agent_of(
        Quantile(5),
        size=2,
        kind=OptimisticActorCritic,
        optimist=OptimisticPolicyNetwork(layers, 2),
        optimism=Optimism(**numbers),
        target_reduction=Pessimistic(0.0),
        actor_reduction=Pessimistic(0.0),
    )


def two_dimensional(batch):
    return batch.replace(action=jnp.tile(batch.action, (1, 2)))


def test_a_tuned_number_begins_where_it_is_told_and_follows_its_slope():
    plain = optax.identity()
    tuned = Tuned.start(0.25, plain)
    np.testing.assert_allclose(tuned.value, 0.25, rtol=1e-4)
    # The number's derivative by what is tuned: of exp(8.75 tanh x) that is 8.75 (1 - tanh² x) of itself.
    derivative = 0.25 * 8.75 * (1 - np.tanh(float(tuned.raw)) ** 2)
    for slope in (3.0, -0.7):
        moved = tuned.step(jnp.float32(slope), plain, jnp.float32(0.01)).raw - tuned.raw
        np.testing.assert_allclose(moved, -0.01 * slope * derivative, rtol=1e-3)


def test_tuned_numbers_forget_their_slopes_by_half():
    """Adam with β1 = 0.5 (BRO's authors)."""
    scalars = optimistic().scalars
    _, state = scalars.update(jnp.float32(3.0), scalars.init(jnp.float32(0.0)))
    assert float(state.mu) == 1.5


def test_numbers_that_are_left_unsaid_are_their_authors():
    """As `docs/sources.md` has them."""
    bro, maxinforl, ace = Optimism(), InformationGain(), DormancyResets(1, 0.05)
    assert (bro.divergence, bro.stretch, bro.learning_rate) == (0.05, 0.75, 3e-5)
    assert (bro.initial_optimism, bro.initial_price) == (1.0, 0.25)
    assert (maxinforl.noise, maxinforl.initial_price, maxinforl.target.rate) == (1e-3, 1.0, 0.005)
    sac = TunedTemperature(-1.0)
    assert sac.initial == 1.0
    for rate in (maxinforl.learning_rate, sac.learning_rate):
        assert (rate.at(0), rate.at(10**6)) == (pytest.approx(3e-4), pytest.approx(3e-4))
    assert (ace.smallest, ace.largest) == (0.2, 0.9)
    assert BellmanRank().weight == 1e-3
    meow = EnergyFlowHyperparameters()
    assert (meow.temperature, meow.target.rate, meow.discount) == (0.25, 0.005, 0.99)


@pytest.mark.parametrize(("divergence", "bolder"), [(1e-8, False), (1e3, True)])
def test_optimism_falls_and_its_price_rises_while_the_divergence_is_above_its_target(divergence, bolder):
    agent = optimistic(divergence=divergence, learning_rate=0.01)
    state, batch = jax.jit(agent.init)(KEY), two_dimensional(bandit_batch(jax.random.key(1), 32))
    update = jax.jit(agent.update)
    after = state
    for count in range(3):
        after, metrics, _ = update(after, batch, jax.random.key(count))
    assert (after.optimism.value > state.optimism.value) == bolder
    assert (after.price.value < state.price.value) == bolder
    assert metrics["divergence"] > 0


def test_the_optimist_climbs_what_critics_may_be_worth_less_its_divergence():
    """One step against the authors' loss, whose divergence is that of two whole Gaussians."""
    agent = optimistic(initial_optimism=1.7, initial_price=0.6, divergence=0.3, stretch=0.6, learning_rate=0.01)
    hyper = agent.hyper.replace(actor_learning_rate=LinearSchedule.constant(2.0))
    agent = dataclasses.replace(agent, hyper=hyper, optimizer=optax.identity(), scalars=optax.identity())
    state, key = jax.jit(agent.init)(KEY), jax.random.key(2)
    batch = two_dimensional(bandit_batch(jax.random.key(1), 16))
    batch = batch.replace(observation=jax.random.normal(KEY, (16, 2)))
    after, metrics, _ = jax.jit(agent.update)(state, batch, key)
    mean, log_std = agent.actor.apply(after.actor.variables, batch.observation)
    std = np.exp(log_std)
    noise = jax.random.normal(streams(key, "optimist's action")[0], mean.shape)

    def divergence_and_loss(params):
        own_mean, own_std = mean + agent.optimist.apply(params, batch.observation, mean), 0.6 * std
        first, second = agent.critic.apply(
            after.critic.variables, batch.observation, jnp.tanh(own_mean + own_std * noise)
        )
        wide = own_std / 0.6
        kl = (jnp.log(std / wide) + (wide**2 + (own_mean - mean) ** 2) / (2 * std**2) - 0.5).sum(axis=1).mean()
        value = ((first + second) / 2 + 1.7 * jnp.abs(first - second) / 2).mean()
        return 0.6 * kl - value, kl

    gradient, divergence = jax.grad(divergence_and_loss, has_aux=True)(state.optimist.params)
    np.testing.assert_allclose(metrics["divergence"], divergence, rtol=1e-3)
    nets = (after.optimist.params, state.optimist.params, gradient)
    for new, old, slope in zip(*map(jax.tree.leaves, nets), strict=True):
        assert np.abs(slope).max() > 1e-4
        np.testing.assert_allclose(new - old, -2.0 * slope, rtol=1e-2, atol=1e-6)
    # Per dimension of the action, beyond what is allowed: optimism goes down by it, and the price up.
    excess = float(divergence) / 2 - 0.3
    for name, begun, slope in (("optimism", 1.7, excess), ("price", 0.6, -excess)):
        old, new = (float(getattr(s, name).raw) for s in (state, after))
        derivative = begun * 8.75 * (1 - np.tanh(old) ** 2)
        assert new - old == pytest.approx(-0.01 * slope * derivative, rel=1e-2)


def test_the_optimist_acts_and_the_first_actor_is_evaluated():
    agent = optimistic()
    state = jax.jit(agent.init)(KEY)
    x = jax.random.normal(KEY, (3, 2))
    timestep = TimeStep(x, *(jnp.zeros(3),) * 4)
    mean, log_std = agent.actor.apply(state.actor.variables, x)
    shift = agent.optimist.apply(state.optimist.variables, x, mean)
    noise = jax.random.normal(jax.random.key(3), (3, 2))
    action, _, _ = agent.act(state, (), timestep, jax.random.key(3))
    np.testing.assert_allclose(action, np.tanh(mean + shift + 0.75 * np.exp(log_std) * noise), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(agent.exploit(state, (), timestep, KEY)[0], np.tanh(mean), rtol=1e-5)


# Information


def curious():
    numbers = InformationGain(learning_rate=LinearSchedule.constant(1e-2))
    model = Ensemble(lambda: DynamicsModel((8,), 3), 4)
    return agent_of(kind=CuriousActorCritic, model=model, information=numbers)


def test_information_is_what_the_models_disagree_about():
    agent = curious()
    state = jax.jit(agent.init)(KEY)
    x, a = jax.random.normal(KEY, (5, 2)), jax.random.uniform(KEY, (5, 1))
    statistics = state.curiosity.inputs.after(3.0 + 2.0 * jax.random.normal(KEY, (100, 3)))
    curiosity = state.curiosity.replace(inputs=statistics)
    seen = (np.concatenate([x, a], axis=1) - statistics.mean) / np.sqrt(statistics.variance)
    predicted = np.asarray(agent.model.apply(curiosity.model.variables, seen))
    expected = np.log(1 + (predicted.std(axis=0) / 1e-3) ** 2).mean(axis=1)
    np.testing.assert_allclose(agent.gain(curiosity, x, a), expected, rtol=1e-3)


def test_a_model_learns_what_one_step_did_and_the_price_what_would_be_gained():
    """One update by hand: of windows of two steps, weighted, with a number that hardly changes."""
    agent = dataclasses.replace(curious(), optimizer=optax.identity())
    state, other = (jax.jit(agent.init)(jax.random.key(seed)) for seed in (0, 5))
    assert state.curiosity.model.target == ()
    rng = np.random.default_rng(0)
    x, following = rng.normal(size=(2, 6, 2)).astype(np.float32)
    x[:, 0] *= 7e-4  # below the smallest deviation that anything is divided by
    weight = rng.uniform(0.3, 1.7, 6)
    batch = bandit_batch(jax.random.key(1), 6, False).replace(
        observation=jnp.asarray(x),
        next_observation=jnp.asarray(following),
        rewards=jnp.asarray(rng.normal(size=(6, 2)), jnp.float32),
        steps=jnp.full(6, 2),
        weight=jnp.float32(weight),
    )
    gains = state.curiosity.gains.replace(count=jnp.float32(30.0), mean=jnp.float32(2.0), variance=jnp.float32(4.0))
    inputs = state.curiosity.inputs.replace(count=jnp.float32(0.0))
    curiosity = state.curiosity.replace(actor=other.actor.variables, gains=gains, inputs=inputs)
    state, key = state.replace(curiosity=curiosity), jax.random.key(3)
    after, metrics = jax.jit(agent._improve_actor)(state, batch, key)

    @jax.jit
    def gained(variables, key):
        action, _ = agent.policy.sample(agent.actor.apply(variables, batch.observation), key)
        return agent.gain(curiosity, batch.observation, action)

    keys = streams(key, "own action", "copy's action")
    both = (state.actor.variables, other.actor.variables)
    own, copied = (np.asarray(gained(actor, k)) for actor, k in zip(both, keys, strict=True))
    assert float(metrics["information"]) == pytest.approx(own.mean(), rel=1e-3)
    # What was seen before counts as thirty numbers beside these twelve.
    seen = np.concatenate([own, copied])
    mean = (30 * 2.0 + seen.sum()) / 42
    square = (30 * (4.0 + 2.0**2) + (seen**2).sum()) / 42
    assert float(after.curiosity.gains.mean) == pytest.approx(mean, rel=1e-4)
    slope = (own.mean() - copied.mean()) / np.sqrt(square - mean**2)
    assert float(after.curiosity.price.log_temperature) == pytest.approx(-1e-2 * slope, rel=1e-2)
    for new, old, learned in zip(
        *map(jax.tree.leaves, (after.curiosity.actor, other.actor.variables, after.actor.variables)), strict=True
    ):
        np.testing.assert_allclose(new, 0.995 * old + 0.005 * learned, rtol=1e-4, atol=1e-6)

    def normal(rows):
        return (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-3)

    inputs = normal(np.concatenate([x, np.asarray(batch.action)], axis=1))
    outputs = normal(np.concatenate([following - x, np.asarray(batch.rewards)[:, :1]], axis=1))

    def loss(params):
        errors = (agent.model.apply(params, inputs) - outputs) ** 2  # [models, batch, numbers]
        return jnp.einsum("mbn,b->", errors, jnp.float32(weight)) / errors.size

    expected, gradient = jax.jit(jax.value_and_grad(loss))(state.curiosity.model.params)
    assert float(metrics["model_loss"]) == pytest.approx(float(expected), rel=1e-2)
    for new, old, leaf in zip(
        *map(jax.tree.leaves, (after.curiosity.model.params, state.curiosity.model.params, gradient)), strict=True
    ):
        np.testing.assert_allclose(new - old, -1e-2 * leaf, rtol=3e-2, atol=1e-5)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)


def test_a_model_learns_how_bytes_change_and_not_what_is_left_of_them_by_256():
    agent = curious()
    agent = dataclasses.replace(agent, observation_spec=ArraySpec((2,), np.uint8))
    state = jax.jit(agent.init)(KEY)
    before, after = (jnp.tile(jnp.array(row, jnp.uint8), (8, 1)) for row in ([10, 5], [5, 10]))
    batch = bandit_batch(KEY, 8).replace(observation=before, next_observation=after)
    curiosity, _ = jax.jit(agent._learn_model)(state.curiosity, batch, jnp.int32(0))
    np.testing.assert_allclose(curiosity.outputs.mean[:2], [-5.0, 5.0], atol=1e-3)


def test_models_learn_what_actions_do_and_there_is_less_to_know():
    agent = curious()
    batch = bandit_batch(jax.random.key(1), 64)
    x = jax.random.normal(jax.random.key(2), (64, 2))
    batch = batch.replace(observation=x, next_observation=x + batch.action)
    state, update, losses, gains = jax.jit(agent.init)(KEY), jax.jit(agent.update), [], []
    for count in range(200):
        state, metrics, _ = update(state, batch, jax.random.key(count))
        losses.append(float(metrics["model_loss"]))
        gains.append(float(metrics["information"]))
    assert losses[-1] < 0.1 * losses[5]
    assert gains[-1] < gains[5] - 1.0
    assert np.isfinite(state.curiosity.price.log_temperature)


def test_information_is_normalized_by_what_is_gained_now():
    """Statistics of very long runs still move: two millions of numbers count as one (the authors' code)."""
    agent, batch = curious(), bandit_batch(jax.random.key(1), 64)
    state, names = jax.jit(agent.init)(KEY), ("gains", "inputs", "outputs")
    old = {name: getattr(state.curiosity, name).replace(count=jnp.float32(2e6)) for name in names}
    after, _, _ = jax.jit(agent.update)(state.replace(curiosity=state.curiosity.replace(**old)), batch, KEY)
    assert [float(getattr(after.curiosity, name).count) for name in names] == [1e6] * 3


def test_information_is_worth_its_price():
    agent = curious()
    state = jax.jit(agent.init)(KEY)
    x, a = jax.random.normal(KEY, (5, 2)), jax.random.uniform(KEY, (5, 1))
    gains = state.curiosity.gains.after(2.0 + 3.0 * jax.random.normal(KEY, (100,)))
    price = state.curiosity.price.replace(log_temperature=jnp.log(3.0))
    curious_state = state.replace(curiosity=state.curiosity.replace(gains=gains, price=price))
    normal = (agent.gain(state.curiosity, x, a) - gains.mean) / np.sqrt(gains.variance)
    densities = jnp.arange(5.0)
    plain = agent_of()._bonus(state, x, a, densities)
    np.testing.assert_allclose(agent._bonus(curious_state, x, a, densities), plain + 3.0 * normal, rtol=1e-3)


def test_the_price_of_information_rises_while_a_copy_of_the_actor_would_gain_more():
    agent, batch = curious(), bandit_batch(jax.random.key(1), 64)
    state = jax.jit(agent.init)(KEY)
    plain = state.actor.variables
    last = plain["params"]["Dense_1"]  # of the log standard deviation
    bold = {"params": {**plain["params"], "Dense_1": {**last, "bias": last["bias"] + 3.0}}}

    def gain(variables):
        action, _ = agent.policy.sample(agent.actor.apply(variables, batch.observation), KEY)
        return float(agent.gain(state.curiosity, batch.observation, action).mean())

    update, difference = jax.jit(agent.update), gain(bold) - gain(plain)
    assert abs(difference) > 0.05
    for own, copied, rises in ((plain, bold, difference > 0), (bold, plain, difference < 0)):
        curiosity = state.curiosity.replace(actor=copied)
        actor = state.actor.replace(variables=own)
        after, _, _ = update(state.replace(actor=actor, curiosity=curiosity), batch, KEY)
        assert (float(after.curiosity.price.log_temperature) > 0) == rises


# Causes


def linear_rows(count=5000):
    e = np.random.default_rng(0).uniform(-1, 1, (count, 6))
    a, b = e[:, 0], e[:, 1]
    c = 0.8 * a - 0.5 * b + e[:, 2]
    effect = 2.0 * c + e[:, 3]
    y = 1.5 * b - 0.7 * c + 0.3 * e[:, 4]
    outcome = 1.2 * y + 0.5 * e[:, 5]
    means = np.array([0.4, -0.7, 1.5, 0.9, -1.1, 0.6])
    return (np.stack([outcome, effect, a, c, b, y], axis=1) + means).astype(np.float32)


def test_causes_are_told_from_effects():
    rows = linear_rows()
    order = list(np.asarray(jax.jit(causal_order)(rows)))
    assert order.index(3) > max(order.index(2), order.index(4)), "c after its causes a and b"
    assert order.index(1) > order.index(3), "the effect of c after it"
    assert order.index(5) > max(order.index(3), order.index(4)), "y after its causes"
    assert order.index(0) > order.index(5), "what comes of y after it"
    effects = np.asarray(jax.jit(effects_on_last)(rows))
    np.testing.assert_allclose(effects[2:], [0.0, -0.7, 1.5], atol=0.05)
    assert abs(effects[1]) < 0.05, "what c causes has no effect on y"
    assert effects[0] == 0.0, "and what y causes has none"


def test_the_order_of_a_linear_model_in_which_all_cause_all_later_ones_is_found():
    """Whatever the signs of the effects, with disturbances skewed and even; only one order is right."""
    order = jax.jit(causal_order)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        effects = np.tril(rng.choice([-1, 1], (4, 4)) * rng.uniform(0.5, 1.5, (4, 4)), -1)
        disturbances = np.stack([(rng.exponential if i % 2 else rng.uniform)(size=3000) for i in range(4)])
        variables, column = np.linalg.solve(np.eye(4) - effects, disturbances), rng.permutation(4)
        np.testing.assert_array_equal(column[order(jnp.float32(variables[column].T))], np.arange(4))


def test_entropies_are_those_of_an_expansion_around_a_gaussian():
    """`H(N) - Σ E[K_i]² / 2`, each K_i a contrast without what 1, x and x² say of it, at a variance of one.

    So Hyvärinen (1998) derives it; here by quadrature, of his two contrasts `log cosh x` and `x exp(-x²/2)`.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    known = np.stack([nodes**0, nodes, (nodes**2 - 1) / np.sqrt(2)])  # orthonormal under a Gaussian
    rng = np.random.default_rng(0)
    samples = np.stack([rng.gamma(2.0, size=500), rng.uniform(size=500), rng.normal(size=500) ** 3])
    samples = (samples - samples.mean(axis=1, keepdims=True)) / samples.std(axis=1, keepdims=True)
    expected = np.full(3, scipy.stats.norm.entropy())
    for contrast in (lambda x: np.log(np.cosh(x)), lambda x: x * np.exp(-(x**2) / 2)):
        share = known @ (weights * contrast(nodes))
        variance = weights @ (contrast(nodes) - share @ known) ** 2
        # Standardized samples have nothing left of x and x² - 1.
        expected -= (contrast(samples).mean(axis=1) - share[0]) ** 2 / variance / 2
    np.testing.assert_allclose(jax.jit(_entropy)(jnp.float32(samples)), expected, atol=1e-3)
    assert np.ptp(expected) > 0.2
    standard = jax.jit(_standardized)(jnp.float32(3.0 * samples + 5.0))
    np.testing.assert_allclose(standard, samples, atol=1e-4)


def test_entropy_counts_by_what_actions_do_to_the_reward():
    entropy = WeightedTemperature(TunedTemperature(-2.0), 3)
    agent = agent_of(size=3, kind=CausalActorCritic, hyper={"entropy": entropy}, samples=512, period=2)
    state, update = jax.jit(agent.init)(KEY), jax.jit(agent.update)
    np.testing.assert_array_equal(state.entropy.weights, 1.0)
    for count in range(5):
        keys = jax.random.split(jax.random.key(100 + count), 3)
        action = jax.random.uniform(keys[0], (128, 3), minval=-1.0)
        noise = jax.random.uniform(keys[1], (128, 1), minval=-0.1, maxval=0.1)
        x = jax.random.uniform(keys[2], (128, 2))
        rewards = jnp.concatenate([1.5 * action[:, :1] + noise, 9.0 + noise], axis=1)  # of windows, the first counts
        batch = bandit_batch(jax.random.key(count), 128).replace(observation=x, action=action, rewards=rewards)
        before, (state, _, _) = state.entropy.weights, update(state, batch, jax.random.key(count))
        assert state.written == 128 * (count + 1)
        rows = np.asarray(state.rows)[128 * (count % 4) : 128 * (count % 4 + 1)]  # the oldest give way
        np.testing.assert_array_equal(rows, np.concatenate([x, action, rewards[:, :1]], axis=1))
        # Every two updates, but not before there are as many samples as are asked for.
        assert (np.asarray(state.entropy.weights) != before).any() == (count == 3)
    # However many there were, their number does not overflow, and the next one's place follows from it.
    late = state.replace(written=jnp.int32(2 * 512 - 128))
    late, _, _ = update(late, batch, KEY)
    assert late.written == 512
    np.testing.assert_array_equal(late.rows[384:], np.concatenate([x, action, rewards[:, :1]], axis=1))
    weights = np.asarray(state.entropy.weights)
    expected = np.exp([1.5, 0.0, 0.0])
    np.testing.assert_allclose(weights, 3.0 * expected / expected.sum(), atol=0.15)
    log_densities = jnp.array([[1.0, -2.0, 0.5]])
    np.testing.assert_allclose(entropy.log_density(state.entropy, log_densities), weights @ [1.0, -2.0, 0.5], rtol=1e-6)
    with pytest.raises(InputError, match="entropy is 'TunedTemperature'"):
        agent_of(kind=CausalActorCritic)


# Noise, schedules, precision, privileges


def test_noise_is_held_for_as_long_as_a_zeta_distribution_says():
    """Of exponent 2 and at most 16 steps unless told otherwise."""
    outputs = (jnp.zeros((3, 1)), jnp.zeros((3, 1)))
    timestep = TimeStep(jnp.zeros((3, 2)), *(jnp.zeros(3),) * 4)

    @jax.jit
    def play(noise):
        def step(memory, key):
            action, memory = noise.explore(memory, SquashedGaussian(), outputs, timestep, key)
            return memory, action

        return jax.lax.scan(step, noise.init(3), jax.random.split(KEY, 6000))[1]

    actions = np.asarray(play(RepeatedNoise(1)))[..., 0]
    assert (actions[0] != actions[0, 0]).sum() == 2, "environments have noise of their own"
    ends = np.flatnonzero(np.diff(actions[:, 0]) != 0)
    np.testing.assert_array_equal(ends, np.flatnonzero(np.diff(actions[:, 1]) != 0))
    held = np.diff(ends)
    mass = np.arange(1, 17) ** -2.0
    assert held.max() == 16
    np.testing.assert_allclose(np.bincount(held, minlength=17)[1:] / held.size, mass / mass.sum(), atol=0.03)
    assert scipy.stats.kstest(np.arctanh(actions[ends, 0]), "norm").pvalue > 0.01


def test_a_cosine_schedule():
    at = CosineSchedule(3.0, 1.0, 10.0).at
    np.testing.assert_allclose([at(0), at(5), at(10), at(20)], [3.0, 2.0, 1.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(at(2.5), 2.0 + np.cos(np.pi / 4), rtol=1e-6)


def test_gpus_multiply_in_bfloat16_and_cpus_do_not():
    agent = MixedPrecision(agent_of())
    batch = bandit_batch(KEY, 8)

    def lowered(platform):
        state = jax.eval_shape(agent.init, KEY)
        return jax.jit(agent.update).trace(state, batch, KEY).lower(lowering_platforms=(platform,)).as_text()

    with platforms.assume("gpu"):
        assert "lhs_precision_type = bf16" in lowered("cuda")
    assert "bf16" not in lowered("cpu")


def test_critics_see_what_is_privileged_and_actors_do_not():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Seen(Privileged):
        pass

    config = Seen()
    both = SimpleNamespace(observation_spec={"state": ArraySpec((2,)), "privileged_state": ArraySpec((3,))})
    assert config.seen_by_actor(both) == ("state",)
    assert config.seen_by_critic(both) == ("privileged_state",)
    single = SimpleNamespace(observation_spec=ArraySpec((2,)))
    assert config.seen_by_actor(single) == config.seen_by_critic(single) == ()
    assert Seen(actor_sees=("privileged_state",)).seen_by_actor(both) == ("privileged_state",)
    base = agent_of()
    agent = dataclasses.replace(
        base,
        actor=seeing(("state",), base.actor),
        critic=Ensemble(lambda: seeing(("privileged_state",), ActionCritic(layers)), 2),
        observation_spec={"state": ArraySpec((2,)), "privileged_state": ArraySpec((3,))},
        action_spec=Continuous(1),
        hyper=base.hyper.replace(exploration=PolicySample()),
    )
    state = jax.jit(agent.init)(KEY)
    assert state.actor.params["params"]["network"]["MLP_0"]["Dense_0"]["kernel"].shape[1] == 2
    firsts = [leaf for leaf in jax.tree.leaves(state.critic.params) if leaf.ndim == 2 and leaf.shape[0] == 16]
    assert [leaf.shape[1] for leaf in firsts] == [3 + 1, 3 + 1]
    batch = bandit_batch(KEY, 8)
    tree = {"state": batch.observation, "privileged_state": jnp.ones((8, 3))}
    _, metrics, _ = jax.jit(agent.update)(state, batch.replace(observation=tree, next_observation=tree), KEY)
    assert np.isfinite(metrics["loss"])


def test_agents_around_agents_learn_alike_in_any_order():
    """Observations normalized and rewards scaled know nothing of each other."""
    agent = agent_of()
    assert isinstance(agent, ActorCritic)
    batch = bandit_batch(KEY, 16)
    states = []
    for around in (Normalized(ScaledRewards(agent)), ScaledRewards(Normalized(agent))):
        state, memory = jax.jit(around.init)(KEY), around.init_memory(4)
        timestep = TimeStep(jax.random.normal(KEY, (4, 2)), jnp.arange(4.0), *(jnp.zeros(4, bool),) * 3)
        state, memory = around.observe(state, memory, timestep)
        state, _, _ = jax.jit(around.update)(state, batch, KEY)
        states.append(state.base.base)
    for ours, theirs in zip(*(jax.tree.leaves(state) for state in states), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("policy", "expected"), [(Deterministic(), np.tanh(0.7)), (Given(), 0.7)])
def test_a_deterministic_policy_has_no_density(policy, expected):
    action, log_densities = policy.sample(jnp.full((2, 3), 0.7), KEY)
    np.testing.assert_allclose(action, expected, rtol=1e-6)
    np.testing.assert_array_equal(policy.mode(jnp.full((2, 3), 0.7)), action)
    np.testing.assert_array_equal(log_densities, np.zeros((2, 3)))


def test_scalar_critics_have_no_quantiles_to_be_pessimistic_about():
    with pytest.raises(InputError, match="representation is 'Scalar'"):
        agent_of(Scalar(), target_reduction=Pessimistic())


@pytest.mark.parametrize(
    ("name", "flags", "named"),
    [
        ("simba_v2", ["--v-min", "0"], "v_min is 0"),
        ("maxinforl", ["--num-models", "1"], "num_models is 1"),
        ("maxinforl", ["--model-noise", "0"], "model_noise is 0"),
        ("mrq", ["--num-bins", "1"], "num_bins is 1"),
        ("mrq", ["--target-noise", "-1"], "target_noise is -1"),
        ("hyper_critic", ["--largest-target-noise", "-1"], "largest_target_noise is -1"),
        ("flash_sac", ["--v-min", "0"], "v_min is 0"),
        ("fast_td3", ["--smallest-noise", "0.5", "--largest-noise", "0.4"], "smallest_noise is 0.5, .* largest, 0.4"),
    ],
)
def test_numbers_that_a_script_cannot_use_are_named_by_their_flags(name, flags, named):
    module, presets = load(name)
    with pytest.raises(InputError, match=named):
        module.build(parse(module.Config, presets, ["--env", "gymnax/Pendulum-v1", *flags]))


def test_an_axis_after_the_learner_would_make_nothing_and_is_refused():
    with pytest.raises(TypeError, match="Late: Averaging, Temperature must come before ActorCriticLearner"):
        type("Late", (ActorCriticLearner, Averaging, Temperature), {})
    with pytest.raises(TypeError, match="Later: Averaging must come before"):  # as a class between them has it
        type("Later", (type("Own", (ActorCriticLearner,), {}), Averaging), {})
    assert type("InTime", (Averaging, ActorCriticLearner), {})().make_targets() == PolyakUpdate(0.005)
