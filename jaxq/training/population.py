"""The population axis: N members side by side, their environments one flat batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.base import in_turn
from jaxq.types import PyTree


def over_members(
    function: Callable[..., Any], num_members: int, in_axes: Any = 0, out_axes: Any = 0
) -> Callable[..., Any]:
    """`function`, written for one member, over all of them: `jax.vmap`, and for a population of one no batching at all.

    A batch axis of one would still turn matrix products into batched ones and row writes into scatters.
    """
    if num_members > 1:
        return jax.vmap(function, in_axes, out_axes)

    def strip(axes: Any, tree: PyTree) -> PyTree:
        return tree if axes is None else jax.tree.map(lambda leaf: leaf[0], tree)

    def extend(axes: Any, tree: PyTree) -> PyTree:
        return tree if axes is None else jax.tree.map(lambda leaf: leaf[None], tree)

    def single(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        return _by_axes(extend, out_axes, function(*(_by_axes(strip, a, x) for a, x in zip(axes, args, strict=True))))

    return single


def over_members_in_turn(function: Callable[..., Any], num_members: int) -> Callable[..., Any]:
    """As `over_members` along axis 0, for work that fills the machine: on the CPU the members take turns."""
    return over_members(function, 1) if num_members == 1 else in_turn(function)


def by_turns(
    function: Callable[..., Any], num_members: int, axes: Any, state: PyTree, keys: jax.Array
) -> tuple[PyTree, PyTree]:
    """`(state, key) -> (state, outputs)` of each member in its turn.

    Args:
      function: takes and returns a population of one.
      num_members: N.
      axes: a prefix tree of `state`: 0 where its leaves lie by member, [N, ...] or [N * E, ...]; None for what they
        share, which every member finds as it was and must leave the same.
      state: of all members.
      keys: [N].

    Returns:
      The new state of all members, and the outputs one after another, [N, ...].
    """

    def take(own_axes: Any, tree: PyTree, start: PyTree, index: jax.Array) -> PyTree:
        if own_axes is None:
            return start
        return jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(
                leaf, index * (leaf.shape[0] // num_members), leaf.shape[0] // num_members
            ),
            tree,
        )

    def put(own_axes: Any, tree: PyTree, own: PyTree, index: jax.Array) -> PyTree:
        if own_axes is None:
            return own
        return jax.tree.map(
            lambda leaf, part: jax.lax.dynamic_update_slice_in_dim(leaf, part, index * part.shape[0], 0), tree, own
        )

    def turn(now: PyTree, index: jax.Array) -> tuple[PyTree, PyTree]:
        own = _by_axes(lambda a, x, s: take(a, x, s, index), axes, now, state)
        own, outputs = function(own, jax.lax.dynamic_slice_in_dim(keys, index, 1))
        return _by_axes(lambda a, x, o: put(a, x, o, index), axes, now, own), outputs

    state, outputs = jax.lax.scan(turn, state, jnp.arange(num_members))
    return state, jax.tree.map(lambda leaf: leaf.reshape(num_members, *leaf.shape[2:]), outputs)


def _by_axes(change: Callable[..., PyTree], axes: Any, *trees: PyTree) -> PyTree:
    """Apply `change(axis, *subtrees)` where `axes` is a prefix tree of the trees, as in vmap."""
    return jax.tree.map(change, axes, *trees, is_leaf=lambda leaf: leaf is None)


def by_member(tree: PyTree, num_members: int) -> PyTree:
    """A flat batch [N * E, ...] seen by member: [N, E, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(num_members, -1, *leaf.shape[1:]), tree)


def flat(tree: PyTree) -> PyTree:
    """What is laid out by member, [N, E, ...], as the environments' flat batch: [N * E, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
