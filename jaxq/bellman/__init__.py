"""Bellman operators, return representations and multi-step returns: jnp in, jnp out, nothing of networks or agents."""

from jaxq.bellman import operators
from jaxq.bellman.returns import n_step_return
from jaxq.bellman.scalar import Scalar, huber

__all__ = ["Scalar", "huber", "n_step_return", "operators"]
