"""Bellman operators, return representations and multi-step returns: jnp in, jnp out, nothing of networks or agents."""

from jaxq.bellman import operators, risk
from jaxq.bellman.backups import backup
from jaxq.bellman.base import Averages, Distributional, EachPart, Representation, ScalarTarget, require_averages
from jaxq.bellman.categorical import Categorical, HLGauss, Support, SymexpSupport, TwoHot
from jaxq.bellman.channels import (
    ByMagnitude,
    Channels,
    Decomposed,
    HybridReward,
    as_given,
    by_sign,
    by_sign_and_size,
    gains_and_losses,
)
from jaxq.bellman.games import solve_matrix_game
from jaxq.bellman.gaussian import Gaussian, ScaledGaussian
from jaxq.bellman.mappings import Identity, Logarithmic, Mapped, SignedHyperbolic, Symlog
from jaxq.bellman.particles import Particles
from jaxq.bellman.quantile import Expectile, FullyParameterizedQuantile, ImplicitQuantile, IntervalQuantile, Quantile
from jaxq.bellman.reductions import First, Mean, Minimum, Own, Pessimistic, RandomSubset, Reduction, Truncated
from jaxq.bellman.returns import (
    before_end,
    cut_at_end,
    lambda_return,
    n_step_return,
    peng_cut,
    retrace_return,
    segment_returns,
    watkins_cut,
)
from jaxq.bellman.risk import RiskSensitive, StockAugmented
from jaxq.bellman.scalar import ItakuraSaito, Scalar, huber

__all__ = [
    "Averages",
    "ByMagnitude",
    "Categorical",
    "Channels",
    "Decomposed",
    "Distributional",
    "EachPart",
    "Expectile",
    "First",
    "FullyParameterizedQuantile",
    "Gaussian",
    "HLGauss",
    "HybridReward",
    "Identity",
    "ImplicitQuantile",
    "IntervalQuantile",
    "ItakuraSaito",
    "Logarithmic",
    "Mapped",
    "Mean",
    "Minimum",
    "Own",
    "Particles",
    "Pessimistic",
    "Quantile",
    "RandomSubset",
    "Reduction",
    "Representation",
    "RiskSensitive",
    "Scalar",
    "ScalarTarget",
    "ScaledGaussian",
    "SignedHyperbolic",
    "StockAugmented",
    "Support",
    "SymexpSupport",
    "Symlog",
    "Truncated",
    "TwoHot",
    "as_given",
    "backup",
    "before_end",
    "by_sign",
    "by_sign_and_size",
    "cut_at_end",
    "gains_and_losses",
    "huber",
    "lambda_return",
    "n_step_return",
    "operators",
    "peng_cut",
    "require_averages",
    "retrace_return",
    "risk",
    "segment_returns",
    "solve_matrix_game",
    "watkins_cut",
]
