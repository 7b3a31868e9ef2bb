"""Returns as probabilities over fixed atoms: C51, and the two encodings of a scalar target, two-hot and HL-Gauss.

The head's outputs are logits; the loss is the cross-entropy to the target's probabilities.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq import platforms
from jaxq.bellman.arithmetic import exact_matmul, mixture
from jaxq.bellman.base import Averages, Distributional, ScalarTarget
from jaxq.errors import require


@dataclasses.dataclass(frozen=True)
class Support:
    """`size` atoms, evenly spaced from `low` to `high`.

    Raises:
      InputError: unless low < high are finite and there are two atoms or more.
    """

    low: float
    high: float
    size: int

    def __post_init__(self) -> None:
        require(self.size >= 2, "num_atoms", self.size, "at least 2")
        require(abs(self.low) < float("inf"), "v_min", self.low, "finite")
        require(self.low < self.high < float("inf"), "v_max", self.high, f"finite and above v_min, which is {self.low}")

    @property
    def step(self) -> float:
        """Distance of neighbouring atoms."""
        return (self.high - self.low) / (self.size - 1)

    @property
    def atoms(self) -> jax.Array:
        """[size]."""
        return jnp.linspace(self.low, self.high, self.size)

    def position(self, value: jax.Array) -> jax.Array:
        """Where values lie among the atoms: 0 at the first, size - 1 at the last; beyond the ends, there."""
        return jnp.clip((value - self.low) / self.step, 0.0, self.size - 1.0)


@dataclasses.dataclass(frozen=True)
class SymexpSupport(Support):
    """Atoms `sign(x) (exp|x| - 1)` of `size` x, evenly spaced from `low` to `high`: dense around zero, far-reaching.

    For scalar targets of any magnitude (Hafner et al., DreamerV3, 2023), which two atoms share by their distances from
    it, so that the mean is the target's own and not, as with `Mapped`, that of its logarithm.
    """

    @property
    def atoms(self) -> jax.Array:
        """[size]."""
        exponents = jnp.linspace(self.low, self.high, self.size)
        return jnp.sign(exponents) * jnp.expm1(jnp.abs(exponents))

    def position(self, value: jax.Array) -> jax.Array:
        """See `Support.position`."""
        atoms = self.atoms
        below = jnp.clip(jnp.sum(value[..., None] >= atoms, axis=-1) - 1, 0, self.size - 2)
        share = (value - atoms[below]) / (atoms[below + 1] - atoms[below])
        return below + jnp.clip(share, 0.0, 1.0)


def project(support: Support, values: jax.Array, probabilities: jax.Array) -> jax.Array:
    """The projection Π of C51 (Bellemare et al., 2017, eq. 7): each mass is shared by the two atoms around its place.

    Mass is conserved, and so is the mean of what lies inside the support; what lies beyond goes to the end atoms.

    Args:
      support: N atoms.
      values: [B, M] where masses lie.
      probabilities: [B, M] the masses.

    Returns:
      [B, N].
    """
    position = support.position(values)
    if platforms.on_cpu():
        # Two writes a mass instead of a table of N × M hats. Accelerators fuse that table away, and add in fixed order.
        below = jnp.clip(jnp.floor(position).astype(jnp.int32), 0, support.size - 2)
        above_share = position - below
        index = below + support.size * jnp.arange(values.shape[0])[:, None]
        out = jnp.zeros(values.shape[0] * support.size, probabilities.dtype)
        for offset, share in ((0, 1.0 - above_share), (1, above_share)):
            out = out.at[index.ravel() + offset].add((probabilities * share).ravel().astype(out.dtype))
        return out.reshape(values.shape[0], support.size)
    hats = jnp.maximum(0.0, 1.0 - jnp.abs(position[:, :, None] - jnp.arange(support.size)))
    return jnp.sum(probabilities[:, :, None] * hats, axis=1)


def cross_entropy(logits: jax.Array, probabilities: jax.Array) -> jax.Array:
    """`-Σ p log softmax(logits)` over the last axis."""
    return -jnp.sum(probabilities * jax.nn.log_softmax(logits, axis=-1), axis=-1)


@dataclasses.dataclass(frozen=True)
class OverAtoms(Averages, Distributional):
    """Base of the representations by probabilities over fixed atoms: logits, their mean, and the cross-entropy.

    Attributes:
      support: the atoms.
    """

    support: Support

    @property
    def width(self) -> int:
        """One logit an atom."""
        return self.support.size

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`."""
        return exact_matmul(jax.nn.softmax(prediction, axis=-1), self.support.atoms)

    def distribution(self, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Distributional.distribution`."""
        probabilities = jax.nn.softmax(prediction, axis=-1)
        return jnp.broadcast_to(self.support.atoms, probabilities.shape), probabilities

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: cross-entropy to the target's probabilities."""
        return cross_entropy(prediction, target)

    def priority(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.priority`: the divergence of the prediction from the target (Rainbow, section 4.1).

        The loss without the target's own entropy, which no learning takes away: by the loss, a perfect prediction of a
        wide distribution would come before a wrong one of a narrow.
        """
        own = -jnp.sum(jax.scipy.special.xlogy(target, target), axis=-1)
        return jnp.maximum(cross_entropy(prediction, target) - own, 0.0)

    def averaged(self, predictions: jax.Array) -> jax.Array:
        """See `Averages.averaged`: the logarithms of the mixture's probabilities."""
        return jax.nn.logsumexp(jax.nn.log_softmax(predictions, axis=-1), axis=-2) - jnp.log(predictions.shape[-2])


@dataclasses.dataclass(frozen=True)
class Categorical(OverAtoms):
    """C51 (Bellemare et al., 2017): the distribution of the return over fixed atoms."""

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: the mixture of the actions' distributions, moved, shrunk and projected."""
        following = mixture(weights, jax.nn.softmax(next_prediction, axis=-1))
        return project(self.support, reward[:, None] + discount[:, None] * self.support.atoms, following)


@dataclasses.dataclass(frozen=True)
class TwoHot(OverAtoms, ScalarTarget):
    """A scalar target as the two atoms around it (Farebrother et al., Stop Regressing, 2024, section 3.1)."""

    def encode(self, value: jax.Array) -> jax.Array:
        """See `ScalarTarget.encode`."""
        return project(self.support, value[:, None], jnp.ones_like(value)[:, None])


@dataclasses.dataclass(frozen=True)
class HLGauss(OverAtoms, ScalarTarget):
    """A scalar target as a Gaussian histogram (Imani and White, 2018; Farebrother et al., 2024, section 3.1).

    The atoms are the centres of bins as wide as their distance; a bin's probability is the integral over it of a
    Gaussian around the target, cut off at the ends of the support and normalized there.

    Attributes:
      smoothing: width σ of the Gaussian in bin widths; 0.75 in the paper.
    """

    smoothing: float = 0.75

    def __post_init__(self) -> None:
        require(0 < self.smoothing < float("inf"), "smoothing", self.smoothing, "positive and finite")

    def encode(self, value: jax.Array) -> jax.Array:
        """See `ScalarTarget.encode`."""
        edges = jnp.arange(self.support.size + 1) - 0.5
        # A target beyond the support counts as one at its end, so some mass is always inside.
        cdf = jax.scipy.special.erf((edges - self.support.position(value)[:, None]) / (2.0**0.5 * self.smoothing))
        return (cdf[:, 1:] - cdf[:, :-1]) / (cdf[:, -1:] - cdf[:, :1])
