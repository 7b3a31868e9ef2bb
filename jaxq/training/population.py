"""The population axis: N members side by side, their environments one flat batch."""

from collections.abc import Callable
from typing import Any

import jax

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


def _by_axes(change: Callable[[Any, PyTree], PyTree], axes: Any, tree: PyTree) -> PyTree:
    """Apply `change(axis, subtree)` where `axes` is a prefix tree of `tree`, as in vmap."""
    return jax.tree.map(change, axes, tree, is_leaf=lambda leaf: leaf is None)


def by_member(tree: PyTree, num_members: int) -> PyTree:
    """A flat batch [N * E, ...] seen by member: [N, E, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(num_members, -1, *leaf.shape[1:]), tree)


def flat(tree: PyTree) -> PyTree:
    """What is laid out by member, [N, E, ...], as the environments' flat batch: [N * E, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
