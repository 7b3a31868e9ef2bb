"""Reward channels: how a reward falls into several, and returns learned one channel at a time."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxq.bellman.base import Representation
from jaxq.bellman.operators import greedy
from jaxq.errors import require


class Channels(Protocol):
    """A decomposition of rewards."""

    def __call__(self, reward: jax.Array) -> jax.Array:
        """Rewards [...] by channel, [..., C]."""


def as_given(reward: jax.Array) -> jax.Array:
    """Rewards as the environment gives them: one channel, or the environment's own."""
    return reward


def by_sign(reward: jax.Array) -> jax.Array:
    """Positive and negative parts, both non-negative: `r = r⁺ - r⁻`. [...] -> [..., 2]."""
    return jnp.stack([jnp.maximum(reward, 0.0), jnp.maximum(-reward, 0.0)], axis=-1)


def gains_and_losses(reward: jax.Array) -> jax.Array:
    """Positive and negative parts that add up to the reward. [...] -> [..., 2]."""
    return jnp.stack([jnp.maximum(reward, 0.0), jnp.minimum(reward, 0.0)], axis=-1)


def by_sign_and_size(large: float) -> Channels:
    """Gains below `large`, gains from there on, and losses; all non-negative: `r = small + large - loss`. C = 3.

    Raises:
      InputError: unless `large` is positive.
    """
    require(large > 0, "large_reward", large, "positive")

    def split(reward: jax.Array) -> jax.Array:
        gain, loss = jnp.maximum(reward, 0.0), jnp.maximum(-reward, 0.0)
        return jnp.stack([jnp.where(gain < large, gain, 0.0), jnp.where(gain < large, 0.0, gain), loss], axis=-1)

    return split


@dataclasses.dataclass(frozen=True)
class ByMagnitude:
    """A channel for each interval of rewards: of all channels, the one whose interval holds a reward gets it.

    Attributes:
      edges: between the intervals, ascending; C = len(edges) + 1.
    """

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in zip(self.edges, self.edges[1:]))
        require(len(self.edges) >= 1 and ascending, "edges", self.edges, "one or more numbers in ascending order")

    def __call__(self, reward: jax.Array) -> jax.Array:
        """See `Channels`."""
        interval = jnp.searchsorted(jnp.asarray(self.edges), reward, side="right")
        return reward[..., None] * jax.nn.one_hot(interval, len(self.edges) + 1, dtype=reward.dtype)


@dataclasses.dataclass(frozen=True)
class Decomposed(Representation):
    """A return for each of C reward channels, `G = Σ_c λ_c G_c`; all channels back up the same action.

    Predictions are [..., C * W], channel by channel. With a mapping for each channel it is orchestrated value mapping
    (Fatemi and Tavakoli, 2022); with the two signs and logarithms, LogDQN (van Seijen et al., 2019).

    Attributes:
      representations: of the C channels, all of one width.
      coefficients: λ.
    """

    representations: tuple[Representation, ...]
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.representations)
        require(len(self.coefficients) == count, "coefficients", self.coefficients, f"{count} numbers, one a channel")
        widths = {representation.width for representation in self.representations}
        require(len(widths) == 1, "representations", sorted(widths), "of one width")

    @property
    def width(self) -> int:
        """C * W."""
        return len(self.representations) * self.representations[0].width

    def by_channel(self, prediction: jax.Array) -> list[jax.Array]:
        """[..., C * W] -> C times [..., W]."""
        return jnp.split(prediction, len(self.representations), axis=-1)

    def values(self, prediction: jax.Array) -> list[jax.Array]:
        """The value of each channel, C times [...]."""
        return [r.value(p) for r, p in zip(self.representations, self.by_channel(prediction), strict=True)]

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        parts = self.values(prediction)
        return sum((c * part for c, part in zip(self.coefficients, parts, strict=True)), jnp.zeros_like(parts[0]))

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`; `reward` is [B, C], the channels' targets one behind the other."""
        following = self.by_channel(next_prediction)
        return jnp.concatenate(
            [
                r.target(reward[:, c], discount, following[c], self._weights(c, following[c], weights))
                for c, r in enumerate(self.representations)
            ],
            axis=-1,
        )

    def _weights(self, channel: int, next_prediction: jax.Array, weights: jax.Array) -> jax.Array:
        """The weights [B, A] by which a channel backs up the next state's actions."""
        del channel, next_prediction
        return weights

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: the sum over the channels."""
        parts = zip(self.representations, self.by_channel(prediction), self.by_channel(target), strict=True)
        return jnp.sum(jnp.stack([r.loss(p, t) for r, p, t in parts]), axis=0)


@dataclasses.dataclass(frozen=True)
class HybridReward(Decomposed):
    """Hybrid reward architecture (van Seijen et al., 2017): each channel backs up the action that is best for itself.

    Behaviour is greedy on the sum. As in its eq. 8, each head's values are then those of its own optimal policy.
    """

    def _weights(self, channel: int, next_prediction: jax.Array, weights: jax.Array) -> jax.Array:
        del weights
        return greedy(self.representations[channel].value(next_prediction))
