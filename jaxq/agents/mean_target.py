"""Ensembles of Q-networks that back up the mean of their targets: the pair of DecQN, and REValueD.

Not those that follow one member for an episode, each with a target of its own: they are in `ensemble.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxq.agents.decompositions import MeanOfParts
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.bellman import Averages, Scalar, require_averages
from jaxq.bellman.arithmetic import chosen
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.networks import Mode
from jaxq.types import Metrics, Outcome, PyTree, Transition


@dataclasses.dataclass(frozen=True)
class MeanTargetQLearning(QLearning):
    """M networks that all back up the mean of their targets, and act on the largest of their values.

    The pair of critics of DecQN (Seyde et al., Solving Continuous Control via Q-Learning, 2023, their code). Of the
    next actions a double backup takes each member's own best, so that their targets may differ. The network is an
    `Ensemble`, whose predictions are [M, B, *parts, A, W]; the loss is the sum of the members'.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require_averages(self.representation)

    def behaviour(self, values: jax.Array, key: jax.Array) -> jax.Array:
        """See `QLearning.behaviour`, of the members' values [M, E, *parts, A]: the largest."""
        del key
        return jnp.max(values, axis=0)

    def verdict(self, values: jax.Array) -> jax.Array:
        """See `QLearning.verdict`, of the members' values [M, E, *parts, A]: the largest."""
        return jnp.max(values, axis=0)

    def objective(
        self, hyper: QLearningHyperparameters, params: PyTree, target_params: PyTree, batch: Transition, key: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
        """See `QLearning.objective`."""
        representation = self.representation
        learn_key, backup_key, penalty_key = streams(key, "learn", "backup", "penalty")
        outcome = self.outcome(hyper, batch)
        target = jax.lax.stop_gradient(self.backup(hyper, params, target_params, outcome, backup_key))
        predictions = self.predict(params, batch.observation, "learn", learn_key)
        choice = self.actions.choice(batch.action)
        taken = jax.vmap(lambda own: self.actions.taken(representation, own, choice))(predictions)  # [M, B, W]
        losses = jax.vmap(representation.loss)(taken, target)  # [M, B]
        losses = losses + self.penalty(target_params, batch, predictions, target, penalty_key)
        loss = jnp.sum(jnp.mean(batch.weight * losses, axis=1))
        priority = jax.vmap(representation.priority)(taken, target).mean(axis=0)
        return loss, ({"loss": loss, "mean_q": jnp.mean(representation.value(taken))}, priority)

    def penalty(
        self, target_params: PyTree, batch: Transition, predictions: jax.Array, target: jax.Array, key: jax.Array
    ) -> jax.Array:
        """What is added to the losses [M, B] of predictions [M, B, *parts, A, W] for targets [M, B, T]: nothing."""
        del target_params, batch, predictions, target, key
        return jnp.float32(0.0)

    def backup(
        self, hyper: QLearningHyperparameters, params: PyTree, target_params: PyTree, outcome: Outcome, key: jax.Array
    ) -> jax.Array:
        """See `QLearning.backup`: for each member, [M, B, T]."""
        target_key, online_key, bonus_key = streams(key, "target", "next action", "bonus")
        representation, following = self.representation, outcome.next_observation
        assert isinstance(representation, Averages)
        average, choice = representation.averaged, self.actions.choice(outcome.action)

        def mean(observation: PyTree, mode: Mode, key: jax.Array) -> jax.Array:
            return average(jnp.moveaxis(self.predict(target_params, observation, mode, key), 0, -2))

        next_prediction = mean(following, "target", target_key)
        q_target = representation.value(mean(outcome.observation, "act", bonus_key))

        def own(next_q_online: jax.Array) -> jax.Array:
            return self.actions.backup(
                representation,
                hyper.operator,
                outcome.reward,
                outcome.discount,
                next_prediction,
                next_q_online,
                q_target,
                choice,
            )

        return jax.vmap(own)(representation.value(self.predict(params, following, "act", online_key)))


@dataclasses.dataclass(frozen=True)
class REValueD(MeanTargetQLearning):
    """An ensemble whose mean makes the target, with a regularization of the decomposition.

    Ireland and Montana, REValueD: Regularised Ensemble Value-Decomposition for Factorisable Markov Decision Processes,
    2024. The target is the backup of the mean of the target networks; behaviour follows a member that every
    environment draws at every step, evaluation the mean.

    The regularization keeps a dimension's value from being moved by what the others explored: with `δ_i = y - Q_i(s,
    a_i)` and `w_i = 1 - exp(-|δ_i|)` it is `1/D Σ_i w_i loss(Q_i(s, a_i) - Q̄_i(s, a_i))`, Q̄ being the mean of the
    target networks and w a constant. The term and its weights are the paper's (section 4.2); that the distance is the
    loss of the representation (Huber's), and that all members have one anchor, is how we read it, and the code that the
    authors released has no such term to tell. Losses are summed over the members, as in the paper; that code takes
    their mean.

    Attributes:
      regularization: β, its weight; 0.5 in the paper.
    """

    regularization: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.regularization >= 0, "regularization", self.regularization, "0 or more")
        kind = type(self.representation).__name__
        require(isinstance(self.representation, Scalar), "representation", kind, "Scalar")
        decomposition = type(self.actions).__name__
        require(isinstance(self.actions, MeanOfParts), "actions", decomposition, "MeanOfParts, which it regularizes")

    def behaviour(self, values: jax.Array, key: jax.Array) -> jax.Array:
        """See `MeanTargetQLearning.behaviour`: a random member's."""
        envs = values.shape[1]
        return values[jax.random.randint(key, (envs,), 0, values.shape[0]), jnp.arange(envs)]

    def verdict(self, values: jax.Array) -> jax.Array:
        """See `MeanTargetQLearning.verdict`: their mean."""
        return jnp.mean(values, axis=0)

    def penalty(
        self, target_params: PyTree, batch: Transition, predictions: jax.Array, target: jax.Array, key: jax.Array
    ) -> jax.Array:
        """See `MeanTargetQLearning.penalty`: the regularization, [M, B]."""
        choice = self.actions.choice(batch.action)
        value = self.representation.value
        parts = chosen(predictions, choice)  # [M, B, D, 1]
        anchors = jnp.mean(self.predict(target_params, batch.observation, "target", key), axis=0)
        anchor = jax.lax.stop_gradient(chosen(anchors, choice))  # [B, D, 1]
        weight = jax.lax.stop_gradient(1.0 - jnp.exp(-jnp.abs(value(target)[..., None] - value(parts))))
        return self.regularization * jnp.mean(weight * self.representation.loss(parts, anchor), axis=-1)
