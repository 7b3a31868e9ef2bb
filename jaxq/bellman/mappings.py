"""Value mappings: learning a function of the return instead of the return."""

import dataclasses
import math
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxq.bellman.base import ScalarTarget
from jaxq.errors import require


class Mapping(Protocol):
    """A monotone map and its inverse, elementwise."""

    def forward(self, value: jax.Array) -> jax.Array:
        """From returns to what is learned."""

    def inverse(self, mapped: jax.Array) -> jax.Array:
        """Back."""


@dataclasses.dataclass(frozen=True)
class SignedHyperbolic:
    """`h(x) = sign(x) (sqrt(|x| + 1) - 1) + ε x` (Pohlen et al., Observe and Look Further, 2018, prop. A.2)."""

    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        require(self.epsilon > 0, "epsilon", self.epsilon, "positive, or the inverse is not Lipschitz")

    def forward(self, value: jax.Array) -> jax.Array:
        """See `Mapping`."""
        return jnp.sign(value) * (jnp.sqrt(jnp.abs(value) + 1.0) - 1.0) + self.epsilon * value

    def inverse(self, mapped: jax.Array) -> jax.Array:
        """See `Mapping`."""
        # The root sqrt(1 + 4ε(|y| + 1 + ε)) - 1 over 2ε, written without the cancellation of nearly equal numbers.
        inner = 4.0 * self.epsilon * (jnp.abs(mapped) + 1.0 + self.epsilon)
        root = 2.0 * (jnp.abs(mapped) + 1.0 + self.epsilon) / (1.0 + jnp.sqrt(1.0 + inner))
        return jnp.sign(mapped) * (root**2 - 1.0)


@dataclasses.dataclass(frozen=True)
class Symlog:
    """`sign(x) log(1 + |x|)` (Hafner et al., DreamerV3, 2023)."""

    def forward(self, value: jax.Array) -> jax.Array:
        """See `Mapping`."""
        return jnp.sign(value) * jnp.log1p(jnp.abs(value))

    def inverse(self, mapped: jax.Array) -> jax.Array:
        """See `Mapping`."""
        return jnp.sign(mapped) * jnp.expm1(jnp.abs(mapped))


_LARGEST_EXPONENT = 80.0  # whose exponential is a float32


@dataclasses.dataclass(frozen=True)
class Logarithmic:
    """`c log((x + ε) / (x₀ + ε))`, of returns in 0 .. x₁ (van Seijen et al., A Logarithmic Mapping, 2019, eq. 12).

    The paper's `c log(x + γ^k) + d` with ε = γ^k, and d such that a mapped zero is x₀.

    Attributes:
      scale: c, 0.5 in the paper.
      offset: ε; there γ^k with γ = 0.96 and k = 100.
      initial: x₀, what a network is worth that begins at zero.
      largest: x₁; what is beyond is taken for it.
    """

    scale: float = 0.5
    offset: float = 0.96**100
    initial: float = 0.0
    largest: float = math.inf

    def __post_init__(self) -> None:
        require(self.scale > 0, "scale", self.scale, "positive")
        require(self.offset > 0, "offset", self.offset, "positive")
        require(self.initial >= 0, "initial", self.initial, "0 or more")
        require(self.largest > self.initial, "largest", self.largest, f"above what is begun with, {self.initial:g}")

    def forward(self, value: jax.Array) -> jax.Array:
        """See `Mapping`; what is outside its range counts as the nearest end."""
        return self.scale * jnp.log1p(jnp.clip(value, 0.0, self.largest) / self.offset) - self.scale * self._begun

    def inverse(self, mapped: jax.Array) -> jax.Array:
        """See `Mapping`."""
        highest = min(math.log1p(self.largest / self.offset), _LARGEST_EXPONENT)
        return self.offset * jnp.expm1(jnp.minimum(mapped / self.scale + self._begun, highest))

    @property
    def _begun(self) -> float:
        return math.log1p(self.initial / self.offset)


@dataclasses.dataclass(frozen=True)
class Identity:
    """Returns as they are, for a channel among others."""

    def forward(self, value: jax.Array) -> jax.Array:
        """See `Mapping`."""
        return value

    def inverse(self, mapped: jax.Array) -> jax.Array:
        """See `Mapping`."""
        return mapped


@dataclasses.dataclass(frozen=True)
class Mapped(ScalarTarget):
    """A scalar-target representation of mapped returns: the backup is `h(r + γ Σ_a w(a) h⁻¹(q(s', a)))`.

    A mapping of a noisy target is not the target of the mapped: the mean is off. So a share `averaging_rate` of the
    step is taken in the space of returns, where averaging is right: what is learned is `h(v + β (U - v))`, v being the
    present value (van Seijen et al., 2019, eq. 10; Fatemi and Tavakoli, Orchestrated Value Mapping, 2022, eq. 15).

    Attributes:
      representation: of the mapped return (its support, if it has one, is in mapped units).
      mapping: h.
      averaging_rate: β in (0, 1]; with 1 the target is mapped as it is.
    """

    representation: ScalarTarget
    mapping: Mapping
    averaging_rate: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.averaging_rate <= 1, "averaging_rate", self.averaging_rate, "in (0, 1]")

    @property
    def width(self) -> int:
        """That of the representation."""
        return self.representation.width

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`, in units of the return."""
        return self.mapping.inverse(self.representation.value(prediction))

    def encode(self, value: jax.Array) -> jax.Array:
        """The value itself, [B] -> [B, 1]; it is mapped when the loss knows what it is mixed with."""
        return value[..., None]

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`."""
        return self.representation.loss(prediction, self._mixed(prediction, target))

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`."""
        return self.representation.priority(prediction, self._mixed(prediction, target))

    def _mixed(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        value = target[..., 0]
        if self.averaging_rate < 1:
            present = self.value(jax.lax.stop_gradient(prediction))
            value = present + self.averaging_rate * (value - present)
        return self.representation.encode(self.mapping.forward(value))
