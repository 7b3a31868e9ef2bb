"""The return as a Gaussian."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.bellman.base import Distributional
from jaxq.bellman.quantile import midpoints
from jaxq.errors import require


@dataclasses.dataclass(frozen=True)
class Gaussian(Distributional):
    """A Gaussian return: predictions are [..., 2], mean and log standard deviation.

    The backup is that of the first two moments, exact for the mixture over actions; the loss is the cross-entropy from
    the target's Gaussian to the prediction's, whose minimum matches both moments (Duan et al., Distributional Soft
    Actor-Critic, 2021, eq. 14, with the target's expectation taken in closed form).

    Attributes:
      smallest_std, largest_std: the prediction's standard deviation is kept between these, and the target's above the
        smallest.
      num_points: of `distribution`.
    """

    smallest_std: float = 1e-2
    largest_std: float = 1e3
    num_points: int = 32

    def __post_init__(self) -> None:
        require(self.smallest_std > 0, "smallest_std", self.smallest_std, "positive")
        require(self.largest_std > self.smallest_std, "largest_std", self.largest_std, "above smallest_std")
        require(self.num_points >= 1, "num_points", self.num_points, "at least 1")

    @property
    def width(self) -> int:
        """Two."""
        return 2

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        return prediction[..., 0]

    def std(self, prediction: jax.Array) -> jax.Array:
        """Standard deviations of predictions [..., 2]: [...]."""
        return jnp.exp(jnp.clip(prediction[..., 1], jnp.log(self.smallest_std), jnp.log(self.largest_std)))

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: mean and variance, [B, 2]."""
        means, variances = self.value(next_prediction), self.std(next_prediction) ** 2
        mean = jnp.sum(weights * means, axis=-1)
        variance = jnp.sum(weights * (variances + (means - mean[:, None]) ** 2), axis=-1)
        variance = jnp.maximum(discount**2 * variance, self.smallest_std**2)
        return jnp.stack([reward + discount * mean, variance], axis=-1)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: `log σ + (σ_t² + (μ_t - μ)²) / 2σ²`."""
        std = self.std(prediction)
        return jnp.log(std) + 0.5 * (target[:, 1] + (target[:, 0] - prediction[..., 0]) ** 2) / std**2

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the absolute error of the mean, as cross-entropies can be negative."""
        return jnp.abs(target[:, 0] - prediction[..., 0])

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: quantiles at midpoints."""
        z = jax.scipy.special.ndtri(midpoints(self.num_points))
        values = self.value(prediction)[..., None] + self.std(prediction)[..., None] * z
        return values, jnp.full_like(values, 1.0 / self.num_points)
