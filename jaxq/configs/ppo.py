"""The axes that PPO and its kin have, and their assembly."""

import dataclasses
from typing import Any

from jaxq.agents import PPO, PPOHyperparameters
from jaxq.configs.axis import Axis
from jaxq.configs.loops import FromRollouts
from jaxq.configs.optimizers import Adam
from jaxq.configs.rewards import Discount
from jaxq.envs import Environment
from jaxq.types import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPOLearner(Discount, Adam, FromRollouts, Axis):
    """PPO from rollouts. Numbers that are not fields here are given to `make_ppo`."""

    trace: float = 0.95
    """λ of the generalized advantages."""
    clip: float = 0.2
    """How far a ratio of probabilities counts."""
    entropy_weight: float = 0.0
    """Of the entropy bonus."""
    value_weight: float = 0.5
    """Of the values' loss."""

    def make_ppo(
        self,
        environment: Environment,
        network: Network,
        kind: type[PPO] = PPO,
        *,
        hyper: dict[str, Any] | None = None,
        **choices: Any,
    ) -> PPO:
        """The agent of these objects.

        Args:
          environment: whose observations it sees.
          network: as of `PPO`.
          kind: of the agent.
          hyper: further fields of `PPOHyperparameters`.
          choices: further fields of the agent.

        Raises:
          InputError: for numbers that are not allowed.
        """
        return kind(
            network=network,
            observation_spec=environment.observation_spec,
            optimizer=self.make_optimizer(),
            hyper=PPOHyperparameters(
                learning_rate=self.make_step_sizes(self.total_updates),
                discount=self.discount,
                trace=self.trace,
                clip=self.clip,
                entropy_weight=self.entropy_weight,
                value_weight=self.value_weight,
                **(hyper or {}),
            ),
            epochs=self.make_epochs(),
            **choices,
        )
