"""The return as its mean: one number an action, learned by regression."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.bellman.base import Averages, ScalarTarget
from jaxq.errors import require


def huber(error: jax.Array, threshold: float) -> jax.Array:
    """`e²/2` within the threshold κ, `κ(|e| - κ/2)` beyond it (Huber, 1964). Any shape."""
    clipped = jnp.minimum(jnp.abs(error), threshold)
    return clipped * (jnp.abs(error) - 0.5 * clipped)


@dataclasses.dataclass(frozen=True)
class Scalar(Averages, ScalarTarget):
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

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
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


# Exponents beyond this are continued by their tangent, so that gradients stay finite.
_LARGEST_EXPONENT = 20.0


@dataclasses.dataclass(frozen=True)
class ItakuraSaito(ScalarTarget):
    """A risk-averse value, `-1/β log E exp(-β G)`, learned with the Itakura-Saito loss (Udovichenko et al., 2025).

    The loss of the error δ is `(exp(-β δ) + β δ - 1) / β²`: the divergence between the exponentials of prediction and
    target, which depends on their ratio alone, so that no large exponential is ever formed; near zero it is δ²/2.
    Backed up step by step, it is the entropic measure of each step's outcome that is chained.

    Attributes:
      risk_aversion: β; negative seeks risk.
    """

    risk_aversion: float = 1.0

    def __post_init__(self) -> None:
        finite = 0 < abs(self.risk_aversion) < float("inf")
        require(finite, "risk_aversion", self.risk_aversion, "finite and not zero (zero is Scalar)")

    @property
    def width(self) -> int:
        """One."""
        return 1

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`: the certainty equivalent."""
        return prediction[..., 0]

    def encode(self, value: jax.Array) -> jax.Array:
        """The value itself, [B] -> [B, 1]."""
        return value[..., None]

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`."""
        exponent = -self.risk_aversion * (target - prediction)[..., 0]
        inner = jnp.minimum(exponent, _LARGEST_EXPONENT)
        # expm1(x) - x loses its digits near zero, where its series is exact.
        small = exponent**2 * (0.5 + exponent * (1.0 / 6.0 + exponent / 24.0))
        large = jnp.exp(inner) * (1.0 + exponent - inner) - 1.0 - exponent
        return jnp.where(jnp.abs(exponent) < 0.02, small, large) / self.risk_aversion**2

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the absolute error."""
        return jnp.abs(prediction - target)[..., 0]
