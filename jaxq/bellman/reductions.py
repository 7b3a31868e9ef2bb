"""Reductions: how the predictions of several critics become one view of the return.

Clipped double critics, averages, random subsets and truncated mixtures are all the same thing: some predictions, with
weights. A target is the backup of that mixture, an actor climbs its value.
"""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxq.bellman.base import Representation
from jaxq.bellman.quantile import ImplicitQuantile, Quantile
from jaxq.errors import require


class Reduction(Protocol):
    """What an actor-critic needs of a reduction."""

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The mixture that stands for an ensemble.

        Args:
          representation: of the return.
          predictions: [B, M, W] of M critics.
          key: for reductions that draw.

        Returns:
          K predictions [B, K, W'], and their weights: [B, K], or [B, M, K] where each critic is to have its own target.
        """

    def check(self, representation: Representation, size: int) -> None:
        """Raise `InputError` if it cannot be used with so many critics of this representation."""


def reduced_value(representation: Representation, mixture: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The value [B] of a mixture."""
    predictions, weights = mixture
    return jnp.sum(weights * representation.value(predictions), axis=-1)


def _smallest(representation: Representation, predictions: jax.Array) -> jax.Array:
    values = representation.value(predictions)
    return jax.nn.one_hot(jnp.argmin(values, axis=1), values.shape[1], dtype=values.dtype)


@dataclasses.dataclass(frozen=True)
class Minimum:
    """The critic with the smallest value (clipped double critics, Fujimoto et al., 2018)."""

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`."""
        del key
        return predictions, _smallest(representation, predictions)

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`: any."""


@dataclasses.dataclass(frozen=True)
class Mean:
    """All critics alike; of distributions their mixture."""

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`."""
        del representation, key
        return predictions, jnp.full(predictions.shape[:2], 1.0 / predictions.shape[1])

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`: any."""


@dataclasses.dataclass(frozen=True)
class Own:
    """For each critic itself: targets are not shared (FastSAC, Seo et al., 2025)."""

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`."""
        del representation, key
        batch, critics, _ = predictions.shape
        return predictions, jnp.broadcast_to(jnp.eye(critics), (batch, critics, critics))

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`: any."""


@dataclasses.dataclass(frozen=True)
class Pessimistic:
    """The critics' mean less their deviation, quantile by quantile (Moskovitz et al., 2021, as in BRO).

    Of two critics a pessimism of 1 gives the smaller of every quantile (DSAC, Ma et al., 2020), 0 the mean, and a
    negative one the optimist's view.

    Attributes:
      pessimism: how many standard deviations are taken off.
    """

    pessimism: float = 0.0

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`: one prediction, [B, 1, W]. Of fractions that critics have in common the deviation is none.

        (Of more than two critics it is at least 1e-6, for the slope of its root.)
        """
        del representation, key
        mean = jnp.mean(predictions, axis=1, keepdims=True)
        away = predictions - mean
        # The root of two critics' variance is |a - b| / 2, but its slope at zero would not be finite.
        if predictions.shape[1] == 2:
            std = jnp.mean(jnp.abs(away), axis=1, keepdims=True)
        else:
            std = jnp.sqrt(jnp.mean(away**2, axis=1, keepdims=True) + 1e-12)
        return mean - self.pessimism * std, jnp.ones((predictions.shape[0], 1))

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`."""
        by_quantile = isinstance(representation, Quantile | ImplicitQuantile)
        require(by_quantile, "representation", type(representation).__name__, "Quantile or ImplicitQuantile")


@dataclasses.dataclass(frozen=True)
class First:
    """The first critic alone, as TD3's actor climbs."""

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`."""
        del representation, key
        return predictions[:, :1], jnp.ones((predictions.shape[0], 1))

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`: any."""


@dataclasses.dataclass(frozen=True)
class RandomSubset:
    """The smallest of some critics drawn anew for each batch (REDQ, Chen et al., 2021, algorithm 1); of one, that one.

    Attributes:
      size: of the subset.
    """

    size: int = 2

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`."""
        drawn = jax.random.choice(key, predictions.shape[1], (self.size,), replace=False)
        subset = jnp.take(predictions, drawn, axis=1)
        return subset, _smallest(representation, subset)

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`."""
        require(1 <= self.size <= size, "subset", self.size, f"in 1 .. {size}, the number of critics")


@dataclasses.dataclass(frozen=True)
class Truncated:
    """The atoms of all critics as one distribution, without the largest (TQC, Kuznetsov et al., 2020, section 4).

    Attributes:
      dropped: d, atoms left out for each critic.
    """

    dropped: int = 2

    def __call__(
        self, representation: Representation, predictions: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Reduction`: one prediction of fewer atoms, sorted, [B, 1, M (W - d)]."""
        del representation, key
        batch, critics, atoms = predictions.shape
        pooled = jnp.sort(predictions.reshape(batch, critics * atoms), axis=-1)
        return pooled[:, None, : critics * (atoms - self.dropped)], jnp.ones((batch, 1))

    def check(self, representation: Representation, size: int) -> None:
        """See `Reduction.check`."""
        kind = type(representation).__name__
        require(isinstance(representation, Quantile), "representation", kind, "Quantile, whose atoms can be dropped")
        allowed = f"in 0 .. {representation.width - 1}, fewer than a critic has atoms"
        require(0 <= self.dropped < representation.width, "dropped_atoms", self.dropped, allowed)
