"""What parts of a training take alone, its matrix products and its environments: the limits that a loop has."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.envs.base import Environment
from jaxq.keys import streams
from jaxq.profiling.programs import Product

Segment = Callable[[], int]  # runs, waits, and returns how much was done


def products_alone(products: Mapping[Product, int], repetitions: int) -> Segment:
    """A compiled segment of so many repetitions of all products, each on operands of its own, one after the other.

    Args:
      products: as of `products_of`.
      repetitions: how often all of them are done.

    Returns:
      The segment, which returns `repetitions`.
    """
    wanted = [(product, times) for product, times in products.items() if math.prod(product) and times]
    keys = jax.random.split(jax.random.key(0), (len(wanted), 2))
    operands = [
        (jax.random.normal(left, (many, m, k)), jax.random.normal(right, (many, k, n)))
        for ((many, m, k, n), _), (left, right) in zip(wanted, keys, strict=True)
    ]

    repeated = [times for _, times in wanted]

    def scan(operands: Any, carry: jax.Array) -> jax.Array:
        def once(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            for (left, right), times in zip(operands, repeated, strict=True):
                carry = jax.lax.fori_loop(0, times, functools.partial(_multiplied, left, right), carry)
            return carry, None

        return jax.lax.scan(once, carry, None, repetitions)[0]

    carry = jnp.float32(0)
    compiled = jax.jit(scan).lower(operands, carry).compile()

    def segment() -> int:
        jax.block_until_ready(compiled(operands, carry))
        return repetitions

    return segment


def _multiplied(left: jax.Array, right: jax.Array, _: jax.Array, carry: jax.Array) -> jax.Array:
    """A product that depends on the one before, at hardly any cost, so that none is dropped: one row is added to."""
    moved = left.at[:, 0, 0].add(carry)
    out = moved[0] @ right[0] if left.shape[0] == 1 else jnp.einsum("bmk,bkn->bmn", moved, right)
    return 1e-9 * out.reshape(-1)[0]


def environment_alone(environment: Environment, steps: int) -> Segment:
    """A compiled segment of stepping with random actions drawn beforehand, and nothing else.

    Args:
      environment: whose episodes it begins anew.
      steps: of every environment.

    Returns:
      The segment, which returns the steps of all environments.
    """
    batch = environment.num_envs
    action_key, reset_key = streams(jax.random.key(0), "actions", "reset")
    actions = jax.vmap(lambda k: environment.action_spec.sample(k, batch))(jax.random.split(action_key, 64))

    def scan(state: Any) -> Any:
        def step(state: Any, t: jax.Array) -> tuple[Any, jax.Array]:
            state, timestep = environment.step(state, actions[t % 64])
            # Something of every output, so that none of the work can be left out.
            return state, jnp.stack([jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(timestep)])

        return jax.lax.scan(step, state, jnp.arange(steps))

    state, _ = jax.jit(environment.reset)(jax.random.split(reset_key, batch))
    compiled = jax.jit(scan, donate_argnums=0).lower(state).compile()

    def segment() -> int:
        nonlocal state
        state, _ = jax.block_until_ready(compiled(state))
        # The environment is held on to: EnvPool's pool, which the program knows by its address, goes with it.
        return steps * environment.num_envs

    return segment
