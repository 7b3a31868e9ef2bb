"""Returns as quantiles: at fixed fractions (QR), at sampled ones (IQN), and expectiles.

Quantile regression over all pairs of predicted quantiles and target samples. Quantiles at sampled fractions travel with
their fractions: the last axis of a prediction holds N values and then N fractions, so that choosing an action or
stacking members works on it as on any other prediction.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxq import platforms
from jaxq.bellman.arithmetic import exact_einsum, mixture
from jaxq.bellman.base import Averages, Distributional, Representation
from jaxq.errors import require


def midpoints(size: int) -> jax.Array:
    """τ̂_i = (2i + 1) / 2N, the fractions whose quantiles are closest to a distribution in 1-Wasserstein distance."""
    return (jnp.arange(size) + 0.5) / size


@dataclasses.dataclass(frozen=True)
class _Huber:
    """`L_κ(u) / κ` and its derivative; with threshold zero `|u|` and its sign."""

    threshold: float

    def __call__(self, error: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.threshold == 0:
            return jnp.abs(error), jnp.sign(error)
        clipped = jnp.clip(error, -self.threshold, self.threshold)
        return clipped * (error - 0.5 * clipped) / self.threshold, clipped / self.threshold


@dataclasses.dataclass(frozen=True)
class _Square:
    """`u²` and its derivative."""

    def __call__(self, error: jax.Array) -> tuple[jax.Array, jax.Array]:
        return error**2, 2.0 * error


ErrorLoss = _Huber | _Square

# Targets that one step of the loop over them takes in, on the CPU: what is summed up stays in registers for so long.
_BLOCK = 4


def _asymmetric_loss(
    values: jax.Array, fractions: jax.Array, target: jax.Array, loss: ErrorLoss, weights: jax.Array | None = None
) -> jax.Array:
    """`E_j Σ_i |τ_i - 1{u_ij < 0}| loss(u_ij)`, [B]; arguments as of `quantile_huber_loss`."""
    return _summed(values, fractions, target, weights, loss, platforms.on_cpu())


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _summed(
    values: jax.Array,
    fractions: jax.Array,
    target: jax.Array,
    weights: jax.Array | None,
    loss: ErrorLoss,
    in_blocks: bool,
) -> jax.Array:
    # How it is summed is an argument: JAX may trace a function with derivatives of its own after its caller is done.
    return _loss_and_slope(values, fractions, target, weights, loss, in_blocks)[0]


def _loss_and_slope(
    values: jax.Array,
    fractions: jax.Array,
    target: jax.Array,
    weights: jax.Array | None,
    loss: ErrorLoss,
    in_blocks: bool,
) -> tuple[jax.Array, jax.Array]:
    """The loss [B] and its gradient by the values [B, N], in one pass over the pairs.

    On the CPU `in_blocks`, a loop over targets, because there XLA would write the table of all pairs to memory several
    times over (`python -m benchmarks.backups` holds it against such); accelerators fuse it away.
    """
    batch, size = values.shape
    count = target.shape[1]
    # How often each target counts, once in the mean.
    times = None if weights is None else count * weights
    fractions = jnp.broadcast_to(fractions, values.shape)

    def pair(error: jax.Array, fractions: jax.Array) -> tuple[jax.Array, jax.Array]:
        weight = jnp.where(error < 0.0, 1.0 - fractions, fractions)
        value, slope = loss(error)
        return weight * value, -weight * slope

    if not in_blocks:
        value, slope = pair(target[:, None, :] - values[:, :, None], fractions[:, :, None])
        if times is not None:
            value, slope = value * times[:, None, :], slope * times[:, None, :]
        return jnp.sum(jnp.mean(value, axis=2), axis=1), jnp.mean(slope, axis=2)

    blocks = -(-count // _BLOCK)

    def in_turn(x: jax.Array) -> jax.Array:  # [B, M] -> [blocks, B, _BLOCK], padded with zeros
        padded = jnp.pad(x, ((0, 0), (0, blocks * _BLOCK - count))).reshape(batch, blocks, _BLOCK)
        return jnp.moveaxis(padded, 1, 0)

    if times is None:
        counts = (jnp.arange(blocks * _BLOCK) < count).astype(values.dtype).reshape(blocks, _BLOCK)
    else:
        counts = jnp.moveaxis(in_turn(times), 2, 1)[..., None]  # [blocks, _BLOCK, B, 1]

    def step(sums: tuple[jax.Array, jax.Array], block: tuple[jax.Array, jax.Array]) -> Any:
        total, slopes = sums
        targets, counts = block
        for k in range(_BLOCK):
            value, slope = pair(targets[:, k, None] - values, fractions)
            total, slopes = total + counts[k] * value, slopes + counts[k] * slope
        return (total, slopes), None

    zeros = jnp.zeros((batch, size), jnp.result_type(values, target, fractions))
    (total, slopes), _ = jax.lax.scan(step, (zeros, zeros), (in_turn(target), counts))
    return jnp.sum(total, axis=1) / count, slopes / count


def _forward(
    values: jax.Array,
    fractions: jax.Array,
    target: jax.Array,
    weights: jax.Array | None,
    loss: ErrorLoss,
    in_blocks: bool,
) -> Any:
    value, slope = _loss_and_slope(values, fractions, target, weights, loss, in_blocks)
    return value, (slope.astype(values.dtype), (fractions, target, weights))


def _backward(loss: ErrorLoss, in_blocks: bool, kept: Any, cotangent: jax.Array) -> Any:
    del loss, in_blocks
    slope, data = kept
    return (slope * cotangent[:, None]).astype(slope.dtype), *jax.tree.map(jnp.zeros_like, data)


_summed.defvjp(_forward, _backward)


def quantile_huber_loss(
    values: jax.Array, fractions: jax.Array, target: jax.Array, threshold: float, weights: jax.Array | None = None
) -> jax.Array:
    """Quantile Huber loss over all pairs (Dabney et al., 2018a, eq. 10): `E_j Σ_i |τ_i - 1{u_ij < 0}| L_κ(u_ij) / κ`.

    With threshold zero the plain quantile loss `u (τ - 1{u < 0})`. Here `u_ij = target_j - values_i`. Only the values
    have a gradient: all else is data, and its own is zero.

    Args:
      values: [B, N] quantiles predicted.
      fractions: [B, N] or [N], their τ in (0, 1).
      target: [B, M] samples of the target.
      threshold: κ.
      weights: [B, M] of the samples, which sum to one; all count alike unless given.

    Returns:
      [B].

    Raises:
      InputError: outside a compiled program, if a fraction is not in (0, 1).
    """
    if not isinstance(fractions, jax.core.Tracer):
        outside = np.asarray(fractions)
        outside = outside[~((outside > 0) & (outside < 1))]
        require(outside.size == 0, "fractions", float(outside.flat[0]) if outside.size else None, "in (0, 1)")
    return _asymmetric_loss(values, jnp.asarray(fractions, values.dtype), target, _Huber(threshold), weights)


def _pointwise_backup(reward: jax.Array, discount: jax.Array, next_values: jax.Array, weights: jax.Array) -> jax.Array:
    """`r + γ Σ_a w(a) θ_j(a)` for each j. Under a greedy operator, the greedy action's quantiles."""
    return reward[:, None] + discount[:, None] * mixture(weights, next_values)


@dataclasses.dataclass(frozen=True)
class Quantile(Averages, Distributional):
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

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        return jnp.mean(prediction, axis=-1)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples, [B, N]."""
        return _pointwise_backup(reward, discount, next_prediction, weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: quantile Huber."""
        return quantile_huber_loss(prediction, midpoints(self.num_quantiles), target, self.huber_threshold)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: sorted."""
        return jnp.sort(prediction, axis=-1), jnp.full_like(prediction, 1.0 / self.num_quantiles)


@dataclasses.dataclass(frozen=True)
class ImplicitQuantile(Averages, Distributional):
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

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
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

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the absolute errors, their mean over targets summed over predictions.

        As in BTR (Clark et al., 2024, its authors' code); IQN's own paper draws uniformly.
        """
        return jnp.abs(target[:, None, :] - self._values(prediction)[:, :, None]).mean(axis=2).sum(axis=1)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: by fraction; each quantile stands for the fractions nearest to its own."""
        values, fractions = jnp.split(prediction, 2, axis=-1)
        order = jnp.argsort(fractions, axis=-1)
        fractions = jnp.take_along_axis(fractions, order, axis=-1)
        between = 0.5 * (fractions[..., 1:] + fractions[..., :-1])
        return jnp.take_along_axis(values, order, axis=-1), jnp.diff(
            between, axis=-1, prepend=jnp.zeros_like(fractions[..., :1]), append=jnp.ones_like(fractions[..., :1])
        )

    def _values(self, prediction: jax.Array) -> jax.Array:
        return prediction[..., : prediction.shape[-1] // 2]


@dataclasses.dataclass(frozen=True)
class IntervalQuantile(ImplicitQuantile):
    """Quantiles at the midpoints of random intervals, each counting by its interval's length (DSAC, Ma et al., 2020).

    Predictions are [..., 3N]: values, midpoints τ̂, and the lengths of the N intervals, which fill [0, 1]. The value is
    `Σ_i (τ_i - τ_{i-1}) F⁻¹(τ̂_i)`, and so are the samples of a target weighted in the loss.
    """

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        values, probabilities = self.distribution(prediction)
        return jnp.sum(values * probabilities, axis=-1)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples and their weights, [B, 2N']; actions have their intervals in common."""
        lengths = next_prediction[:, 0, 2 * next_prediction.shape[-1] // 3 :]
        return jnp.concatenate([super().target(reward, discount, next_prediction, weights), lengths], axis=-1)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: quantile Huber."""
        values, fractions, _ = jnp.split(prediction, 3, axis=-1)
        samples, weights = jnp.split(target, 2, axis=-1)
        return quantile_huber_loss(values, fractions, samples, self.huber_threshold, weights)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: as of `ImplicitQuantile`, targets weighted."""
        samples, weights = jnp.split(target, 2, axis=-1)
        errors = jnp.abs(samples[:, None, :] - self._values(prediction)[:, :, None])
        return exact_einsum("bij,bj->b", errors, weights)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: by fraction."""
        values, _, lengths = jnp.split(prediction, 3, axis=-1)
        return values, lengths

    def _values(self, prediction: jax.Array) -> jax.Array:
        return prediction[..., : prediction.shape[-1] // 3]


@dataclasses.dataclass(frozen=True)
class FullyParameterizedQuantile(Distributional):
    """FQF (Yang et al., Fully Parameterized Quantile Function, 2019): N quantiles at fractions that are learned too.

    Predictions are [..., 3N - 1]: the values at the midpoints τ̂ of N intervals, the intervals' upper ends
    `τ_1 .. τ_N = 1`, and the values at the inner ends `τ_1 .. τ_{N-1}`. Of the last no gradient is taken: they serve
    the gradient of the 1-Wasserstein error by the fractions, `2 F⁻¹(τ_i) - F⁻¹(τ̂_i) - F⁻¹(τ̂_{i-1})` (proposition 1).

    Attributes:
      num_quantiles: N.
      huber_threshold: κ; zero for the plain quantile loss.
    """

    num_quantiles: int = 32
    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        require(self.num_quantiles >= 2, "num_quantiles", self.num_quantiles, "at least 2")
        require(self.huber_threshold >= 0, "huber_threshold", self.huber_threshold, "0 or more")

    @property
    def width(self) -> int:
        """One value for each fraction asked for."""
        return 1

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        values, probabilities = self.distribution(prediction)
        return jnp.sum(values * probabilities, axis=-1)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples, [B, N]."""
        return _pointwise_backup(reward, discount, next_prediction[..., : self.num_quantiles], weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: quantile Huber for the values, and what has the fractions' gradient."""
        values, ends, at_ends = jnp.split(prediction, [self.num_quantiles, 2 * self.num_quantiles], axis=-1)
        midpoint = ends - 0.5 * jnp.diff(ends, axis=-1, prepend=0.0)
        of_values = quantile_huber_loss(values, jax.lax.stop_gradient(midpoint), target, self.huber_threshold)
        slope = jax.lax.stop_gradient(2.0 * at_ends - values[..., 1:] - values[..., :-1])
        return of_values + jnp.sum(slope * ends[..., :-1], axis=-1)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the quantile Huber loss."""
        values, ends, _ = jnp.split(prediction, [self.num_quantiles, 2 * self.num_quantiles], axis=-1)
        midpoint = ends - 0.5 * jnp.diff(ends, axis=-1, prepend=0.0)
        return quantile_huber_loss(values, midpoint, target, self.huber_threshold)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: by fraction."""
        values, ends = (
            prediction[..., : self.num_quantiles],
            prediction[..., self.num_quantiles : 2 * self.num_quantiles],
        )
        return values, jnp.diff(ends, axis=-1, prepend=0.0)


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

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`: the expectile at 1/2."""
        return prediction[..., self.num_expectiles // 2]

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: samples, moved so that their mean is the backup of the mean."""
        samples = _pointwise_backup(reward, discount, next_prediction, weights)
        value = reward + discount * jnp.sum(weights * self.value(next_prediction), axis=-1)
        return samples + (value - samples.mean(axis=-1))[:, None]

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: `E_j Σ_i |τ_i - 1{u_ij < 0}| u_ij²`."""
        return _asymmetric_loss(prediction, midpoints(self.num_expectiles), target, _Square())
