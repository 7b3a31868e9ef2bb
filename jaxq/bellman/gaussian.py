"""The return as a Gaussian: by the likelihood of its two moments, and by the refined gradients of DSAC-T."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.bellman.arithmetic import mixture
from jaxq.bellman.base import Distributional
from jaxq.bellman.quantile import midpoints
from jaxq.bellman.scalar import huber
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


@dataclasses.dataclass(frozen=True)
class ScaledGaussian(Distributional):
    """A Gaussian return learned as DSAC-T does (Duan et al., Distributional Soft Actor-Critic with Three Refinements).

    Predictions are [..., 4]: mean μ, standard deviation σ, its running mean b, and a sample z of a standard normal, as
    `networks.GaussianCritic` gives them. Where the gradient of the likelihood is `-(y - μ) / σ²` and
    `-((y - μ)² - σ²) / σ³`, that of the loss here is (section 4 of the paper)

        -ω (y_q - μ)  and  -ω ((y_z - μ)² - σ²) / (σ + ε),  with ω = b² / (σ² + ε) kept in [0.1, 10]:

    the mean learns from the target's mean y_q in place of a sample (expected-value substitution); the deviation learns
    from a sample y_z, which is kept within ± `largest` b of μ; and the whole is scaled by the running deviation, so
    that the size of rewards does not matter. ε, the bounds of ω, and the error's becoming linear beyond 50, are of the
    authors' code, which takes half the square of `y_z - μ` and so learns a deviation of √½ of the paper's.

    Attributes:
      largest: how many running deviations a sampled target may be away from the mean.
      epsilon: ε.
      huber_threshold: where errors turn from square to linear.
      num_points: of `distribution`.
    """

    largest: float = 3.0
    epsilon: float = 0.1
    huber_threshold: float = 50.0
    num_points: int = 32

    def __post_init__(self) -> None:
        require(self.largest > 0, "largest", self.largest, "positive")
        require(self.epsilon > 0, "epsilon", self.epsilon, "positive")
        require(self.huber_threshold > 0, "huber_threshold", self.huber_threshold, "positive")

    @property
    def width(self) -> int:
        """Four."""
        return 4

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        return prediction[..., 0]

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: the backup of the mean, and that of the sample, [B, 2]."""
        mean, std, _, sample = (next_prediction[..., k] for k in range(4))
        both = jnp.stack([mean, mean + sample * std], axis=-1)
        return reward[:, None] + discount[:, None] * mixture(weights, both)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: what has these gradients."""
        mean, std = prediction[..., 0], prediction[..., 1]
        fixed_mean, fixed_std, running = jax.lax.stop_gradient((mean, std, prediction[..., 2]))
        scale = jnp.clip(running**2 / (fixed_std**2 + self.epsilon), 0.1, 10.0)
        reach = self.largest * running
        sampled = jnp.clip(target[..., 1] - fixed_mean, -reach, reach)
        of_sample = huber(sampled, self.huber_threshold)
        of_std = std * (fixed_std**2 - 2.0 * of_sample) / (fixed_std + self.epsilon)
        return scale * (huber(target[..., 0] - mean, self.huber_threshold) + of_std)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the absolute error of the mean; the loss is none to go by."""
        return jnp.abs(target[..., 0] - prediction[..., 0])

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: quantiles at midpoints."""
        z = jax.scipy.special.ndtri(midpoints(self.num_points))
        values = prediction[..., :1] + prediction[..., 1:2] * z
        return values, jnp.full_like(values, 1.0 / self.num_points)
