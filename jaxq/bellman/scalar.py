"""The return as its mean: one number an action, learned by regression."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.errors import require


def huber(error: jax.Array, threshold: float) -> jax.Array:
    """`e²/2` within the threshold κ, `κ(|e| - κ/2)` beyond it (Huber, 1964). Any shape."""
    clipped = jnp.minimum(jnp.abs(error), threshold)
    return clipped * (jnp.abs(error) - 0.5 * clipped)


@dataclasses.dataclass(frozen=True)
class Scalar:
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
        """How many outputs of the head stand for one return."""
        return 1

    def mean(self, prediction: jax.Array) -> jax.Array:
        """The expected return of predictions [..., 1]: [...]."""
        return prediction[..., 0]

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """The backup `r + γ Σ_a w(a) q(s', a)`.

        Args:
          reward: [B] rewards of the window.
          discount: [B] discounts of the next value, zero after a terminal state.
          next_prediction: [B, A, 1] of the next state.
          weights: [B, A] of its actions, from an operator.

        Returns:
          Targets, [B, 1].
        """
        value = jnp.sum(weights * next_prediction[..., 0], axis=-1)
        return (reward + discount * value)[..., None]

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """The loss of each prediction [B, 1] against its target [B, 1]: [B]."""
        error = (prediction - target)[..., 0]
        return 0.5 * error**2 if self.huber_threshold is None else huber(error, self.huber_threshold)
