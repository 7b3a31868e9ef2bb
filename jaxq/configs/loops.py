"""The loops that train."""

import dataclasses
from typing import ClassVar

from jaxq import replay
from jaxq import training as loops
from jaxq.agents import Epochs, OffPolicyAgent, OnPolicyAgent
from jaxq.configs.environments import Environments
from jaxq.configs.replay import Replay
from jaxq.envs import Environment
from jaxq.errors import require
from jaxq.schedules import LinearSchedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromReplay(Replay, Environments):
    """Learning from replay."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("warmup_steps",)

    collect_steps: int = 1
    """Steps of every environment between updates."""
    updates: int = 1
    """Updates after each collection."""
    warmup_steps: int = 1_000
    """Steps of each seed before the first update, with random actions unless the script says otherwise."""

    @property
    def updates_per_step(self) -> float:
        """Updates of each seed for each of its environment steps after the warm-up."""
        return self.updates / (self.collect_steps * self.num_envs)

    @property
    def total_updates(self) -> float:
        """Updates of each seed over the run, for schedules that follow them."""
        return max((self.total_steps - self.warmup_steps) * self.updates_per_step, 1.0)

    def make_replay(self, environment: Environment, n_step: int) -> replay.Replay:
        """The replay of transitions of n steps.

        Raises:
          InputError: for numbers that it does not allow.
        """
        return self._prioritized(replay.UniformReplay, environment, n_step)

    def make_action_sequences(self, environment: Environment, n_step: int, action_steps: int) -> replay.Replay:
        """The same with the actions of so many steps in every transition."""
        return self._prioritized(replay.ActionSequenceReplay, environment, n_step, action_steps=action_steps)

    def make_sequences(self, environment: Environment, length: int) -> replay.Replay:
        """The same of whole sequences of this length."""
        return self._prioritized(replay.SequenceReplay, environment, length)

    def _prioritized(
        self, kind: type[replay.UniformReplay], environment: Environment, n_step: int, **sizes: int
    ) -> replay.Replay:
        ring = kind.for_environment(
            environment,
            self.num_members,
            capacity=self.replay_capacity,
            batch_size=self.batch_size,
            n_step=n_step,
            **sizes,
        )
        if self.priority_exponent is None:
            return ring
        importance = LinearSchedule(self.importance_exponent, self.importance_exponent_final, self.total_updates)
        return replay.PrioritizedReplay(ring, self.priority_exponent, importance)

    def make_training(
        self,
        agent: OffPolicyAgent,
        environment: Environment,
        evaluation: Environment,
        replay: replay.Replay,
        *,
        acts_from_the_start: bool = False,
    ) -> loops.OffPolicy:
        """The training of `agent` from what is replayed.

        The warm-up is of random actions, unless the agent acts from the start.

        Raises:
          InputError: for numbers that replay or loop do not allow.
        """
        return loops.OffPolicy(
            agent=agent,
            replay=replay,
            environment=environment,
            evaluation=self.make_evaluation(evaluation),
            num_members=self.num_members,
            collect_steps=self.collect_steps,
            updates=self.updates,
            warmup_steps=self.warmup_steps,
            acts_from_the_start=acts_from_the_start,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromRollouts(Environments):
    """Learning from rollouts."""

    num_envs: int = 128
    """Training environments of each seed."""
    rollout_steps: int = 32
    """Steps of every environment between updates."""
    minibatches: int = 32
    """Into how many equal parts a rollout is cut; an update learns from one of them."""
    epochs: int = 2
    """How often each part is learned from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.num_envs * self.rollout_steps
        divides = size % self.minibatches == 0
        require(divides, "minibatches", self.minibatches, f"a divisor of num_envs × rollout_steps, which is {size}")

    @property
    def total_updates(self) -> float:
        """Updates of each seed over the run, for schedules that follow them."""
        rollouts = self.total_steps // (self.num_envs * self.rollout_steps)
        return max(rollouts * self.minibatches * self.epochs, 1.0)

    def make_epochs(self) -> Epochs:
        """In which a rollout is learned from.

        Raises:
          InputError: for numbers that it does not allow.
        """
        return Epochs(self.minibatches, self.epochs)

    def make_training(self, agent: OnPolicyAgent, environment: Environment, evaluation: Environment) -> loops.OnPolicy:
        """The training of `agent` by rollouts."""
        return loops.OnPolicy(
            agent=agent,
            environment=environment,
            evaluation=self.make_evaluation(evaluation),
            num_members=self.num_members,
            rollout_steps=self.rollout_steps,
        )
