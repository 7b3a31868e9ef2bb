"""The protocol of a representation of the return, and the part shared by those that encode a scalar target.

Axes: `B` samples, `A` actions, `W` outputs of the head for one return, `T` numbers of a target.
"""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxq.errors import require


class Representation(Protocol):
    """How a return is represented: what the head's outputs mean, how they are backed up, and how they are learned.

    Its implementations inherit it: a sample's priority is its loss unless they say otherwise.
    """

    @property
    def width(self) -> int:
        """W."""

    def value(self, prediction: jax.Array) -> jax.Array:
        """What the returns of predictions [..., W] are worth, by which actions are chosen: [...].

        Their mean, unless a measure of risk stands in its place.
        """

    def target(self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array) -> Any:
        """What `reward + discount * next` becomes in this representation.

        Args:
          reward: [B] return of the window; [B, C] for representations of several reward channels.
          discount: [B] of the next value, zero after a terminal state.
          next_prediction: [B, A, W] of the next state.
          weights: [B, A] probabilities of its actions, from an operator.

        Returns:
          [B, T].
        """

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """The loss of each prediction [B, W] against its target [B, T]: [B]."""

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """How much there is left to learn from each sample, [B]; arguments as of `loss`."""
        return self.loss(prediction, target)


class Distributional(Representation, Protocol):
    """A representation of the whole distribution of the return, so that attitudes to risk can be told from it."""

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The distribution that predictions [..., W] stand for, as masses on points.

        Returns:
          Values and probabilities, each [..., N], in the order of the fractions at which the values are quantiles.
          Where the fractions are fixed, quantiles that cross are sorted (Chernozhukov et al., Quantile and Probability
          Curves Without Crossing, 2010). Those at chosen fractions stay by fraction, as their papers read them: one may
          stand for all that lies beyond the fractions asked for, and sorted it could bring that to the other end.
        """


class Averages:
    """Base of representations whose predictions have a mean."""

    def averaged(self, predictions: jax.Array) -> jax.Array:
        """The prediction that `target` would back up of K predictions with equal weights: [..., K, W] -> [..., W].

        Number by number, unless they say otherwise: of quantile functions at the same fractions the pointwise mean.
        """
        return jnp.mean(predictions, axis=-2)


def require_averages(representation: Representation) -> None:
    """Check that a representation is one of those.

    Raises:
      InputError: naming it.
    """
    allowed = "one whose predictions can be averaged (Scalar, quantiles, probabilities over atoms)"
    require(isinstance(representation, Averages), "representation", type(representation).__name__, allowed)


@dataclasses.dataclass(frozen=True)
class EachPart(Representation):
    """P returns that are learned side by side, each by itself: predictions [B, P, W], targets [B, P, T].

    Loss and priority are means over them.

    Attributes:
      representation: of each.
    """

    representation: Representation

    @property
    def width(self) -> int:
        """That of each."""
        return self.representation.width

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`: of each, [..., P]."""
        return self.representation.value(prediction)

    def target(self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array) -> Any:
        """See `Representation.target`: of each, [B, P, T], from predictions [B, P, A, W] and weights [B, P, A]."""
        return jax.vmap(self.representation.target, (None, None, 1, 1), 1)(reward, discount, next_prediction, weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`."""
        return jax.vmap(self.representation.loss, 1, 1)(prediction, target).mean(axis=1)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`."""
        return jax.vmap(self.representation.priority, 1, 1)(prediction, target).mean(axis=1)


class ScalarTarget(Representation):
    """Base of representations that learn the expected return alone, however they encode it."""

    def encode(self, value: jax.Array) -> jax.Array:
        """The target that stands for scalar values: [B] -> [B, T]."""
        raise NotImplementedError

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: the backup of the mean, `r + γ Σ_a w(a) q(s', a)`, encoded."""
        value = jnp.sum(weights * self.value(next_prediction), axis=-1)
        return self.encode(reward + discount * value)
