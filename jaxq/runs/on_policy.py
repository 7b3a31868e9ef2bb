"""What every on-policy experiment shares beside its agent: the fields of rollouts, and their assembly."""

import dataclasses

from jaxq.agents import OnPolicyAgent
from jaxq.envs import Environment
from jaxq.errors import require
from jaxq.runs.config import RunConfig
from jaxq.training import Evaluation, OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicyConfig(RunConfig):
    """The fields of an agent that learns from rollouts."""

    num_envs: int = 128
    """Training environments of each seed."""
    discount: float = 0.99
    """γ, how much a reward one step later is worth."""
    rollout_steps: int = 32
    """Steps of every environment between updates."""
    minibatches: int = 32
    """Into how many equal parts a rollout is cut; an update learns from one of them."""
    epochs: int = 2
    """How often each part is learned from."""
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this global norm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.max_gradient_norm > 0, "max_gradient_norm", self.max_gradient_norm, "positive")
        size = self.num_envs * self.rollout_steps
        divides = size % self.minibatches == 0
        require(divides, "minibatches", self.minibatches, f"a divisor of num_envs × rollout_steps, which is {size}")

    @property
    def total_updates(self) -> float:
        """Updates of each seed over the run, for schedules that follow them."""
        rollouts = self.total_steps // (self.num_envs * self.rollout_steps)
        return max(rollouts * self.minibatches * self.epochs, 1.0)


def on_policy(
    config: OnPolicyConfig, agent: OnPolicyAgent, environment: Environment, evaluation: Environment
) -> OnPolicy:
    """The training of `agent` by rollouts."""
    return OnPolicy(
        agent=agent,
        environment=environment,
        evaluation=Evaluation(evaluation),
        num_members=config.num_seeds,
        rollout_steps=config.rollout_steps,
    )
