"""Continuous actions of which only some are taken, so that discrete agents can choose among them.

Actions stay what the environment takes, numbers in [-1, 1]: in replay, in films, and for whoever loads a policy. Only
the spec knows which of them there are, and how they are numbered.
"""

import copy
import dataclasses

import jax
import jax.numpy as jnp

from jaxq.envs.base import Continuous, Environment
from jaxq.errors import require


@dataclasses.dataclass(frozen=True)
class Bins(Continuous):
    """Each dimension takes one of n values, evenly spaced from -1 to 1; two are bang-bang control.

    Attributes:
      bins: n.
    """

    bins: int = 2

    def __post_init__(self) -> None:
        require(self.bins >= 2, "num_bins", self.bins, "at least 2")

    def action(self, choice: jax.Array) -> jax.Array:
        """The actions [..., size] of choices in 0 .. n - 1."""
        return choice.astype(jnp.float32) * (2.0 / (self.bins - 1)) - 1.0

    def choice(self, action: jax.Array) -> jax.Array:
        """The choices [..., size] int32 whose actions are nearest."""
        nearest = jnp.round((action + 1.0) * (0.5 * (self.bins - 1))).astype(jnp.int32)
        return jnp.clip(nearest, 0, self.bins - 1)

    def sample(self, key: jax.Array, batch: int) -> jax.Array:
        """See `Continuous.sample`."""
        return self.action(jax.random.randint(key, (batch, self.size), 0, self.bins))

    def __str__(self) -> str:
        return f"{self.bins} values in each of {self.size} dimensions"


LARGEST_INDEX = 2**23  # up to which cells are told apart by float32 actions


@dataclasses.dataclass(frozen=True)
class Cells(Continuous):
    """Each dimension takes the centre of one of n^L cells of [-1, 1], found by L choices from coarse to fine.

    Each level cuts the interval that the one before has chosen into n equal ones (Seo et al., CQN, 2024). An interval
    is told by its index, from 0, among the n^l that there are after l choices.

    Attributes:
      levels: L.
      bins: n.
    """

    levels: int = 3
    bins: int = 5

    def __post_init__(self) -> None:
        require(self.levels >= 1, "levels", self.levels, "at least 1")
        require(self.bins >= 2, "num_bins", self.bins, "at least 2")
        fine = self.bins**self.levels
        require(fine <= LARGEST_INDEX, "num_bins ** levels", fine, f"at most {LARGEST_INDEX}")

    def centre(self, index: jax.Array, level: jax.Array | int) -> jax.Array:
        """The centres [...] of intervals [...] int32 after so many choices; the two broadcast."""
        return (2.0 * index + 1.0) / jnp.float32(self.bins) ** level - 1.0

    def action(self, index: jax.Array) -> jax.Array:
        """The actions [...] of cells [...]: their centres."""
        return self.centre(index, self.levels)

    def index(self, action: jax.Array) -> jax.Array:
        """The cells [...] int32 in which actions [...] lie."""
        fine = self.bins**self.levels
        return jnp.clip(jnp.floor((action + 1.0) * (0.5 * fine)).astype(jnp.int32), 0, fine - 1)

    def intervals(self, index: jax.Array) -> jax.Array:
        """The intervals [..., L] in which each level chooses on the way to cells [...]; the first is the whole."""
        return index[..., None] // self.bins ** jnp.arange(self.levels, 0, -1)

    def choices(self, index: jax.Array) -> jax.Array:
        """What each level chooses on that way, [..., L] in 0 .. n - 1."""
        return index[..., None] // self.bins ** jnp.arange(self.levels - 1, -1, -1) % self.bins

    def nearest(self, action: jax.Array) -> jax.Array:
        """Actions [...] moved to the centres of their cells."""
        return self.action(self.index(action))

    def sample(self, key: jax.Array, batch: int) -> jax.Array:
        """See `Continuous.sample`."""
        return self.action(jax.random.randint(key, (batch, self.size), 0, self.bins**self.levels))

    def __str__(self) -> str:
        return f"{self.bins}^{self.levels} cells in each of {self.size} dimensions"


def with_actions(environment: Environment, spec: Continuous) -> Environment:
    """The same environment, of whose actions only those of `spec` are taken: a warm-up draws from them."""
    restricted = copy.copy(environment)
    restricted.action_spec = spec
    return restricted
