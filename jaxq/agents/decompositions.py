"""What an action of a Q-learner is made of, and so how its value is made of what the network predicts.

`Undivided` is the discrete agent's: one choice among A. `MeanOfParts` makes a continuous action of a choice in each
dimension. Choices are what exploration selects and operators weigh; actions are what environment and replay know.
"""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxq.bellman import Averages, Representation, backup, require_averages
from jaxq.bellman.arithmetic import chosen
from jaxq.bellman.operators import Operator
from jaxq.envs.discretized import Bins


class Decomposition(Protocol):
    """What a Q-learner needs of one. Predictions are [B, *parts, A, W], choices [B, *parts] int32 in 0 .. A - 1."""

    def action(self, choice: jax.Array) -> jax.Array:
        """The actions of choices, [B, ...]."""

    def choice(self, action: jax.Array) -> jax.Array:
        """The choices of actions."""

    def taken(self, representation: Representation, predictions: jax.Array, choice: jax.Array) -> jax.Array:
        """The predictions of whole actions, [B, W]."""

    def backup(
        self,
        representation: Representation,
        operator: Operator,
        reward: jax.Array,
        discount: jax.Array,
        next_prediction: jax.Array,
        next_q_online: jax.Array,
        q_target: jax.Array,
        choice: jax.Array,
    ) -> jax.Array:
        """As `bellman.backup`, of predictions [B, *parts, A, W] and values [B, *parts, A]."""

    def check(self, representation: Representation) -> None:
        """Raise `InputError` if values of this representation cannot be put together."""


@dataclasses.dataclass(frozen=True)
class Undivided:
    """One choice, which is the action."""

    def action(self, choice: jax.Array) -> jax.Array:
        """See `Decomposition.action`."""
        return choice

    def choice(self, action: jax.Array) -> jax.Array:
        """See `Decomposition.choice`."""
        return action

    def taken(self, representation: Representation, predictions: jax.Array, choice: jax.Array) -> jax.Array:
        """See `Decomposition.taken`."""
        del representation
        return chosen(predictions, choice)

    def backup(
        self,
        representation: Representation,
        operator: Operator,
        reward: jax.Array,
        discount: jax.Array,
        next_prediction: jax.Array,
        next_q_online: jax.Array,
        q_target: jax.Array,
        choice: jax.Array,
    ) -> jax.Array:
        """See `Decomposition.backup`."""
        return backup(representation, operator, reward, discount, next_prediction, next_q_online, q_target, choice)

    def check(self, representation: Representation) -> None:
        """See `Decomposition.check`: all can."""


@dataclasses.dataclass(frozen=True)
class MeanOfParts:
    """A choice in each of D dimensions, worth their mean: `Q(s, a) = 1/D Σ_i Q_i(s, a_i)`.

    Seyde et al., Solving Continuous Control via Q-Learning (DecQN), 2023, eq. 2. The value of an action is the sum of D
    values `Q_i / D`, so that its greedy action, its softmax policy and that policy's entropy are made of the parts'
    own: operators weigh each part by itself, at their own temperature, and their bonuses add up. (Munchausen's floor
    is then one for the log-policy of each part.) Distributions are averaged as `Averages.averaged` has it:
    quantile functions pointwise, probabilities as a mixture. Such a mixture is wider than the return, which no
    choice of the parts' distributions makes up for: quantiles suit this better.

    Attributes:
      bins: of the actions.
    """

    bins: Bins

    def action(self, choice: jax.Array) -> jax.Array:
        """See `Decomposition.action`: [B, D]."""
        return self.bins.action(choice)

    def choice(self, action: jax.Array) -> jax.Array:
        """See `Decomposition.choice`: [B, D]."""
        return self.bins.choice(action)

    def taken(self, representation: Representation, predictions: jax.Array, choice: jax.Array) -> jax.Array:
        """See `Decomposition.taken`, of predictions [B, D, A, W]."""
        assert isinstance(representation, Averages)
        return representation.averaged(chosen(predictions, choice))

    def backup(
        self,
        representation: Representation,
        operator: Operator,
        reward: jax.Array,
        discount: jax.Array,
        next_prediction: jax.Array,
        next_q_online: jax.Array,
        q_target: jax.Array,
        choice: jax.Array,
    ) -> jax.Array:
        """See `Decomposition.backup`: with the maximum, the mean of the parts' maxima."""
        batch, parts, actions, _ = next_prediction.shape
        next_q_target = representation.value(next_prediction) / parts
        weights = operator.weights(next_q_online / parts, next_q_target) / parts
        if operator.adds_to_rewards:
            bonus = operator.bonus(q_target / parts, choice, discount[:, None], next_q_target)
            reward = reward + jnp.sum(bonus, axis=1)
        # A mean of parts is a mixture of all their choices.
        mixed = next_prediction.reshape(batch, parts * actions, -1)
        return representation.target(reward, discount, mixed, weights.reshape(batch, parts * actions))

    def check(self, representation: Representation) -> None:
        """See `Decomposition.check`."""
        require_averages(representation)
