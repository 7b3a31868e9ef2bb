"""Returns as quantiles: at fixed fractions (QR), at sampled ones (IQN), and expectiles.

Quantile regression over all pairs of predicted quantiles and target samples. Quantiles at sampled fractions travel with
their fractions: the last axis of a prediction holds N values and then N fractions, so that choosing an action or
stacking members works on it as on any other prediction.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.bellman.base import Representation
from jaxq.bellman.scalar import huber
from jaxq.errors import require


def midpoints(size: int) -> jax.Array:
    """τ̂_i = (2i + 1) / 2N, the fractions whose quantiles are closest to a distribution in 1-Wasserstein distance."""
    return (jnp.arange(size) + 0.5) / size


def quantile_huber_loss(values: jax.Array, fractions: jax.Array, target: jax.Array, threshold: float) -> jax.Array:
    """Quantile Huber loss over all pairs (Dabney et al., 2018a, eq. 10): `E_j Σ_i |τ_i - 1{u_ij < 0}| L_κ(u_ij) / κ`.

    With threshold zero the plain quantile loss `u (τ - 1{u < 0})`. Here `u_ij = target_j - values_i`.

    Args:
      values: [B, N] quantiles predicted.
      fractions: [B, N] or [N], their τ in (0, 1).
      target: [B, M] samples of the target.
      threshold: κ.

    Returns:
      [B].
    """
    error = target[:, None, :] - values[:, :, None]
    weight = jnp.abs(jnp.broadcast_to(fractions, values.shape)[:, :, None] - (error < 0.0))
    size = jnp.abs(error) if threshold == 0 else huber(error, threshold) / threshold
    return jnp.sum(jnp.mean(weight * size, axis=2), axis=1)


def _pointwise_backup(reward: jax.Array, discount: jax.Array, next_values: jax.Array, weights: jax.Array) -> jax.Array:
    """`r + γ Σ_a w(a) θ_j(a)` for each j. Under a greedy operator, the greedy action's quantiles."""
    return reward[:, None] + discount[:, None] * jnp.einsum("ba,ban->bn", weights, next_values)


@dataclasses.dataclass(frozen=True)
class Quantile(Representation):
    """QR-DQN (Dabney et al., 2018a): N quantiles at the midpoints.

    Attributes:
      num_quantiles: N.
      huber_threshold: κ; zero for the plain quantile loss.
    """

    num_quantiles: int = 200
    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        require(self.num_quantiles >= 1, "num_quantiles", self.num_quantiles, "at least 1")
        require(self.huber_threshold >= 0, "huber_threshold", self.huber_threshold, "0 or more")

    @property
    def width(self) -> int:
        """One output a quantile."""
        return self.num_quantiles

    def mean(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.mean`."""
        return jnp.mean(prediction, axis=-1)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples, [B, N]."""
        return _pointwise_backup(reward, discount, next_prediction, weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: quantile Huber."""
        return quantile_huber_loss(prediction, midpoints(self.num_quantiles), target, self.huber_threshold)


@dataclasses.dataclass(frozen=True)
class ImplicitQuantile(Representation):
    """IQN (Dabney et al., 2018b): quantiles at fractions that the network samples; predictions are [..., 2N].

    Attributes:
      huber_threshold: κ; zero for the plain quantile loss.
    """

    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        require(self.huber_threshold >= 0, "huber_threshold", self.huber_threshold, "0 or more")

    @property
    def width(self) -> int:
        """One value for each fraction asked for."""
        return 1

    def mean(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.mean`."""
        return jnp.mean(self._values(prediction), axis=-1)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples, [B, N']."""
        return _pointwise_backup(reward, discount, self._values(next_prediction), weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: quantile Huber."""
        values, fractions = jnp.split(prediction, 2, axis=-1)
        return quantile_huber_loss(values, fractions, target, self.huber_threshold)

    def _values(self, prediction: jax.Array) -> jax.Array:
        return prediction[..., : prediction.shape[-1] // 2]


@dataclasses.dataclass(frozen=True)
class Expectile(Representation):
    """Expectiles at the midpoints (Rowland et al., Statistics and Samples in Distributional RL, 2019).

    Learned against the next state's expectiles as if they were samples (the naive form of the paper), moved so that the
    mean, which is the expectile at 1/2, is backed up exactly.

    Attributes:
      num_expectiles: N, odd.
    """

    num_expectiles: int = 11

    def __post_init__(self) -> None:
        odd = self.num_expectiles >= 1 and self.num_expectiles % 2 == 1
        require(odd, "num_expectiles", self.num_expectiles, "odd and at least 1, so that the mean is one of them")

    @property
    def width(self) -> int:
        """One output an expectile."""
        return self.num_expectiles

    def mean(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.mean`: the expectile at 1/2."""
        return prediction[..., self.num_expectiles // 2]

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples, moved so that their mean is the backup of the mean."""
        samples = _pointwise_backup(reward, discount, next_prediction, weights)
        value = reward + discount * jnp.sum(weights * self.mean(next_prediction), axis=-1)
        return samples + (value - samples.mean(axis=-1))[:, None]

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: `E_j Σ_i |τ_i - 1{u_ij < 0}| u_ij²`."""
        error = target[:, None, :] - prediction[:, :, None]
        weight = jnp.abs(midpoints(self.num_expectiles)[:, None] - (error < 0.0))
        return jnp.sum(jnp.mean(weight * error**2, axis=2), axis=1)
