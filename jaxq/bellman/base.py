"""The protocol of a representation of the return, and the part shared by those that encode a scalar target.

Axes: `B` samples, `A` actions, `W` outputs of the head for one return, `T` numbers of a target.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp


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
          Values, in ascending order where they are quantiles, and probabilities, each [..., N].
        """


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
