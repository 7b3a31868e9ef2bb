"""Robust Bellman errors by gradient-corrected saddle-point updates, without target network.

Patterson, Liao and White, Robust Losses for Learning Value Functions, 2022: the mean Huber and the mean absolute
projected Bellman error in their conjugate form `min_q max_h E[h δ - penalty(h)]`, h being learned by a second head.
"""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxq.agents.base import LearnerState, init_params
from jaxq.agents.q_learning import ActsByQLearning
from jaxq.bellman.arithmetic import value_of
from jaxq.envs.base import example_observation
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.networks import ActionValueHead
from jaxq.types import Metrics, PyTree, Transition


@dataclasses.dataclass(frozen=True)
class SaddlePointQLearning(ActsByQLearning):
    """Q-learning down the gradient of a robust Bellman error.

    With `δ = r + γ v(s') - q(s, a)`, whose mean in a state h regresses, and c, which clips to ±κ (Huber) or takes the
    sign (absolute), values move along `(c(h) + c'(h) (δ - h)) ∇q(s, a) - γ c(h) ∇v(s')`. The mean of the first factor
    is c of the mean error as far as c is straight, so that noise in the rewards moves no value; clipping the errors of
    samples would, towards their median. Without clipping it is δ, and all is QRC (Ghiassian et al., Gradient
    Temporal-Difference Learning with Regularized Corrections, 2020, section 4): h is a linear function of the value
    network's last features, into which it sends no gradient, begins at zero, and has a penalty β/2 |θ_h|² on its
    weights, as its authors' code does with deep networks, but that there the weights of each action learn from the mean
    over its own samples of a batch, and have no bias. Of the Huber and the absolute error no code of the authors is
    known to us: their conjugate form has c(h) for the first factor, and what is added here is what QRC adds.

    Attributes:
      base: network with submodules `torso` and `head`, operator, optimizer and numbers, and no targets: `()`.
      num_actions: A.
      error: the Bellman error that is minimized; `squared` has no clipping.
      threshold: κ of `huber`.
      penalty: β, of the weights of h; 1 in QRC. The sign of h, which is what `absolute` takes of it, bears less.
    """

    num_actions: int
    error: Literal["squared", "huber", "absolute"] = "huber"
    threshold: float = 1.0
    penalty: float = 1.0

    def __post_init__(self) -> None:
        require(self.threshold > 0, "huber_threshold", self.threshold, "positive")
        require(self.penalty >= 0, "penalty", self.penalty, "0 or more")
        require(self.base.representation.width == 1, "representation", self.base.representation, "of one scalar")

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`; the parameters are `values` and `correction`, and there are no target parameters."""
        values_key, correction_key = streams(key, "values", "correction")
        observation = example_observation(self.base.observation_spec)
        values = init_params(self.base.network, values_key, observation)
        correction = init_params(self._correction, correction_key, self._features(values, observation))
        params = {"values": values, "correction": jax.tree.map(jnp.zeros_like, correction)}
        return LearnerState.start(params, self.base.optimizer, self.base.hyper)

    @property
    def _correction(self) -> ActionValueHead:
        return ActionValueHead(self.num_actions)

    def _features(self, params: PyTree, observation: PyTree) -> jax.Array:
        network: Any = self.base.network
        return network.torso.apply({"params": params["params"].get("torso", {})}, observation)

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

    def slope(self, estimate: jax.Array) -> jax.Array:
        """c': of what is clipped, zero."""
        match self.error:
            case "squared":
                return jnp.ones_like(estimate)
            case "huber":
                return (jnp.abs(estimate) < self.threshold).astype(estimate.dtype)
            case "absolute":
                return jnp.zeros_like(estimate)

    def update(self, state: LearnerState, batch: Transition, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
        hyper, stop = state.hyper, jax.lax.stop_gradient
        learn_key, backup_key = streams(key, "learn", "backup")
        outcome = self.base.outcome(hyper, batch)
        head: Any = self._correction

        def objective(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            values = params["values"]
            q = self.base.taken(values, batch, "learn", learn_key)[:, 0]
            # With the learner's own values in the target's place, and a gradient through them.
            target = self.base.backup(hyper, values, values, outcome, backup_key)[:, 0]
            corrections = head.apply(params["correction"], stop(self._features(values, batch.observation)))[..., 0]
            h = value_of(corrections, batch.action)
            error = stop(target - q)
            of_values = stop(self.clip(h)) * target - stop(self.clip(h) + self.slope(h) * (error - h)) * q
            of_correction = 0.5 * (error - h) ** 2
            size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params["correction"]))
            value = jnp.mean(batch.weight * (of_values + of_correction)) + 0.5 * self.penalty * size
            absolute = jnp.abs(error)
            loss = jnp.mean(batch.weight * absolute)
            return value, ({"loss": loss, "mean_q": jnp.mean(q), "correction": jnp.mean(jnp.abs(h))}, absolute)

        gradient, (metrics, priority) = jax.grad(objective, has_aux=True)(state.params)
        return state.descend(self.base.optimizer, gradient), metrics, priority
