"""The floor: DQN on CartPole as a minimal hand-written scan, with nothing of jaxq in it.

What a careful person would write for this one task: a flat ring of transitions with next observations stored, one
batch, one network, same-step autoreset by gymnax itself. It has no population, evaluation, statistics, frame
stacks or n-step windows. jaxq's loop, which has, is measured against it.
"""

from typing import Any

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import optax


class Network(nn.Module):
    """64-64 MLP."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, 4] -> [B, 2]."""
        x = nn.relu(nn.Dense(64)(x))
        x = nn.relu(nn.Dense(64)(x))
        return nn.Dense(2)(x)


def make(num_envs: int, collect_steps: int, batch_size: int, capacity: int = 10_000, warmup: int = 1_000) -> Any:
    """`(init, chunk)`: `init(key) -> state`, `chunk(state, iterations) -> state`, to be jitted."""
    env, params = gymnax.make("CartPole-v1")
    network: Any = Network()
    optimizer = optax.flatten(optax.adam(2.5e-4))
    rows = capacity // num_envs
    capacity = rows * num_envs

    def env_step(state: Any, key: jax.Array, epsilon: Any) -> Any:
        net, target, opt, env_state, obs, ring, row, size, updates = state
        explore_key, action_key, step_key = jax.random.split(key, 3)
        greedy = jnp.argmax(network.apply(net, obs), axis=-1)
        explore = jax.random.uniform(explore_key, (num_envs,)) < epsilon
        action = jnp.where(explore, jax.random.randint(action_key, (num_envs,), 0, 2), greedy)
        next_obs, env_state, reward, terminated, _, info = jax.vmap(env.step, (0, 0, 0, None))(
            jax.random.split(step_key, num_envs), env_state, action, params
        )
        new = (obs, action, reward, terminated, info["final_observation"])
        ring = jax.tree.map(
            lambda r, x: jax.lax.dynamic_update_slice_in_dim(r, x.astype(r.dtype), row * num_envs, 0), ring, new
        )
        return net, target, opt, env_state, next_obs, ring, (row + 1) % rows, jnp.minimum(size + 1, rows), updates

    def update(state: Any, key: jax.Array) -> Any:
        net, target, opt, env_state, obs, ring, row, size, updates = state
        index = jax.random.randint(key, (batch_size,), 0, size * num_envs)
        o, a, r, d, o2 = jax.tree.map(lambda x: x[index], ring)
        y = r + 0.99 * (1.0 - d) * network.apply(target, o2).max(axis=-1)

        def loss(p: Any) -> jax.Array:
            q = jnp.take_along_axis(network.apply(p, o), a[:, None], 1)[:, 0]
            return 0.5 * jnp.mean((q - y) ** 2)

        grads = jax.grad(loss)(net)
        delta, opt = optimizer.update(grads, opt, net)
        net = optax.apply_updates(net, delta)
        updates = updates + 1
        target = jax.tree.map(lambda t, n: jnp.where(updates % 500 == 0, n, t), target, net)
        return net, target, opt, env_state, obs, ring, row, size, updates

    def init(key: jax.Array) -> Any:
        net_key, env_key, fill_key = jax.random.split(key, 3)
        obs, env_state = jax.vmap(env.reset, (0, None))(jax.random.split(env_key, num_envs), params)
        net = network.init(net_key, obs)
        ring = (
            jnp.zeros((capacity, 4)),
            jnp.zeros(capacity, jnp.int32),
            jnp.zeros(capacity),
            jnp.zeros(capacity, bool),
            jnp.zeros((capacity, 4)),
        )
        state = (net, jax.tree.map(jnp.copy, net), optimizer.init(net), env_state, obs, ring, 0, 0, 0)
        state = jax.tree.map(jnp.asarray, state)
        keys = jax.random.split(fill_key, -(-warmup // num_envs))
        return jax.lax.scan(lambda s, k: (env_step(s, k, 1.0), None), state, keys)[0], key

    def chunk(carry: Any, iterations: int) -> Any:
        state, key = carry
        key, loop_key = jax.random.split(key)

        def iteration(state: Any, key: jax.Array) -> tuple[Any, None]:
            step_keys = jax.random.split(key, collect_steps + 1)
            state = jax.lax.scan(lambda s, k: (env_step(s, k, 0.05), None), state, step_keys[:-1])[0]
            return update(state, step_keys[-1]), None

        return jax.lax.scan(iteration, state, jax.random.split(loop_key, iterations))[0], key

    return init, chunk
