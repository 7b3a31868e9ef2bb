"""Observations that are trees of arrays: which of them a network sees, and how they become one.

The functions take trees of arrays and trees of their specs alike: an array is what has a shape and a dtype.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.errors import require
from jaxq.networks.modes import Mode
from jaxq.types import PyTree


def is_array(node: Any) -> bool:
    """Whether a node of a tree is an array, or the spec of one."""
    return hasattr(node, "shape") and hasattr(node, "dtype")


def named_arrays(tree: PyTree) -> dict[str, Any]:
    """The arrays of a tree by the names of their places, `camera` or `robot.joints`; a single array has no name, ""."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_array)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def is_image(array: Any) -> bool:
    """Whether an array of one observation, or the spec of one, is an image: height, width, channels."""
    return len(array.shape) == 3


def has_images(spec: PyTree) -> bool:
    """Whether some of an observation's arrays are images."""
    return any(is_image(array) for array in named_arrays(spec).values())


def size_of(spec: PyTree) -> int:
    """How many numbers one observation of this spec has."""
    return sum(math.prod(array.shape) for array in named_arrays(spec).values())


def flattened(observation: PyTree) -> jax.Array:
    """The arrays [B, ...] of a tree as vectors, one behind the other: [B, F]; of several, as float32."""
    if is_array(observation):
        return observation.reshape(observation.shape[0], -1)
    vectors = [leaf.reshape(leaf.shape[0], -1).astype(jnp.float32) for leaf in jax.tree.leaves(observation)]
    return jnp.concatenate(vectors, axis=-1)


def encoded(observation: PyTree, make_encoder: Callable[[Mode], nn.Module] | None, mode: Mode) -> jax.Array:
    """Features [B, F] of an encoder made for a mode, within the network that calls this; of none, `flattened`."""
    return flattened(observation) if make_encoder is None else make_encoder(mode)(observation)


def single_array(observation: PyTree, network: str) -> jax.Array:
    """The observation, for networks that take nothing but one array.

    Raises:
      InputError: if it is a tree of several, naming the network and them.
    """
    names = None if is_array(observation) else list(named_arrays(observation))
    require(names is None, "observation", names, f"a single array for {network}")
    return observation


def parts(tree: PyTree, names: Sequence[str], field: str = "sees") -> PyTree:
    """Parts of a dictionary of observations, or of specs: by one name the part itself, by several a dictionary of them.

    Args:
      tree: of which they are parts.
      names: of them.
      field: where the names were given, for errors.

    Raises:
      InputError: if there is none of that name, or no dictionary.
    """
    require(isinstance(tree, Mapping), field, tuple(names), "empty: the observation has no parts with names")
    require(len(names) >= 1, field, tuple(names), f"some of {', '.join(sorted(tree))}")
    for name in names:
        require(name in tree, field, name, f"one of {', '.join(sorted(tree))}")
    return tree[names[0]] if len(names) == 1 else {name: tree[name] for name in names}


class Sees(nn.Module):
    """A torso, or another network whose first argument is an observation, that sees only some parts of a dictionary.

    So a policy can do without what only its critic is told. That there are such parts is checked by `parts` of a spec.

    Attributes:
      network: what sees them.
      names: of the parts, as of `parts`.
    """

    network: nn.Module
    names: tuple[str, ...]

    def __call__(self, observation: PyTree, *inputs: Any) -> Any:
        """What the network makes of those parts and of its other inputs."""
        return self.network(parts(observation, self.names), *inputs)
