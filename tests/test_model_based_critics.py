"""Hypernetwork critics, energy-based flows and model-based representations, against other ways to the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
from test_experiments import load, small

from jaxq.networks import HyperCritic
from jaxq.runs import parse
from jaxq.runs.run import member_keys


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
    params = network.init(jax.random.key(0), state, action)
    found = network.apply(params, state, action)
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
    params = network.init(jax.random.key(0), jnp.zeros((1, 16)), jnp.zeros((1, 4)))["params"]
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
