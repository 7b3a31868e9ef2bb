"""What every off-policy experiment shares beside its agent: the fields of collection and replay, and their assembly."""

import dataclasses
from typing import ClassVar

from jaxq.agents import Agent
from jaxq.envs import Environment
from jaxq.replay import PrioritizedReplay, Replay, SequenceReplay, UniformReplay
from jaxq.runs.config import RunConfig
from jaxq.training import Evaluation, OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class OffPolicyConfig(RunConfig):
    """The fields of an agent that learns from replay."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("warmup_steps",)

    discount: float = 0.99
    """γ, how much a reward one step later is worth."""
    batch_size: int = 64
    """Transitions in an update."""
    collect_steps: int = 1
    """Steps of every environment between updates."""
    updates: int = 1
    """Updates after each collection."""
    warmup_steps: int = 1_000
    """Steps of each seed with random actions before the first update."""
    replay_capacity: int = 100_000
    """Transitions that the replay of each seed holds."""
    n_step: int = 1
    """Rewards in a return before it bootstraps."""
    priority_exponent: float | None = None
    """α of prioritized replay; None draws uniformly."""
    importance_exponent: float = 0.5
    """β of prioritized replay's importance weights."""

    @property
    def total_updates(self) -> float:
        """Updates of each seed over the run, for schedules that follow them."""
        steps = self.total_steps - self.warmup_steps
        return max(steps * self.updates / (self.collect_steps * self.num_envs), 1.0)


def off_policy(
    config: OffPolicyConfig,
    agent: Agent,
    environment: Environment,
    evaluation: Environment,
    sequence_length: int | None = None,
) -> OffPolicy:
    """The training of `agent` by the replay that the configuration asks for; of sequences, if their length is given."""
    ring = (UniformReplay if sequence_length is None else SequenceReplay).for_environment(
        environment,
        config.num_seeds,
        capacity=config.replay_capacity,
        batch_size=config.batch_size,
        n_step=config.n_step if sequence_length is None else sequence_length,
    )
    replay: Replay = ring
    if config.priority_exponent is not None:
        replay = PrioritizedReplay(ring, config.priority_exponent, config.importance_exponent)
    return OffPolicy(
        agent=agent,
        replay=replay,
        environment=environment,
        evaluation=Evaluation(evaluation),
        num_members=config.num_seeds,
        collect_steps=config.collect_steps,
        updates=config.updates,
        warmup_steps=config.warmup_steps,
    )
