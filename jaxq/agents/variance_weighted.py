"""Deep variance weighting: regression on targets, each weighted by the inverse of its variance.

Kitamura et al., Regularization and Variance-Weighted Regression Achieves Minimax Optimality in Linear MDPs: Theory and
Practice, 2023. With the Munchausen operator, whose regularization is that of MDVI, it is their deep agent.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import LearnerState, descend, init_params
from jaxq.agents.q_learning import ActsByQLearning
from jaxq.bellman import huber
from jaxq.bellman.arithmetic import value_of
from jaxq.envs.base import example_observation
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.types import Metrics, Network, PyTree, Transition


class VarianceWeightedState(struct.PyTreeNode):
    """All of the agent that changes.

    Attributes:
      values: of the Q-learner.
      previous: parameters of the target before the present one, by whose backup that was learned.
      variance, target_variance, variance_optimizer: parameters and optimizer state of the variance network.
    """

    values: LearnerState
    previous: PyTree
    variance: PyTree
    target_variance: PyTree
    variance_optimizer: PyTree


@dataclasses.dataclass(frozen=True)
class VarianceWeightedQLearning(ActsByQLearning):
    """A Q-learner and a network for the variance of its targets.

    The variance network learns the squared error of the target network's values, with a Huber loss: against the backup
    of the target before it, which they were regressed on, so that what is left is noise (the authors' code). Its own
    target copy, renewed with the values' one, gives the weights `1 / variance`, over their mean in the batch, and at
    least `smallest_weight`. The paper tunes one scale for all weights instead; the mean of the batch serves the same
    end.

    Attributes:
      base: the Q-learner, with a scalar representation.
      variance_network: [B, ...] -> [B, A, 1]; the variance is its exponential and `smallest`.
      smallest: what is added to variances, so that no sample outweighs all others.
      smallest_weight: below which a weight is this, so that something is learned from every sample.
    """

    variance_network: Network
    smallest: float = 0.1
    smallest_weight: float = 0.1

    def __post_init__(self) -> None:
        require(self.smallest > 0, "smallest_variance", self.smallest, "positive")
        require(0 <= self.smallest_weight < 1, "smallest_weight", self.smallest_weight, "in [0, 1)")
        require(self.base.representation.width == 1, "representation", self.base.representation, "of one scalar")

    def init(self, key: jax.Array) -> VarianceWeightedState:
        """See `Agent.init`."""
        values_key, variance_key = streams(key, "values", "variance")
        observation = example_observation(self.base.observation_spec)
        variance = init_params(self.variance_network, variance_key, observation)
        values = self.base.init(values_key)
        previous, copy = (jax.tree.map(jnp.copy, tree) for tree in (values.target_params, variance))
        return VarianceWeightedState(values, previous, variance, copy, self.base.optimizer.init(variance))

    def acting(self, state: VarianceWeightedState, key: jax.Array) -> LearnerState:
        """See `ActsByQLearning.acting`."""
        del key
        return state.values

    def variances(self, params: PyTree, batch: Transition) -> jax.Array:
        """Of the return after each transition's state and action, [B]."""
        predictions = self.variance_network.apply(params, batch.observation)[..., 0]
        return jnp.exp(value_of(predictions, batch.action)) + self.smallest

    def update(
        self, state: VarianceWeightedState, batch: Transition, key: jax.Array
    ) -> tuple[VarianceWeightedState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
        values, hyper = state.values, state.values.hyper
        update_key, backup_key, taken_key = streams(key, "update", "variance's backup", "variance's value")
        inverse = 1.0 / self.variances(state.target_variance, batch)
        weights = jnp.maximum(inverse / jnp.mean(inverse), self.smallest_weight)
        weighted = batch.replace(weight=batch.weight * weights)
        new_values, metrics, priority = self.base.update(values, weighted, update_key)

        outcome = self.base.outcome(hyper, batch)
        target = self.base.backup(hyper, values.params, state.previous, outcome, backup_key)[:, 0]
        taken = self.base.taken(values.target_params, batch, "act", taken_key)[:, 0]
        squared_error = jax.lax.stop_gradient((target - taken) ** 2)

        def loss(params: PyTree) -> jax.Array:
            return jnp.mean(batch.weight * huber(self.variances(params, batch) - squared_error, 1.0))

        value, gradient = jax.value_and_grad(loss)(state.variance)
        rate = hyper.learning_rate.at(values.updates)
        variance, optimizer = descend(self.base.optimizer, gradient, state.variance_optimizer, state.variance, rate)
        target_variance = hyper.target.step(state.target_variance, variance, new_values.updates)
        previous = hyper.target.step(state.previous, values.target_params, new_values.updates)
        state = VarianceWeightedState(new_values, previous, variance, target_variance, optimizer)
        return state, {**metrics, "variance_loss": value, "variance": jnp.mean(1.0 / inverse)}, priority
