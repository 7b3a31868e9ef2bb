"""Value mappings: learning a function of the return instead of the return."""

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class Mapped(ScalarTarget):
    """A scalar-target representation of mapped returns: the backup is `h(r + γ Σ_a w(a) h⁻¹(q(s', a)))`.

    Attributes:
      representation: of the mapped return (its support, if it has one, is in mapped units).
      mapping: h.
    """

    representation: ScalarTarget
    mapping: Mapping

    @property
    def width(self) -> int:
        """That of the representation."""
        return self.representation.width

    def mean(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.mean`, in units of the return."""
        return self.mapping.inverse(self.representation.mean(prediction))

    def encode(self, value: jax.Array) -> jax.Array:
        """See `ScalarTarget.encode`."""
        return self.representation.encode(self.mapping.forward(value))

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`."""
        return self.representation.loss(prediction, target)
