"""The environments of a run, for training and for evaluation."""

import dataclasses
from typing import Any

from jaxq import envs
from jaxq.configs.run import Run
from jaxq.envs import Continuous, Environment
from jaxq.errors import require
from jaxq.training import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environments(Run):
    """How many environments, and how they are played in evaluations."""

    num_envs: int = 1
    """Training environments of each seed."""
    eval_episodes: int = 16
    """Episodes of each seed in an evaluation."""
    eval_max_steps: int = 27_000
    """An episode of an evaluation is broken off after so many steps; 27,000 are half an hour of Atari."""

    def _make(self, training: dict[str, Any] | None = None, **both: Any) -> tuple[Environment, Environment]:
        """The flat batches of all members' training and evaluation environments, with options for one or for both."""

        def make(each: int, purpose: str, **options: Any) -> Environment:
            members = [member.seed for member in self.all_members]
            seeds = envs.environment_seeds(members, each, purpose=purpose, resumption=self.resumption)
            return envs.make(self.env, each * self.num_members, seed=seeds, **options)

        return make(self.num_envs, "training", **(training or {}), **both), make(
            self.eval_episodes, "evaluation", **both
        )

    def make_evaluation(self, environment: Environment) -> Evaluation:
        """How the members are tested."""
        return Evaluation(environment.once(), self.eval_max_steps)


OF_ATARI = ("life_loss", "sticky_actions")  # fields that are about Atari alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscreteEnvironments(Environments):
    """Environments with discrete actions."""

    life_loss: bool = False
    """Atari: a lost life ends the episode in training; evaluations play, and returns are told of, whole games."""
    sticky_actions: float = 0.0
    """Atari: probability with which the action before is taken in a frame's place (Machado et al., 2018, have 0.25)."""

    def make_environments(self) -> tuple[Environment, Environment, int]:
        """Training and evaluation environments, and the number of their actions.

        Raises:
          InputError: if the actions are not discrete, or Atari's own choices are made elsewhere.
        """
        atari = envs.domain(self.env) == "atari"
        for name in OF_ATARI:
            value = getattr(self, name)
            require(atari or not value, name, value, f"left out: {self.env} is no game of Atari")
        sticky = self.sticky_actions
        require(0 <= sticky < 1, "sticky_actions", sticky, "in [0, 1)")
        of_both = {"repeat_action_probability": sticky} if sticky else {}
        training, evaluation = self._make({"episodic_life": self.life_loss} if atari else {}, **of_both)
        return training, evaluation, envs.require_discrete(training).num_actions


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContinuousEnvironments(Environments):
    """Environments with continuous actions."""

    def make_environments(
        self, in_training: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Environment, Environment, Continuous]:
        """Training and evaluation environments, made with these options, and their actions.

        Args:
          in_training: further options, of the first alone.
          options: of both.

        Raises:
          InputError: if the actions are not continuous.
        """
        training, evaluation = self._make(in_training, **options)
        return training, evaluation, envs.require_continuous(training)
