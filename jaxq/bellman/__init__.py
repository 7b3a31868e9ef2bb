"""Bellman operators, return representations and multi-step returns: jnp in, jnp out, nothing of networks or agents."""

from jaxq.bellman import operators
from jaxq.bellman.base import Representation, ScalarTarget
from jaxq.bellman.categorical import Categorical, HLGauss, Support, TwoHot
from jaxq.bellman.mappings import Mapped, SignedHyperbolic, Symlog
from jaxq.bellman.quantile import Expectile, ImplicitQuantile, Quantile
from jaxq.bellman.returns import lambda_return, n_step_return, peng_cut, retrace_return, watkins_cut
from jaxq.bellman.scalar import Scalar, huber

__all__ = [
    "Categorical",
    "Expectile",
    "HLGauss",
    "ImplicitQuantile",
    "Mapped",
    "Quantile",
    "Representation",
    "Scalar",
    "ScalarTarget",
    "SignedHyperbolic",
    "Support",
    "Symlog",
    "TwoHot",
    "huber",
    "lambda_return",
    "n_step_return",
    "operators",
    "peng_cut",
    "retrace_return",
    "watkins_cut",
]
