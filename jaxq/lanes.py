"""Lanes: the same work done for several at once: members of a population, networks of an ensemble.

What is written for one lane is put over all of them here, side by side or one after the other.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxq import platforms
from jaxq.types import PyTree


def over_lanes(
    function: Callable[..., Any], num_lanes: int, in_axes: Any = 0, out_axes: Any = 0, *, heavy: bool = False
) -> Callable[..., Any]:
    """`function`, written for one lane, over all of them: `jax.vmap`, and for one lane no batching at all.

    A batch axis of one would still turn matrix products into batched ones and row writes into scatters.

    Args:
      function: of one lane.
      num_lanes: N.
      in_axes, out_axes: as of `jax.vmap`.
      heavy: whether the matrix products of one lane already fill the machine. Then the lanes take turns on the CPU,
        where XLA's batched products are several times slower than the same products one by one; accelerators work side
        by side. All axes must be 0.
    """
    if num_lanes > 1:
        if heavy and platforms.on_cpu():
            return lambda *args: jax.lax.map(lambda lane: function(*lane), args)
        return jax.vmap(function, in_axes, out_axes)

    def strip(axes: Any, tree: PyTree) -> PyTree:
        return tree if axes is None else jax.tree.map(lambda leaf: leaf[0], tree)

    def extend(axes: Any, tree: PyTree) -> PyTree:
        return tree if axes is None else jax.tree.map(lambda leaf: leaf[None], tree)

    def single(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        return by_axes(extend, out_axes, function(*(by_axes(strip, a, x) for a, x in zip(axes, args, strict=True))))

    return single


def in_turn(
    function: Callable[[PyTree], tuple[PyTree, PyTree]], num_lanes: int, axes: Any, state: PyTree
) -> tuple[PyTree, PyTree]:
    """`state -> (state, outputs)` of one lane after the other, each written back into the state of all.

    Args:
      function: takes and returns the state of a single lane, its axis kept.
      num_lanes: N.
      axes: a prefix tree of `state`: 0 where its leaves lie by lane, [N, ...] or [N * E, ...]; None for what lanes
        share, which every lane finds as it was and must leave the same.
      state: of all lanes.

    Returns:
      The new state of all lanes, and the outputs one after another, [N, ...].
    """

    def take(own_axes: Any, tree: PyTree, start: PyTree, index: jax.Array) -> PyTree:
        if own_axes is None:
            return start
        return jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(
                leaf, index * (leaf.shape[0] // num_lanes), leaf.shape[0] // num_lanes
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
        own, outputs = function(by_axes(lambda a, x, s: take(a, x, s, index), axes, now, state))
        return by_axes(lambda a, x, o: put(a, x, o, index), axes, now, own), outputs

    state, outputs = jax.lax.scan(turn, state, jnp.arange(num_lanes))
    return state, jax.tree.map(lambda leaf: leaf.reshape(num_lanes, *leaf.shape[2:]), outputs)


def where_due(due: jax.Array, function: Callable[[], PyTree], otherwise: PyTree) -> PyTree:
    """`function()` in lanes that are due, `otherwise` in all others, and nothing computed where no lane is due.

    `lax.cond` keeps a lane alone from computing what is rarely due. Lanes side by side would all compute it every time,
    as `vmap` makes a choice between two results of a branch whose predicate lanes have of their own. Here the branch
    asks whether any of them is due, and within it each keeps what is its own.

    Args:
      due: [] bool, of a lane.
      function: of no arguments; what it needs it may close over.
      otherwise: a tree of the same structure, shapes and dtypes as the function's result.
    """

    def some() -> PyTree:
        own = _own(due)
        return jax.tree.map(lambda new, old: jax.lax.select(own, new, old), function(), otherwise)

    return jax.lax.cond(_of_any(due), some, lambda: otherwise)


@jax.custom_batching.custom_vmap
def _of_any(due: jax.Array) -> jax.Array:
    """Whether any of the lanes is due, which they have in common."""
    return due


@_of_any.def_vmap
def _of_any_side_by_side(_: int, __: Any, due: jax.Array) -> tuple[jax.Array, bool]:
    return _of_any(jnp.any(due, axis=0)), False


@jax.custom_batching.custom_vmap
def _own(due: jax.Array) -> jax.Array:
    """Whether a lane is due, given that some lane is.

    Under vmap that is `due`. Without it the only lane is: then this is a constant, and the choice that is made by it is
    compiled away.
    """
    return jnp.ones_like(due)


@_own.def_vmap
def _own_side_by_side(_: int, __: Any, due: jax.Array) -> tuple[jax.Array, bool]:
    return due, True


def by_axes(change: Callable[..., PyTree], axes: Any, *trees: PyTree) -> PyTree:
    """Apply `change(axis, *subtrees)` where `axes` is a prefix tree of the trees, as in vmap."""
    return jax.tree.map(change, axes, *trees, is_leaf=lambda leaf: leaf is None)


def by_lane(tree: PyTree, num_lanes: int) -> PyTree:
    """A flat batch [N * E, ...] seen by lane: [N, E, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(num_lanes, -1, *leaf.shape[1:]), tree)


def flat(tree: PyTree) -> PyTree:
    """What is laid out by lane, or by time, as a flat batch: [N, E, ...] -> [N * E, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
