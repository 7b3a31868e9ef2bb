"""The one list of representations of the return: what is in it is held to everything that all of them must do."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.bellman import (
    Categorical,
    Decomposed,
    EachPart,
    Expectile,
    FullyParameterizedQuantile,
    Gaussian,
    HLGauss,
    HybridReward,
    ImplicitQuantile,
    IntervalQuantile,
    ItakuraSaito,
    Mapped,
    Particles,
    Quantile,
    RiskSensitive,
    Scalar,
    ScaledGaussian,
    SignedHyperbolic,
    StockAugmented,
    Support,
    Symlog,
    TwoHot,
    risk,
)

SUPPORT = Support(-6.0, 6.0, 49)


def mean_of_numbers(target: jax.Array) -> jax.Array:
    """Of targets whose numbers are equally likely."""
    return target.mean(axis=1)


def first_number(target: jax.Array) -> jax.Array:
    """Of targets that begin with it."""
    return target[:, 0]


def mean_of_atoms(target: jax.Array) -> jax.Array:
    """Of probabilities of the support's atoms."""
    return target @ SUPPORT.atoms


@dataclasses.dataclass(frozen=True)
class Case:
    """A representation, and what the tests must be told of it.

    Attributes:
      representation: small.
      target_mean: [B, T] -> [B], the mean of the return that a target stands for, where there is one to be read.
      tolerance: how close it comes to the exact values of a small MDP, whose range is about 4; None for those that
        learn something else there, which then have a test of their own.
      rate: the step size by which it does; smaller for those whose fractions pass through a network.
      backed_up: the representation whose means are backed up, where values are no means.
      special: (shape, key) -> a prediction, of representations that are told more than W numbers.
    """

    representation: Any
    target_mean: Callable[[jax.Array], jax.Array] = mean_of_numbers
    tolerance: float | None = None
    rate: float = 0.05
    backed_up: Any = None
    special: Callable[[tuple[int, ...], jax.Array | None], jax.Array] | None = None

    def prediction(self, shape: tuple[int, ...], key: jax.Array | None = None) -> jax.Array:
        """Predictions [*shape, W] such as a network gives: zeros, or small random numbers."""
        return self.special(shape, key) if self.special else drawn((*shape, self.representation.width), key)


def drawn(shape: tuple[int, ...], key: jax.Array | None) -> jax.Array:
    """Zeros, or small random numbers."""
    return jnp.zeros(shape) if key is None else 0.3 * jax.random.normal(key, shape)


def with_fractions(shape: tuple[int, ...], key: jax.Array | None) -> jax.Array:
    """Six quantiles and the fractions they are at."""
    size = (*shape, 6)
    fractions = jnp.full(size, 0.5) if key is None else jax.random.uniform(key, size)
    return jnp.concatenate([drawn(size, key), fractions], axis=-1)


def with_ends(shape: tuple[int, ...], key: jax.Array | None) -> jax.Array:
    """Four quantiles, the ends of their intervals, and three quantiles at those between them."""
    ends = jnp.broadcast_to(jnp.arange(1, 5) / 4, (*shape, 4))
    return jnp.concatenate([drawn((*shape, 4), key), ends, drawn((*shape, 3), key)], axis=-1)


CASES = {
    "scalar": Case(Scalar(), tolerance=0.01),
    "huber": Case(Scalar(1.0), tolerance=0.01),
    "categorical": Case(Categorical(SUPPORT), mean_of_atoms, tolerance=0.03),
    "two-hot": Case(TwoHot(SUPPORT), mean_of_atoms, tolerance=0.03),
    "hl-gauss": Case(HLGauss(SUPPORT), mean_of_atoms, tolerance=0.03),
    "quantile": Case(Quantile(7), tolerance=0.02),
    "implicit": Case(ImplicitQuantile(), tolerance=0.06, rate=0.01, special=with_fractions),
    "expectile": Case(Expectile(5), tolerance=0.02),
    "mapped": Case(Mapped(Scalar(), Symlog()), first_number, tolerance=0.02),
    "averaged": Case(Mapped(Scalar(), SignedHyperbolic(), averaging_rate=0.3), first_number),
    "gaussian": Case(Gaussian(0.05), first_number, tolerance=0.02),
    "particles": Case(Particles(6), tolerance=0.02),
    "fully parameterized": Case(FullyParameterizedQuantile(4), tolerance=0.06, rate=0.01, special=with_ends),
    "itakura-saito": Case(ItakuraSaito(0.5)),
    "risk-sensitive": Case(RiskSensitive(Quantile(7), risk.CPW()), backed_up=Quantile(7)),
}
# Those that are made of others, or whose critics are of motors: with tests of their own.
ELSEWHERE = {Decomposed, EachPart, HybridReward, IntervalQuantile, ScaledGaussian, StockAugmented}
