"""The axes of actor-critics that learn from soft λ-returns of rollouts, and their assembly."""

import dataclasses
from typing import Any

from jaxq.agents import LambdaActorCritic, LambdaActorCriticHyperparameters
from jaxq.bellman import ScalarTarget
from jaxq.configs.actor_critic import action_size, require_target_entropy
from jaxq.configs.environments import ContinuousEnvironments
from jaxq.configs.loops import FromRollouts
from jaxq.configs.rewards import Discount
from jaxq.envs import Environment
from jaxq.errors import named
from jaxq.types import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class LambdaActorCriticLearner(Discount, FromRollouts, ContinuousEnvironments):
    """Actor and critic from rollouts. A further axis is to make the optimizer."""

    env: str = "gymnax/Pendulum-v1"
    eval_episodes: int = 8
    trace: float = 0.95
    """λ of the returns."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this before learning."""
    target_entropy_per_dimension: float = -0.5
    """Target entropy in nats, for each action dimension."""
    initial_temperature: float = 0.01
    """α before tuning."""

    def make_lambda_actor_critic(
        self, environment: Environment, actor: Network, critic: Network, representation: ScalarTarget, **numbers: Any
    ) -> LambdaActorCritic:
        """The agent of these objects.

        Args:
          environment: in which it acts.
          actor, critic, representation: as of `LambdaActorCritic`.
          numbers: further fields of `LambdaActorCriticHyperparameters`.

        Raises:
          InputError: for numbers that are not allowed.
        """
        own: Any = self
        require_target_entropy(self.target_entropy_per_dimension)
        with named(temperature="initial_temperature"):
            hyper = LambdaActorCriticHyperparameters(
                learning_rate=own.make_step_sizes(self.total_updates),
                target_entropy=self.target_entropy_per_dimension * action_size(environment),
                temperature=self.initial_temperature,
                discount=self.discount,
                trace=self.trace,
                reward_scale=self.reward_scale,
                **numbers,
            )
        return LambdaActorCritic(
            actor=actor,
            critic=critic,
            observation_spec=environment.observation_spec,
            action_spec=environment.action_spec,  # type: ignore[arg-type]
            optimizer=own.make_optimizer(),
            hyper=hyper,
            representation=representation,
            epochs=self.make_epochs(),
        )
