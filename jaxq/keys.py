"""Random keys: one helper by which a key becomes streams that nobody else has.

With JAX's partitionable threefry `split(key, n)[i]` is `fold_in(key, i)`, so splitting a key in one place and folding
numbers into it in another hands out the same keys twice. Here a stream has a name, and a key that has become streams
is used for nothing else.
"""

import zlib

import jax


def stream(key: jax.Array, name: str) -> jax.Array:
    """The stream of this name that begins at a key; see `streams`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def streams(key: jax.Array, *names: str) -> tuple[jax.Array, ...]:
    """A key for each name, each unlike any that another name, or a number folded in, would give.

    A key is used once: to draw, to be split or folded into by number, or to be made into streams. A place that needs
    more than one of these makes streams first.

    Args:
      key: one typed key.
      names: what each stream is for.

    Returns:
      As many keys.

    Example:
      >>> act_key, sample_key = streams(jax.random.key(0), "act", "sample")
    """
    return tuple(stream(key, name) for name in names)
