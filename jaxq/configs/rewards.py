"""What rewards are worth to who learns from them."""

import dataclasses
from typing import Any

from jaxq import envs
from jaxq.agents import OffPolicyAgent, OnPolicyAgent, RisingCosts
from jaxq.configs.axis import Axis
from jaxq.envs import Continuous, Environment
from jaxq.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discount(Axis):
    """How the future counts."""

    discount: float = 0.99
    """γ, how much a reward one step later is worth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardClip(Axis):
    """A bound on rewards."""

    reward_clip: float = float("inf")
    """Rewards are clipped to plus or minus this."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardShift(Axis):
    """A constant on every reward."""

    reward_shift: float = 0.0
    """Added to every reward that is learned from; a negative one makes the start optimistic."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs(Axis):
    """What rewards cost, where environments tell it.

    It changes how environments are made, and so comes before `ContinuousEnvironments` among the bases of a `Config`.
    """

    initial_cost_weight: float | None = None
    """What rewards cost counts so much at first, and is not cut off with them; none given: as rewarded."""
    cost_steps: int = 10_000_000
    """Steps of all environments of a seed in which it rises, by equal factors, to 1."""

    def make_environments(
        self, in_training: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Environment, Environment, Continuous]:
        """See `ContinuousEnvironments.make_environments`.

        Raises:
          InputError: if costs are to count less where they are not told.
        """
        own: Any = self
        if self.initial_cost_weight is not None and envs.split_name(own.env)[0] == "envpool":
            in_training = {**(in_training or {}), "costs_apart": True}
        environments: Any = super()
        return environments.make_environments(in_training, **options)

    def weighing_costs(self, agent: OffPolicyAgent | OnPolicyAgent, environment: Environment) -> Any:
        """The agent, for whom costs rise.

        Raises:
          InputError: if the environment, that of training, does not tell them.
        """
        if self.initial_cost_weight is None:
            return agent
        told = environment.reward_shape == (2,)
        require(told, "env", environment.name, "one whose rewards are gains and costs, where costs are weighed")
        return RisingCosts(agent, self.initial_cost_weight, self.cost_steps)
