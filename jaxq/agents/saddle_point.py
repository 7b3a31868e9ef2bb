"""Robust Bellman errors by gradient-corrected saddle-point updates, without target network.

Patterson, Liao and White, Robust Losses for Learning Value Functions, 2022: the mean Huber and the mean absolute
projected Bellman error in their conjugate form `min_q max_h E[h δ - penalty(h)]`, h being learned by a second network.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from jaxq.agents.base import LearnerState, example_observation
from jaxq.agents.q_learning import ActsByQLearning
from jaxq.errors import require
from jaxq.networks import SAMPLES
from jaxq.types import Metrics, Network, PyTree, Transition


@dataclasses.dataclass(frozen=True)
class SaddlePointQLearning(ActsByQLearning):
    """Q-learning down the gradient of a robust Bellman error.

    With `δ = r + γ v(s') - q(s, a)` and `c(δ)` the error clipped to ±κ (Huber) or its sign (absolute), values move
    along `c(δ) ∇q(s, a) - γ c(h) ∇v(s')`: the correction is what plain Q-learning leaves out. The second network
    regresses δ, with a penalty on its size as in QRC (Ghiassian et al., 2020).

    Attributes:
      base: network, operator, optimizer and numbers, the target schedule None.
      correction_network: [B, ...] -> [B, A, 1], h.
      error: the Bellman error that is minimized; `squared` has no clipping.
      threshold: κ of `huber`.
      penalty: of h squared; 1 in QRC.
    """

    correction_network: Network
    error: Literal["squared", "huber", "absolute"] = "huber"
    threshold: float = 1.0
    penalty: float = 1.0

    def __post_init__(self) -> None:
        require(self.threshold > 0, "huber_threshold", self.threshold, "positive")
        require(self.penalty >= 0, "penalty", self.penalty, "0 or more")
        require(self.base.representation.width == 1, "representation", self.base.representation, "of one scalar")

    def init(self, key: jax.Array) -> LearnerState:
        """See `Actor.init`; the parameters are `values` and `correction`, and there are no target parameters."""
        values_key, correction_key = jax.random.split(key)
        observation = example_observation(self.base.observation_spec)
        params = {
            name: network.init({"params": key, SAMPLES: key}, observation)
            for name, network, key in (
                ("values", self.base.network, values_key),
                ("correction", self.correction_network, correction_key),
            )
        }
        return LearnerState.start(params, self.base.optimizer, self.base.hyper)

    def acting(self, state: LearnerState, key: jax.Array) -> LearnerState:
        """See `ActsByQLearning.acting`."""
        del key
        return state.replace(params=state.params["values"])

    def clip(self, error: jax.Array) -> jax.Array:
        """c: the derivative of the error's loss."""
        match self.error:
            case "squared":
                return error
            case "huber":
                return jnp.clip(error, -self.threshold, self.threshold)
            case "absolute":
                return jnp.sign(error)

    def update(self, state: LearnerState, batch: Transition, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `Agent.update`."""
        hyper, stop = state.hyper, jax.lax.stop_gradient

        def objective(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            q = self.base.taken(params["values"], batch, "learn", jax.random.fold_in(key, 0))[:, 0]
            # With the learner's own values in the target's place, and a gradient through them.
            target = self.base.backup(hyper, params["values"], params["values"], batch, key)[:, 0]
            corrections = self.correction_network.apply(params["correction"], batch.observation)[..., 0]
            h = jnp.sum(corrections * jax.nn.one_hot(batch.action, corrections.shape[1]), axis=1)
            error = stop(target - q)
            of_values = stop(self.clip(h)) * target - self.clip(error) * q
            of_correction = 0.5 * (error - h) ** 2 + 0.5 * self.penalty * h**2
            value = jnp.mean(batch.weight * (of_values + of_correction))
            absolute = jnp.abs(error)
            loss = jnp.mean(batch.weight * absolute)
            return value, ({"loss": loss, "mean_q": jnp.mean(q), "correction": jnp.mean(jnp.abs(h))}, absolute)

        gradient, (metrics, priority) = jax.grad(objective, has_aux=True)(state.params)
        return state.descend(self.base.optimizer, gradient), metrics, priority
