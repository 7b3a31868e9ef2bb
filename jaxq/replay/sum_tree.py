"""A sum tree with a fan-out of 16, for drawing leaves in proportion to their values.

Levels are tables `[nodes, 16]`, leaves first: a step down reads one row for each draw, and its prefix sums are a
product with a triangular matrix. A wide fan-out makes few levels (five for a million leaves), which is what a scan
pays for. Every inner value is the sum of its children, computed anew whenever one changes, so nothing drifts.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxq import platforms
from jaxq.errors import require

FAN_OUT = 16
_PREFIX = np.triu(np.ones((FAN_OUT, FAN_OUT), np.float32))  # x @ _PREFIX is cumsum(x)


class SumTree(struct.PyTreeNode):
    """Values of leaves and their sums.

    Attributes:
      levels: `[nodes, 16]` float32 each, from the leaves to the root, which has one node.
    """

    levels: tuple[jax.Array, ...]

    @classmethod
    def create(cls, size: int) -> "SumTree":
        """A tree of `size` leaves, all zero.

        Raises:
          InputError: if there are none.
        """
        require(size >= 1, "size", size, "at least 1")
        levels = []
        while True:
            nodes = -(-size // FAN_OUT)
            levels.append(jnp.zeros((nodes, FAN_OUT), jnp.float32))
            if nodes == 1:
                return cls(tuple(levels))
            size = nodes

    @property
    def total(self) -> jax.Array:
        """Sum of all leaves."""
        return jnp.sum(self.levels[-1])

    def get(self, index: jax.Array) -> jax.Array:
        """Values of leaves, [B] -> [B]."""
        return self.levels[0][index // FAN_OUT, index % FAN_OUT]

    def set(self, index: jax.Array, value: jax.Array) -> "SumTree":
        """Write leaves and the sums above them.

        Args:
          index: [B]; of leaves named twice the largest value stays, whatever their order.
          value: [B], not negative.

        Returns:
          The new tree.
        """
        levels = []
        once = not platforms.on_cpu()
        if once:
            index, value = jax.lax.sort((index, value), num_keys=2)
        for depth, level in enumerate(self.levels):
            node, slot = index // FAN_OUT, index % FAN_OUT
            if once:
                # Of those that share a place the last is written, and the others beyond the level: a GPU that must give
                # the same bits writes row by row whatever may meet a place twice. On a CPU sorting costs more.
                last = jnp.append(index[1:] != index[:-1], True)
                place = jnp.where(last, node, level.shape[0] + jnp.arange(last.shape[0]))
                level = level.at[place, slot].set(value, mode="drop", unique_indices=True)
            elif depth == 0:  # in which order a scatter writes is not defined, but a maximum does not depend on it
                level = level.at[node, slot].set(0.0).at[node, slot].max(value)
            else:  # all that is written to one place is the same sum
                level = level.at[node, slot].set(value)
            levels.append(level)
            index, value = node, jnp.sum(level[node], axis=-1)
        return SumTree(tuple(levels))

    def set_range(self, start: jax.Array, value: jax.Array) -> "SumTree":
        """As `set`, for neighbouring leaves: slices in place of scatters, and each sum above them once.

        Args:
          start: the first leaf; all of `start + B` are within the tree.
          value: [B], not negative.

        Returns:
          The new tree.
        """
        levels = []
        for level in self.levels:
            # Leaves that are not aligned to nodes touch one node more. The nodes are patched beside the level and then
            # written: reading them back from a level just written would make XLA copy it.
            touched = min((value.shape[0] + FAN_OUT - 2) // FAN_OUT + 1, level.shape[0])
            first = jnp.minimum(start // FAN_OUT, level.shape[0] - touched)
            nodes = jax.lax.dynamic_slice(level, (first, 0), (touched, FAN_OUT))
            patched = jax.lax.dynamic_update_slice(nodes.reshape(-1), value, (start - first * FAN_OUT,))
            nodes = patched.reshape(nodes.shape)
            levels.append(jax.lax.dynamic_update_slice(level, nodes, (first, 0)))
            start, value = first, jnp.sum(nodes, axis=-1)
        return SumTree(tuple(levels))

    def levelled(self, value: jax.Array) -> "SumTree":
        """The tree in which all leaves that are not zero have this value."""
        levels = [jnp.where(self.levels[0] > 0, value, 0.0)]
        for level in self.levels[1:]:
            sums = jnp.sum(levels[-1], axis=-1)
            levels.append(jnp.pad(sums, (0, level.size - sums.size)).reshape(level.shape))
        return SumTree(tuple(levels))

    def find(self, mass: jax.Array) -> jax.Array:
        """The leaves in which the running sum of all leaves passes these masses.

        Args:
          mass: [B] in [0, total): a uniform draw of it finds each leaf in proportion to its value.

        Returns:
          [B] int32, never a leaf of value zero while the total is positive.
        """
        node = jnp.zeros(mass.shape, jnp.int32)
        for level in reversed(self.levels):
            prefix = jnp.matmul(level[node], _PREFIX, precision=jax.lax.Precision.HIGHEST)
            # Rounding may have put the mass just beyond the last child: keep it below their sum.
            mass = jnp.minimum(mass, prefix[:, -1] * (1.0 - 2.0**-20))
            child = jnp.sum(prefix <= mass[:, None], axis=1, dtype=jnp.int32)
            child = jnp.minimum(child, FAN_OUT - 1)
            before = jnp.where(child > 0, jnp.take_along_axis(prefix, jnp.maximum(child - 1, 0)[:, None], 1)[:, 0], 0.0)
            mass = mass - before
            node = node * FAN_OUT + child
        return node
