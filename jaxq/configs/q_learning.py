"""The axes that all Q-learners have, and their assembly."""

import dataclasses
from typing import Any, TypeVar

import optax

from jaxq.agents import LambdaQHyperparameters, LambdaQLearning, QLearning, QLearningHyperparameters
from jaxq.agents.exploration import Exploration as Strategy
from jaxq.bellman import Channels, Representation, ScalarTarget, as_given, operators
from jaxq.configs.environments import DiscreteEnvironments
from jaxq.configs.exploration import Exploration
from jaxq.configs.loops import FromReplay, FromRollouts
from jaxq.configs.optimizers import Adam, RAdam
from jaxq.configs.rewards import Discount, RewardClip, RewardShift
from jaxq.envs import Environment
from jaxq.types import Network

NumbersT = TypeVar("NumbersT", bound=QLearningHyperparameters)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QLearnerOfAny(Adam, RewardShift, RewardClip, FromReplay):
    """Q-learning from replay, whatever the actions.

    What is not given to its functions is made by the axis of that name.
    """

    def make_hyperparameters(
        self,
        *,
        operator: operators.Operator | None = None,
        exploration: Strategy | None = None,
        targets: Any = None,
        discount: float | None = None,
        kind: type[NumbersT] = QLearningHyperparameters,  # type: ignore[assignment]
        **settings: Any,
    ) -> NumbersT:
        """The agent's numbers; `settings` are further fields of its `kind`.

        Raises:
          InputError: for numbers that are not allowed.
        """
        own: Any = self
        return kind(
            learning_rate=self.make_step_sizes(self.total_updates),
            exploration=own.make_exploration() if exploration is None else exploration,
            target=own.make_targets() if targets is None else targets,
            operator=own.make_operator() if operator is None else operator,
            discount=own.discount if discount is None else discount,
            reward_clip=self.reward_clip,
            reward_shift=self.reward_shift,
            **settings,
        )

    def make_q_learner(
        self,
        environment: Environment,
        network: Network,
        representation: Representation,
        *,
        optimizer: optax.GradientTransformation | None = None,
        channels: Channels = as_given,
        kind: type[QLearning] = QLearning,
        choices: dict[str, Any] | None = None,
        **numbers: Any,
    ) -> QLearning:
        """The agent of these objects.

        Args:
          environment: whose observations it sees.
          network, representation: as of `QLearning`.
          optimizer: Adam unless given.
          channels: as of `QLearning`.
          kind: of the agent.
          choices: further fields of it.
          numbers: as of `make_hyperparameters`.

        Raises:
          InputError: for numbers that are not allowed.
        """
        return kind(
            network=network,
            observation_spec=environment.observation_spec,
            optimizer=self.make_optimizer() if optimizer is None else optimizer,
            hyper=self.make_hyperparameters(**numbers),
            representation=representation,
            channels=channels,
            **(choices or {}),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class QLearner(QLearnerOfAny, DiscreteEnvironments):
    """Q-learning from replay with discrete actions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LambdaQLearner(RAdam, Exploration, Discount, RewardClip, FromRollouts, DiscreteEnvironments):
    """Q-learning from λ-returns over parallel environments; defaults are those of PQN's authors' code."""

    learning_rate: float = 5e-4
    learning_rate_final: float | None = 0.0
    max_gradient_norm: float = 10.0
    trace: float = 0.65
    """λ of the returns."""

    def make_lambda_q_learner(
        self,
        environment: Environment,
        network: Network,
        representation: ScalarTarget,
        kind: type[LambdaQLearning] = LambdaQLearning,
        **settings: Any,
    ) -> LambdaQLearning:
        """The agent of these objects; `settings` are further fields of its `kind`.

        Raises:
          InputError: for numbers that are not allowed.
        """
        return kind(
            network=network,
            observation_spec=environment.observation_spec,
            optimizer=self.make_optimizer(),
            hyper=LambdaQHyperparameters(
                learning_rate=self.make_step_sizes(self.total_updates),
                exploration=self.make_exploration(),
                discount=self.discount,
                trace=self.trace,
                reward_clip=self.reward_clip,
            ),
            representation=representation,
            epochs=self.make_epochs(),
            **settings,
        )
