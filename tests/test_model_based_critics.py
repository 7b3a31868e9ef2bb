"""Hypernetwork critics, energy-based flows and model-based representations, against other ways to the same numbers."""

import dataclasses

import flax.linen as nn
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
    GaussianNoise,
    HardUpdate,
    ModelBasedActorCritic,
    ModelBasedHyperparameters,
    PolyakUpdate,
    Smoothing,
)
from jaxq.bellman import Scalar, SymexpSupport, TwoHot
from jaxq.envs import ArraySpec, Continuous
from jaxq.errors import InputError
from jaxq.networks import (
    MLP,
    AdditiveCoupling,
    AffineCoupling,
    ConditionalFlow,
    EnergyFlow,
    Ensemble,
    FlowPolicyNetwork,
    HyperCritic,
    LatentCritic,
    ModelBasedEncoder,
    NormalizedLayers,
)
from jaxq.replay import PrioritizedReplay, SequenceReplay
from jaxq.runs import parse
from jaxq.runs.population import member_keys
from jaxq.types import Segment, TimeStep, Transition


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
    action, log_densities = jax.jit(policy.sample)(outputs, jax.random.key(0))
    log_density = log_densities.sum(axis=1)
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
    means = [np.mean(x) for x in agent.values(flow.variables, 0.4, batch.observation, batch.action)]
    np.testing.assert_allclose([metrics["mean_v"], metrics["mean_q"]], means, rtol=1e-4)
    assert int(after.updates) == 1
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


# Model-based representations.


def test_two_bins_share_a_reward_by_its_distances_from_them():
    support = SymexpSupport(-10.0, 10.0, 65)
    bins = np.sign(np.linspace(-10, 10, 65)) * np.expm1(np.abs(np.linspace(-10, 10, 65)))
    np.testing.assert_allclose(support.atoms, bins, rtol=1e-5, atol=1e-6)
    values = np.array([0.0, 1e-3, -0.2, 0.7, -7.3, 123.4, -21_000.0, 30_000.0, -30_000.0, bins[40]], np.float32)
    found = np.asarray(TwoHot(support).encode(jnp.asarray(values)))
    for value, shares in zip(values, found, strict=True):
        above = int(np.clip(np.searchsorted(bins, value), 1, 64))
        share = np.clip((value - bins[above - 1]) / (bins[above] - bins[above - 1]), 0, 1)
        exact = np.zeros(65)
        exact[above - 1], exact[above] = 1 - share, share
        np.testing.assert_allclose(shares, exact, atol=2e-4)
        np.testing.assert_allclose(shares @ bins, np.clip(value, bins[0], bins[-1]), rtol=1e-3, atol=1e-5)


REWARD = TwoHot(SymexpSupport(-3.0, 3.0, 9))


def model_based_agent(period=250, smoothing=0.0, **numbers):
    numbers = {
        "target": HardUpdate(2 * period),
        "exploration": GaussianNoise(0.0),
        "smoothing": Smoothing(smoothing, 0.3),
        "discount": 0.9,
        **numbers,
    }
    return ModelBasedActorCritic(
        ModelBasedEncoder(REWARD.width, 8, 4, (8, 8)),
        Ensemble(lambda: LatentCritic(1, 8), 2),
        NormalizedLayers(1, (8, 8), nn.relu),
        ArraySpec((3,)),
        Continuous(1),
        optax.scale_by_adam(),
        optax.scale_by_adam(),
        ModelBasedHyperparameters(**numbers),
        Scalar(1.0),
        REWARD,
    )


def segment(size=6, length=5, seed=0):
    """Windows of which the first terminates at its second step and the second is cut off at its third."""
    ends = np.zeros((2, length, size), bool)
    ends[0, 1, 0] = ends[1, 2, 1] = True
    final = np.zeros((length, size), bool)
    final[2, 0] = final[3, 1] = True
    return Segment(
        observation=uniform(seed, length + 1, size, 3),
        action=uniform(seed + 1, length, size, 1),
        reward=uniform(seed + 2, length, size, low=-3, high=3),
        terminated=jnp.asarray(ends[0]),
        truncated=jnp.asarray(ends[1]),
        final=jnp.asarray(final),
        weight=jnp.asarray(np.resize([0.3, 1.7, 0.0, 0.9, 1.1], size), jnp.float32),
        index=jnp.arange(size),
        priority=jnp.arange(1.0, size + 1),
    )


def model_based_state(agent, updates=0, **fields):
    """A state whose targets are not what learns, after some updates."""
    state = jax.jit(agent.init)(jax.random.key(0))
    nets = {}
    for seed, name in enumerate(("encoder", "critic", "actor")):
        learner = getattr(state, name)
        nets[name] = learner.replace(target=moved(learner.target, 0.2, seed))
    seen = state.seen.replace(magnitude=jnp.float32(2.5), terminated=jnp.float32(1.0))
    fields = {"reward_scale": jnp.float32(2.0), "target_reward_scale": jnp.float32(3.0), **fields}
    return state.replace(seen=seen, updates=jnp.int32(updates), **nets, **fields)


def by_apply(agent, **variables):
    """What networks say, sample by sample, in numpy."""

    @jax.jit
    def embed(observation):
        return agent.encoder.apply(variables["encoder"], observation[None], method="embed")[0]

    @jax.jit
    def foresee(latent, action):
        found = agent.encoder.apply(variables["encoder"], latent[None], action[None], method="foresee")
        return jax.tree.map(lambda x: x[0], found)

    @jax.jit
    def act(latent):
        return jnp.tanh(agent.actor.apply(variables["actor"], latent[None])[0])

    @jax.jit
    def value(latent, action):
        joint = agent.encoder.apply(variables["encoder"], latent[None], action[None], method="join")
        return agent.critic.apply(variables["critic"], joint)[:, 0, 0]

    return embed, foresee, act, value


def test_the_encoder_s_loss_over_windows_that_end_inside():
    agent, batch = model_based_agent(), segment()
    state, update = model_based_state(agent, updates=7), jax.jit(agent.update)
    after, metrics, priority = update(state, batch, jax.random.key(1))
    embed, foresee, _, _ = by_apply(agent, encoder=state.encoder.variables)
    embed_target = by_apply(agent, encoder=state.encoder.target)[0]
    rewards = np.asarray(REWARD.encode(batch.reward.reshape(-1))).reshape(5, 6, 9)
    dynamics = reward = termination = 0.0
    for b in (0, 1, 3, 4, 5):
        latent, share = embed(batch.observation[0, b]), float(batch.weight[b]) / 6
        for t in range(5):
            foreseen = foresee(latent, batch.action[t, b])
            latent = foreseen.latent
            error = np.asarray(latent) - np.asarray(embed_target(batch.observation[t + 1, b]))
            dynamics += share * (error**2).mean()
            reward -= share * (rewards[t, b] * np.asarray(jax.nn.log_softmax(foreseen.reward))).sum()
            termination += share * (float(foreseen.terminated) - float(batch.terminated[t, b])) ** 2
            if batch.terminated[t, b] or batch.truncated[t, b]:
                break
    np.testing.assert_allclose(metrics["dynamics_loss"], dynamics, rtol=1e-4)
    np.testing.assert_allclose(metrics["reward_loss"], reward, rtol=1e-4)
    np.testing.assert_allclose(metrics["termination_loss"], termination, rtol=1e-4)
    np.testing.assert_allclose(metrics["model_loss"], dynamics + 0.1 * reward + 0.1 * termination, rtol=1e-4)
    np.testing.assert_array_equal(priority, batch.priority)
    assert_unmoved(after, state, "critic", "actor")
    # Where no episode ever ended by itself, that is not learned.
    unseen = state.replace(seen=state.seen.replace(terminated=jnp.float32(0.0)))
    metrics = update(unseen, batch, jax.random.key(1))[1]
    np.testing.assert_allclose(metrics["model_loss"], dynamics + 0.1 * reward, rtol=1e-4)


def assert_unmoved(after, before, *names):
    for name in names:
        for x, y in zip(*(jax.tree.leaves(getattr(s, name).variables) for s in (after, before)), strict=True):
            np.testing.assert_array_equal(x, y)


def test_values_learn_three_rewards_and_the_smaller_target_value_in_the_reward_s_scale():
    agent, batch = model_based_agent(), segment()
    state = model_based_state(agent, updates=250)
    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(1))
    embed, _, _, value = by_apply(agent, encoder=state.encoder.variables, critic=state.critic.variables)
    following = by_apply(agent, encoder=state.encoder.target, critic=state.critic.target, actor=state.actor.target)
    loss, expected = 0.0, []
    for b in range(6):
        steps = {0: 2, 1: 3}.get(b, 3)
        total = sum(0.9**t * float(batch.reward[t, b]) for t in range(steps))
        latent = following[0](batch.observation[steps, b])
        then = float(following[3](latent, following[2](latent)).min())
        target = (total + (0.0 if b == 0 else 0.9**steps) * then * 3.0) / 2.0
        error = np.abs(np.asarray(value(embed(batch.observation[0, b]), batch.action[0, b])) - target)
        loss += float(batch.weight[b]) * np.where(error < 1, 0.5 * error**2, error - 0.5).mean() / 6
        expected.append(max(error.max(), 1.0))
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-4)
    np.testing.assert_allclose(priority, expected, rtol=1e-4)
    assert max(expected) > 1.0 in expected
    taken = [value(embed(batch.observation[0, b]), batch.action[0, b]) for b in range(6)]
    np.testing.assert_allclose(metrics["mean_q"], 2.0 * np.average(taken), rtol=1e-4)
    assert_unmoved(after, state, "encoder")
    assert [float(x) for x in (after.reward_scale, after.target_reward_scale)] == [2.0, 3.0]


def test_the_actor_climbs_the_mean_of_the_new_critics():
    agent, batch = model_based_agent(action_penalty=0.3), segment()
    state = model_based_state(agent, updates=250)
    after, metrics, _ = jax.jit(agent.update)(state, batch, jax.random.key(1))
    embed, _, _, value = by_apply(agent, encoder=state.encoder.variables, critic=after.critic.variables)
    latents = jnp.stack([embed(observation) for observation in batch.observation[0]])

    def loss(actor):
        before = agent.actor.apply(actor, latents)
        return 0.3 * jnp.mean(before**2) - jnp.mean(jax.vmap(value)(latents, jnp.tanh(before)))

    expected, gradient = jax.jit(jax.value_and_grad(loss))(state.actor.variables)
    np.testing.assert_allclose(metrics["actor_loss"], expected, rtol=1e-4)
    nets = (after.actor.variables, state.actor.variables, gradient)
    for new, old, slope in zip(*map(jax.tree.leaves, nets), strict=True):
        clear = np.abs(slope) > 1e-4
        np.testing.assert_allclose((new - old)[clear], -3e-4 * np.sign(slope)[clear], rtol=2e-2)


def test_encoder_and_values_learn_in_turn_and_targets_are_copied_before_each_round():
    agent, batch = model_based_agent(period=3), segment()
    state, update = model_based_state(agent), jax.jit(agent.update)
    for count in range(13):
        after, _, priority = update(state, batch, jax.random.fold_in(jax.random.key(0), count))
        of_model = count % 6 < 3
        for name, learns in (("encoder", of_model), ("critic", not of_model), ("actor", not of_model)):
            old, new = getattr(state, name), getattr(after, name)
            same = [(x == y).all() for x, y in zip(*map(jax.tree.leaves, (old.variables, new.variables)), strict=True)]
            assert any(not s for s in same) == learns, (count, name)
            expected = old.variables if count % 6 == 0 else old.target
            for x, y in zip(*map(jax.tree.leaves, (new.target, expected)), strict=True):
                np.testing.assert_array_equal(x, y)
        assert (priority == batch.priority).all() == of_model
        # 2 and 3 at first; the magnitude of what was seen is 2.5.
        scales = (2.5, 2.0) if count < 6 else (2.5, 2.5)
        assert (float(after.reward_scale), float(after.target_reward_scale)) == scales
        state = after


def test_the_scale_of_rewards_is_their_mean_magnitude():
    agent = model_based_agent()
    state, seen = jax.jit(agent.init)(jax.random.key(0)), []
    rng = np.random.default_rng(0)
    for step in range(20):
        reward, first = rng.normal(size=4).astype(np.float32), rng.random(4) < 0.2
        if step < 2:  # none yet, and then one alone
            first = np.arange(4) >= step
        ended = jnp.zeros(4, bool).at[1].set(step == 15)
        no = jnp.zeros(4, bool)
        state, _ = agent.observe(
            state, (), TimeStep(jnp.zeros((4, 3)), jnp.asarray(reward), ended, no, jnp.asarray(first))
        )
        seen += list(np.abs(reward[~first]))
        np.testing.assert_allclose(state.seen.magnitude, np.mean(seen) if seen else 0.0, rtol=1e-4)
        assert float(state.seen.terminated) == (step >= 15)
    # Before the first update values are in units of nothing yet, as in the authors' code.
    assert not any(state.told.values())
    renewed = jax.jit(agent._renewed)(state)
    np.testing.assert_allclose(renewed.reward_scale, np.mean(seen), rtol=1e-4)
    assert float(renewed.target_reward_scale) == 1.0


def test_a_drawn_priority_is_the_one_that_was_given():
    ring = SequenceReplay(200, 16, 2, ArraySpec((3,)), n_step=5)
    replay = PrioritizedReplay(ring, 0.4)
    no = jnp.zeros(2, bool)
    timestep = TimeStep(jnp.zeros((2, 3)), jnp.zeros(2), no, no, no)
    state, add, sample = replay.init(timestep, jnp.zeros((2, 1)), ()), jax.jit(replay.add), jax.jit(replay.sample)
    for _ in range(20):
        state = add(state, timestep, jnp.zeros((2, 1)), (), timestep)
    batch = sample(state, jax.random.key(0))
    np.testing.assert_allclose(batch.priority, 1.0)
    given = 1.0 + batch.index.astype(jnp.float32)
    state = replay.update_priorities(state, batch.index, given)
    # Those of what was drawn now, and the largest for nothing else.
    table = dict(zip(np.asarray(batch.index).tolist(), np.asarray(given).tolist(), strict=True))
    batch = sample(state, jax.random.key(1))
    np.testing.assert_allclose(batch.priority, [table.get(int(i), 1.0) for i in batch.index], rtol=1e-5)
    np.testing.assert_allclose(replay.update_priorities(state, batch.index, batch.priority).tree.total,
                               state.tree.total, rtol=1e-5)  # fmt: skip


def test_a_horizon_longer_than_the_sequences_is_named():
    agent = dataclasses.replace(model_based_agent(), horizon=6)
    with pytest.raises(InputError, match=r"horizon is 6.*length of 5"):
        agent.update(model_based_state(agent), segment(), jax.random.key(0))


def test_a_chunk_of_mrq_learns_finitely():
    flags = ["--latent-size", "8", "--action-latent-size", "4", "--target-period", "5"]
    _, state, metrics = trained("mrq", *flags)
    assert_finite((state.agent, *(metrics[name] for name in ("loss", "model_loss", "actor_loss", "mean_q"))))
    assert (metrics["model_loss"] > 0).all()
    assert (state.agent.reward_scale > 0).all()
    assert (state.agent.reward_scale != 1).all()
