"""Hypernetwork critics, energy-based flows and model-based representations, against other ways to the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_experiments import load, small

from jaxq.agents import (
    EnergyFlowHyperparameters,
    EnergyFlowLearning,
    FlowPolicy,
    PolyakUpdate,
)
from jaxq.envs import ArraySpec, Continuous
from jaxq.networks import (
    MLP,
    AdditiveCoupling,
    AffineCoupling,
    ConditionalFlow,
    EnergyFlow,
    FlowPolicyNetwork,
    HyperCritic,
)
from jaxq.runs import parse
from jaxq.runs.run import member_keys
from jaxq.types import Transition


def uniform(seed, *shape, low=-1.0, high=1.0):
    return jnp.asarray(np.random.default_rng(seed).uniform(low, high, shape), jnp.float32)


def trained(name, *flags, iterations=20):
    """A small run on Pendulum: the state after a chunk, and its metrics."""
    module, presets = load(name)
    config = parse(module.Config, presets, ["--env", "gymnax/Pendulum-v1", *small(module.Config), *flags])
    training = module.build(config)
    state = jax.jit(lambda keys: training.warm_up(training.init(keys)))(member_keys(config))
    return training, *jax.jit(lambda s: training.train_chunk(s, iterations))(state)


def assert_finite(tree):
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            assert np.isfinite(leaf).all()


# Hypernetwork critics.


def test_a_hypernetwork_s_critic_is_a_network_on_the_action_for_each_state():
    network = HyperCritic(2, (8, 16), 1, 5)
    state, action = uniform(0, 7, 3), uniform(1, 7, 2)
    params = jax.jit(network.init)(jax.random.key(0), state, action)
    found = jax.jit(network.apply)(params, state, action)
    tree = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    primary = tree["PrimaryNetwork_0"]

    def dense(layer, x):
        return layer["kernel"] @ x + layer["bias"]

    for b in range(7):
        z, names = np.asarray(state[b], np.float64), iter(f"Dense_{i}" for i in range(6))
        for _ in range(2):
            z = dense(primary[next(names)], z)
            inner = dense(primary[next(names)], np.maximum(z, 0))
            z = z + dense(primary[next(names)], np.maximum(inner, 0))
        x = np.asarray(action[b], np.float64)
        for layer, (units, inputs) in (("DynamicDense_0", (5, 2)), ("DynamicDense_1", (2, 5))):
            made = {name: dense(tree[layer][name], z) for name in ("weights", "bias", "gain")}
            x = made["weights"].reshape(units, inputs) @ x * (1 + made["gain"]) + made["bias"]
            x = np.maximum(x, 0) if layer == "DynamicDense_0" else x
        np.testing.assert_allclose(found[b], x, rtol=1e-4, atol=1e-6)


def test_dynamic_weights_begin_as_in_the_authors_code():
    network = HyperCritic(1, (64,), 2, 32)
    params = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 16)), jnp.zeros((1, 4)))["params"]
    first = params["PrimaryNetwork_0"]["Dense_0"]
    assert 0.95 / 8 < np.abs(first["kernel"]).max() <= 1 / 8  # 1 / (2 √16)
    assert 0.9 / 4 < np.abs(first["bias"]).max() <= 1 / 4
    for layer, limit in (("DynamicDense_0", 0.05), ("DynamicDense_1", 0.008)):
        for head in params[layer].values():
            assert 0.9 * limit < np.abs(head["kernel"]).max() <= limit
            assert not head["bias"].any()


def test_a_chunk_of_hypernetwork_critics_learns_finitely():
    _, state, metrics = trained("hyper_critic", "--primary-widths", "8", "--dynamic-width", "8")
    assert_finite((state.agent, metrics["loss"], metrics["actor_loss"]))


# Flows.


def moved(params, scale=0.3, seed=0):
    """Parameters away from where they begin, so that nothing is zero."""
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    return tree.unflatten([x + jnp.asarray(rng.normal(0, scale, x.shape), x.dtype) for x in leaves])


def flow_of(kind, size, couplings=4):
    return ConditionalFlow(size, lambda even: kind(size, even, (8, 8)), couplings, (8, 8), (-2.0, 0.5))


@pytest.mark.parametrize("kind", [AdditiveCoupling, AffineCoupling])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_flow_s_inverse_and_volume_are_those_of_its_jacobian(kind, size):
    flow = flow_of(kind, size)
    noise, context = uniform(0, 6, size, low=-2, high=2), uniform(1, 6, 3)
    params = moved(jax.jit(lambda key: flow.init(key, noise, context, "act"))(jax.random.key(0)))
    x, log_volume = jax.jit(lambda p: flow.apply(p, noise, context, "act"))(params)
    back, log_shrinkage = jax.jit(lambda p: flow.apply(p, x, context, "act", method="inverse"))(params)
    np.testing.assert_allclose(back, noise, atol=1e-4)
    np.testing.assert_allclose(log_shrinkage, -log_volume, atol=1e-4)

    def one(noise, context):
        return flow.apply(params, noise[None], context[None], "act")[0][0]

    jacobians = np.asarray(jax.jit(jax.vmap(jax.jacrev(one)))(noise, context), np.float64)
    np.testing.assert_allclose(log_volume, np.linalg.slogdet(jacobians)[1], atol=1e-4)
    if size > 1:
        assert (np.abs(jacobians) > 1e-4).all(), "every number depends on every other"
    if kind is AdditiveCoupling:
        log_std = flow.apply(params, context, "act", method="log_std")
        np.testing.assert_allclose(log_volume, log_std.sum(axis=-1), rtol=1e-5)


def policy_of(size):
    policy = FlowPolicy(flow_of(AffineCoupling, size))
    network = FlowPolicyNetwork(lambda mode: MLP((8,)), policy.flow)
    return policy, network, moved(jax.jit(network.init)(jax.random.key(0), uniform(2, 1, 3)), 0.4)


@pytest.mark.parametrize("size", [1, 2])
def test_a_flow_policy_s_density_is_how_often_its_actions_come(size):
    policy, network, params = policy_of(size)
    outputs = network.apply(params, jnp.broadcast_to(uniform(3, 1, 3), (200_000, 3)))
    action, log_density = jax.jit(policy.sample)(outputs, jax.random.key(0))
    assert (np.abs(action) <= 1).all()
    # E[f(a) / p(a)] over samples is the integral of f, where p has its weight.
    near = np.abs(np.asarray(action) - np.asarray(action).mean(axis=0)) < 0.15
    for f, exact in ((near.all(axis=1), 0.3**size), (near.all(axis=1) * np.asarray(action[:, 0]), None)):
        exact = 0.3**size * float(action.mean(axis=0)[0]) if exact is None else exact
        np.testing.assert_allclose(np.mean(f * np.exp(-np.asarray(log_density))), exact, rtol=0.05, atol=1e-3)


def test_a_flow_policy_s_slope_reaches_its_features_and_its_flow():
    policy, network, params = policy_of(2)

    def entropy(params):
        return policy.sample(network.apply(params, uniform(3, 16, 3)), jax.random.key(0))[1].mean()

    gradient = jax.jit(jax.grad(entropy))(params)["params"]
    assert set(gradient) == {"MLP_0", "flow"}
    for part in gradient.values():
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(part))
    outputs = network.apply(params, uniform(3, 16, 3))
    before = policy.flow.apply({"params": outputs.params}, jnp.zeros((16, 2)), outputs.context)[0]
    np.testing.assert_allclose(policy.mode(outputs), np.tanh(before), rtol=1e-6)


# Energy-based flows.


def energy_agent(size=1, temperature=0.4, dropout=0.0, **numbers):
    flow = ConditionalFlow(size, lambda even: AdditiveCoupling(size, even, (8,), dropout), 4, (8,), (-2.0, 0.5))
    hyper = EnergyFlowHyperparameters(temperature=temperature, **numbers)
    network = EnergyFlow(flow, 2, (8,))
    return EnergyFlowLearning(network, ArraySpec((3,)), Continuous(size), optax.scale_by_adam(), hyper)


@pytest.mark.parametrize("size", [1, 2])
def test_a_soft_value_is_the_integral_of_its_action_values(size):
    """V = α log ∫ exp(Q / α), and exp((Q - V) / α) is a density, by sums over a grid that is even before squashing."""
    agent, alpha = energy_agent(size), 0.4
    variables = moved(jax.jit(agent.init)(jax.random.key(0)).flow.variables)
    points = 1201 if size == 1 else 201
    before = np.linspace(-5.5, 5.5, points)
    # da = (1 - tanh²) dx.
    step = np.log((before[1] - before[0]) * (1 - np.tanh(before) ** 2))
    grid = np.stack(np.meshgrid(*[np.tanh(before)] * size), axis=-1).reshape(-1, size)
    log_step = sum(np.meshgrid(*[step] * size)).ravel()
    values = jax.jit(agent.values)
    for seed in range(3):
        state = jnp.broadcast_to(uniform(seed, 1, 3), (len(grid), 3))
        v, q = (np.asarray(x, np.float64) for x in values(variables, alpha, state, jnp.asarray(grid, jnp.float32)))
        np.testing.assert_allclose(v, v[:, :1] * np.ones(len(grid)), atol=1e-5)
        exponent = q / alpha + log_step
        largest = exponent.max(axis=1, keepdims=True)
        integral = np.log(np.exp(exponent - largest).sum(axis=1)) + largest[:, 0]
        np.testing.assert_allclose(v[:, 0], alpha * integral, atol=2e-3)
        np.testing.assert_allclose(q[0] - v[0], q[1] - v[1], atol=1e-4)
        assert abs(v[0, 0] - v[1, 0]) > 1e-3, "the shifts are two values of one policy"


def test_actions_of_an_energy_flow_come_as_often_as_its_values_say():
    agent, alpha = energy_agent(), 0.4
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(flow=state.flow.replace(variables=moved(state.flow.variables)))
    seen = jnp.broadcast_to(uniform(1, 1, 3), (100_000, 3))
    timestep = type("Seen", (), {"observation": seen, "first": jnp.zeros(100_000, bool)})
    action = np.asarray(agent.act(state, (), timestep, jax.random.key(1))[0])[:, 0]
    edges = np.quantile(action, np.linspace(0.05, 0.95, 11))
    counts = np.histogram(action, edges)[0] / action.size
    for low, high, share in zip(edges[:-1], edges[1:], counts, strict=True):
        inner = np.linspace(low, high, 65)
        v, q = agent.values(state.flow.variables, alpha, seen[:65], jnp.asarray(inner, jnp.float32)[:, None])
        np.testing.assert_allclose(np.trapezoid(np.exp((q[0] - v[0]) / alpha), inner), share, rtol=0.05)
    mode = agent.exploit(state, (), timestep, jax.random.key(0))[0][0, 0]
    np.testing.assert_allclose(mode, np.median(action), atol=0.02)  # in one dimension symmetric before squashing


def transitions(size=32, actions=1):
    rng = np.random.default_rng(0)
    return Transition(
        observation=uniform(1, size, 3),
        action=uniform(2, size, actions),
        rewards=uniform(3, size, 2),
        steps=jnp.full(size, 2, jnp.int32),
        terminated=jnp.asarray(rng.random(size) < 0.3),
        next_observation=uniform(4, size, 3),
        weight=jnp.asarray(rng.integers(0, 2, size), jnp.float32),
        index=jnp.arange(size),
    )


def test_an_energy_flow_learns_the_backup_of_its_smallest_target_value():
    agent, batch = energy_agent(discount=0.9, target=PolyakUpdate(0.25)), transitions()
    state = jax.jit(agent.init)(jax.random.key(0))
    flow = state.flow.replace(variables=moved(state.flow.variables), target=moved(state.flow.target, seed=1))
    state = state.replace(flow=flow)
    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(1))
    following, _ = agent.values(flow.target, 0.4, batch.next_observation, batch.action)
    going_on = 1.0 - np.asarray(batch.terminated)
    target = batch.rewards[:, 0] + 0.9 * batch.rewards[:, 1] + 0.81 * going_on * np.asarray(following).min(axis=0)

    def loss(variables):
        error = agent.values(variables, 0.4, batch.observation, batch.action)[1] - target
        return jnp.mean(batch.weight * 0.5 * error**2, axis=1).sum(), jnp.abs(error).mean(axis=0)

    (expected, errors), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(flow.variables)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(priority, errors, rtol=1e-3)
    for new, old, slope in zip(*map(jax.tree.leaves, (after.flow.variables, flow.variables, gradient)), strict=True):
        clear = np.abs(slope) > 1e-4  # Adam's first step is the slope's sign
        np.testing.assert_allclose((new - old)[clear], -1e-3 * np.sign(slope)[clear], rtol=1e-2)
    for new, old, online in zip(
        *map(jax.tree.leaves, (after.flow.target, flow.target, after.flow.variables)), strict=True
    ):
        np.testing.assert_allclose(new, 0.75 * old + 0.25 * online, rtol=1e-4, atol=1e-5)


def test_dropout_is_in_learning_alone():
    agent = energy_agent(2, dropout=0.5)
    variables = moved(jax.jit(agent.init)(jax.random.key(0)).flow.variables)
    state, action = uniform(0, 64, 3), uniform(1, 64, 2)

    def q(mode, seed):
        return np.asarray(agent.values(variables, 0.4, state, action, mode, jax.random.key(seed))[1])

    assert (q("learn", 0) != q("learn", 1)).any()
    for mode in ("target", "act", "exploit"):
        np.testing.assert_array_equal(q(mode, 0), q(mode, 1))


@pytest.mark.parametrize(
    ("name", "flags", "metric"),
    [
        ("meow", ["--flow-widths", "8", "--shift-widths", "8"], "mean_v"),
        ("flow_sac", ["--flow-widths", "8", "--hidden-widths", "8"], "entropy"),
    ],
)
def test_a_chunk_of_flows_learns_finitely(name, flags, metric):
    _, state, metrics = trained(name, *flags)
    assert_finite((state.agent, metrics["loss"], metrics[metric]))
