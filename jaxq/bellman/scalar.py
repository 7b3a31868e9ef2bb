"""The return as its mean: one number an action, learned by regression."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.bellman.base import ScalarTarget
from jaxq.errors import require


def huber(error: jax.Array, threshold: float) -> jax.Array:
    """`e²/2` within the threshold κ, `κ(|e| - κ/2)` beyond it (Huber, 1964). Any shape."""
    clipped = jnp.minimum(jnp.abs(error), threshold)
    return clipped * (jnp.abs(error) - 0.5 * clipped)


@dataclasses.dataclass(frozen=True)
class Scalar(ScalarTarget):
    """A scalar return, learned with the squared or the Huber loss.

    Attributes:
      huber_threshold: κ of the Huber loss (1 in DQN); None for half the squared error.
    """

    huber_threshold: float | None = None

    def __post_init__(self) -> None:
        threshold = self.huber_threshold
        require(threshold is None or threshold > 0, "huber_threshold", threshold, "positive, or None for squared error")

    @property
    def width(self) -> int:
        """One."""
        return 1

    def mean(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.mean`."""
        return prediction[..., 0]

    def encode(self, value: jax.Array) -> jax.Array:
        """The value itself, [B] -> [B, 1]."""
        return value[..., None]

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: half the squared error, or Huber's."""
        error = (prediction - target)[..., 0]
        return 0.5 * error**2 if self.huber_threshold is None else huber(error, self.huber_threshold)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the absolute error (Schaul et al., 2016)."""
        return jnp.abs(prediction - target)[..., 0]
