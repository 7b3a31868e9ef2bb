"""Attitudes to risk: functionals of a return's distribution, and representations whose actions are valued by them.

A distribution is masses on points, as `Distributional.distribution` gives it. Distortions are those of Dabney et al.
(Implicit Quantile Networks, 2018) but for Norm: `∫ F⁻¹(β(τ)) dτ`, which for masses on ascending points is
`Σ x_i (h(F_i) - h(F_{i-1}))`, h being the inverse of β and F the cumulative masses. Where the points are quantiles at
fractions that are chosen, `β(τ)` are the ones that tell most (`Distortion.fractions`), and the sum is the mean of
`F⁻¹(β(τ))` as in their papers, by fraction also where quantiles cross.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxq.bellman.base import Distributional
from jaxq.errors import require


class RiskMeasure(Protocol):
    """What a distribution is worth."""

    def __call__(self, values: jax.Array, probabilities: jax.Array) -> jax.Array:
        """Values and their probabilities [..., N], as of `Distributional.distribution`: [...]."""


class Distortion:
    """Base of the measures that distort the cumulative probabilities."""

    def fractions(self, tau: jax.Array) -> jax.Array:
        """β of fractions in [0, 1]: monotone, within [0, 1]."""
        raise NotImplementedError

    def distorted(self, cumulative: jax.Array) -> jax.Array:
        """h of cumulative probabilities in [0, 1]: monotone, from 0 to 1."""
        raise NotImplementedError

    def __call__(self, values: jax.Array, probabilities: jax.Array) -> jax.Array:
        """See `RiskMeasure`."""
        cumulative = jnp.clip(jnp.cumsum(probabilities, axis=-1), 0.0, 1.0)
        below = jnp.concatenate([jnp.zeros_like(cumulative[..., :1]), cumulative[..., :-1]], axis=-1)
        # The last one is 1 but for rounding, which some distortions are steep enough to magnify.
        ends = jnp.concatenate([cumulative[..., :-1], jnp.ones_like(cumulative[..., :1])], axis=-1)
        return jnp.sum(values * (self.distorted(ends) - self.distorted(below)), axis=-1)


@dataclasses.dataclass(frozen=True)
class CVaR(Distortion):
    """The mean of the worst outcomes: `β(τ) = η τ`.

    Attributes:
      level: η in (0, 1], the share of them; 1 is neutral.
    """

    level: float

    def __post_init__(self) -> None:
        require(0 < self.level <= 1, "level", self.level, "in (0, 1]")

    def fractions(self, tau: jax.Array) -> jax.Array:
        """See `Distortion.fractions`."""
        return self.level * tau

    def distorted(self, cumulative: jax.Array) -> jax.Array:
        """See `Distortion.distorted`."""
        return jnp.minimum(cumulative / self.level, 1.0)


@dataclasses.dataclass(frozen=True)
class Wang(Distortion):
    """`β(τ) = Φ(Φ⁻¹(τ) + η)` (Wang, 2000).

    Attributes:
      shift: η; negative is averse.
    """

    shift: float

    def __post_init__(self) -> None:
        require(abs(self.shift) < float("inf"), "shift", self.shift, "finite")

    def fractions(self, tau: jax.Array) -> jax.Array:
        """See `Distortion.fractions`."""
        return jax.scipy.special.ndtr(jax.scipy.special.ndtri(tau) + self.shift)

    def distorted(self, cumulative: jax.Array) -> jax.Array:
        """See `Distortion.distorted`."""
        return jax.scipy.special.ndtr(jax.scipy.special.ndtri(cumulative) - self.shift)


@dataclasses.dataclass(frozen=True)
class CPW(Distortion):
    """`β(τ) = τ^η / (τ^η + (1 - τ)^η)^(1/η)`, of cumulative prospect theory (Tversky and Kahneman, 1992).

    Fractions drawn through β gather in the middle, so that both tails weigh less than they are likely. In prospect
    theory β is of the probabilities themselves, and they weigh more; here it is used as the IQN paper does.

    Attributes:
      exponent: η in (0.28, 1], below which β is not monotone; 0.71 in the IQN paper, 1 is neutral.
    """

    exponent: float = 0.71

    def __post_init__(self) -> None:
        require(0.28 < self.exponent <= 1, "exponent", self.exponent, "in (0.28, 1]")

    def fractions(self, tau: jax.Array) -> jax.Array:
        """See `Distortion.fractions`."""
        power, rest = tau**self.exponent, (1.0 - tau) ** self.exponent
        return power / (power + rest) ** (1.0 / self.exponent)

    def distorted(self, cumulative: jax.Array) -> jax.Array:
        """See `Distortion.distorted`: by bisection, as β has no inverse in closed form, and a step of Newton's.

        Bisection compares, which has no slope; with the last step h has its own, `1 / β'(h)`, for what learns from the
        measure's gradient by probabilities.
        """

        def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = 0.5 * (low + high)
            above = self.fractions(middle) > cumulative
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        low, high = jax.lax.fori_loop(0, 24, halve, (jnp.zeros_like(cumulative), jnp.ones_like(cumulative)))
        # A float below 1 has no neighbour half way to it: there β' would be infinite.
        found = jax.lax.stop_gradient(jnp.clip(0.5 * (low + high), 1e-7, 1 - 1e-7))
        reached, slope = jax.jvp(self.fractions, (found,), (jnp.ones_like(found),))
        inside = jnp.clip(found - (reached - cumulative) / slope, 0.0, 1.0)
        return jnp.where(cumulative >= 1, 1.0, jnp.where(cumulative <= 0, 0.0, inside))


@dataclasses.dataclass(frozen=True)
class Power(Distortion):
    """`β(τ) = τ^(1/(1+|η|))` for η >= 0, `1 - (1 - τ)^(1/(1+|η|))` for η < 0.

    Attributes:
      exponent: η; negative is averse, zero neutral.
    """

    exponent: float

    def __post_init__(self) -> None:
        require(abs(self.exponent) < float("inf"), "exponent", self.exponent, "finite")

    def fractions(self, tau: jax.Array) -> jax.Array:
        """See `Distortion.fractions`."""
        root = 1.0 / (1.0 + abs(self.exponent))
        return tau**root if self.exponent >= 0 else 1.0 - (1.0 - tau) ** root

    def distorted(self, cumulative: jax.Array) -> jax.Array:
        """See `Distortion.distorted`."""
        power = 1.0 + abs(self.exponent)
        return cumulative**power if self.exponent >= 0 else 1.0 - (1.0 - cumulative) ** power


@dataclasses.dataclass(frozen=True)
class Entropic:
    """The certainty equivalent of exponential utility, `-1/β log E exp(-β G)`.

    Attributes:
      risk_aversion: β; negative seeks risk.
    """

    risk_aversion: float

    def __post_init__(self) -> None:
        finite = 0 < abs(self.risk_aversion) < float("inf")
        require(finite, "risk_aversion", self.risk_aversion, "finite and not zero")

    def __call__(self, values: jax.Array, probabilities: jax.Array) -> jax.Array:
        """See `RiskMeasure`."""
        scaled = -self.risk_aversion * values
        return -jax.nn.logsumexp(scaled, axis=-1, b=probabilities) / self.risk_aversion


@dataclasses.dataclass(frozen=True)
class ExpectedUtility:
    """`E u(G)`.

    Attributes:
      utility: u, elementwise.
    """

    utility: Callable[[jax.Array], jax.Array]

    def __call__(self, values: jax.Array, probabilities: jax.Array) -> jax.Array:
        """See `RiskMeasure`."""
        return jnp.sum(self.utility(values) * probabilities, axis=-1)


@dataclasses.dataclass(frozen=True)
class RiskSensitive(Distributional):
    """A representation whose actions are valued by a risk measure; what is learned of the return stays the same.

    Attributes:
      representation: of the return.
      measure: what its distribution is worth.
    """

    representation: Distributional
    measure: RiskMeasure

    @property
    def width(self) -> int:
        """That of the representation."""
        return self.representation.width

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`: by the measure."""
        return self.measure(*self.distribution(prediction))

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`."""
        return self.representation.target(reward, discount, next_prediction, weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`."""
        return self.representation.loss(prediction, target)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`."""
        return self.representation.priority(prediction, target)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`."""
        return self.representation.distribution(prediction)


@dataclasses.dataclass(frozen=True)
class StockAugmented(RiskSensitive):
    """Actions valued by a measure of `c + G`, c being the stock: the discounted reward so far, in today's units.

    With expected utilities this finds policies that are optimal for functionals of the whole return, which no policy of
    the state alone is (Pires et al., Optimizing Return Distributions with Distributional Dynamic Programming, 2025).
    Predictions are [..., W + 1], the last number being the stock, which the network passes on from the observation.
    """

    def value(self, prediction: jax.Array) -> jax.Array:
        """What `c + G` is worth."""
        values, probabilities = self.distribution(prediction)
        return self.measure(values + prediction[..., -1:], probabilities)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`."""
        return super().target(reward, discount, next_prediction[..., :-1], weights)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`."""
        return super().loss(prediction[..., :-1], target)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`."""
        return super().priority(prediction[..., :-1], target)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`: of G alone."""
        return self.representation.distribution(prediction[..., :-1])
