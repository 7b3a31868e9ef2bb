"""The return, scalar or vector, as particles, learned by maximum mean discrepancy."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxq.bellman.arithmetic import mixture
from jaxq.bellman.base import Representation
from jaxq.errors import require


def squared_mmd(x: jax.Array, y: jax.Array, bandwidths: Sequence[float], exponent: float = 0.0) -> jax.Array:
    """Squared maximum mean discrepancy between two sets of particles, under a sum of Gaussian kernels.

    `E k(x, x') + E k(y, y') - 2 E k(x, y)` with `k(x, y) = Σ_h h^e exp(-|x - y|² / C h)` (Gretton et al., 2012, eq. 5;
    the biased estimate, which is a distance between the empirical distributions).

    Args:
      x: [B, N, C].
      y: [B, M, C].
      bandwidths: the h.
      exponent: e, by which wider kernels count for more.

    Returns:
      [B].
    """

    def mean_kernel(a: jax.Array, b: jax.Array) -> jax.Array:
        distance = jnp.mean((a[:, :, None] - b[:, None]) ** 2, axis=-1)
        kernels = [h**exponent * jnp.exp(-distance / h).mean(axis=(1, 2)) for h in bandwidths]
        return jnp.sum(jnp.stack(kernels), axis=0)

    return mean_kernel(x, x) + mean_kernel(y, y) - 2.0 * mean_kernel(x, y)


@dataclasses.dataclass(frozen=True)
class Particles(Representation):
    """N particles of the joint distribution of C reward channels' returns; predictions are [..., N * C].

    MD3QN (Zhang et al., Distributional Reinforcement Learning for Multi-Dimensional Reward Functions, 2021), with the
    kernels of its authors' code; with one channel, bandwidths of 1 to 10 and exponent 0 it is MMD-DQN (Nguyen et al.,
    2021). Actions are valued by the sum over the channels. Particles have no order, so what is backed up is those of
    one action and no mean of several actions'.

    Attributes:
      num_particles: N; 200 in both papers.
      channels: C.
      bandwidths: h of the kernels, in units of the return squared.
      kernel_exponent: e; a kernel counts by `h^e`.
    """

    num_particles: int = 200
    channels: int = 1
    bandwidths: tuple[float, ...] = tuple(2.0**i for i in range(-8, 9))
    kernel_exponent: float = 0.5

    def __post_init__(self) -> None:
        require(self.num_particles >= 1, "num_particles", self.num_particles, "at least 1")
        require(self.channels >= 1, "channels", self.channels, "at least 1")
        positive = bool(self.bandwidths) and min(self.bandwidths) > 0
        require(positive, "bandwidths", self.bandwidths, "one or more positive numbers")

    @property
    def width(self) -> int:
        """N * C."""
        return self.num_particles * self.channels

    def particles(self, prediction: jax.Array) -> jax.Array:
        """[..., N * C] -> [..., N, C]."""
        return prediction.reshape(*prediction.shape[:-1], self.num_particles, self.channels)

    def value(self, prediction: jax.Array) -> jax.Array:
        """See `Representation.value`: of the sum over the channels."""
        return jnp.mean(self.particles(prediction).sum(axis=-1), axis=-1)

    def target(
        self, reward: jax.Array, discount: jax.Array, next_prediction: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """See `Representation.target`: particles [B, N * C]; `reward` is [B] or [B, C], `weights` are of one action."""
        following = mixture(weights, next_prediction)
        moved = reward.reshape(-1, 1, self.channels) + discount[:, None, None] * self.particles(following)
        return moved.reshape(following.shape)

    def loss(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """See `Representation.loss`: the squared MMD."""
        return squared_mmd(self.particles(prediction), self.particles(target), self.bandwidths, self.kernel_exponent)
