"""The axes of Q-learners that choose among values of continuous actions, and their assembly."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxq import envs
from jaxq.agents import EachDimension, EpsilonGreedy, LinearSchedule, MeanOfParts
from jaxq.bellman import Representation
from jaxq.configs.actor_critic import Noise
from jaxq.configs.axis import Axis
from jaxq.configs.environments import ContinuousEnvironments
from jaxq.configs.operators import Operator, OperatorName
from jaxq.configs.optimizers import WeightDecay
from jaxq.configs.q_learning import QLearnerOfAny
from jaxq.configs.replay import NStep
from jaxq.configs.rewards import Discount
from jaxq.envs import Bins, Cells, Environment
from jaxq.errors import require
from jaxq.networks import ActionValueHead, ActionValueNetwork, FactoredHead, ResidualMLP, Torso, encoder_maker


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecomposedQLearner(NStep, Discount, QLearnerOfAny, ContinuousEnvironments):
    """Q-learning of a value for each dimension's bins; numbers are those of DecQN's authors' code."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    learning_rate: float = 1e-4
    max_gradient_norm: float = 40.0
    n_step: int = 3
    batch_size: int = 256
    replay_capacity: int = 1_000_000
    hidden_width: int = 512
    """Units of the torso's layers; images get the network of their size."""
    num_bins: int = 2
    """Values of each dimension of an action, evenly spaced between its ends."""

    def make_binned_environments(self) -> tuple[Environment, Environment, Bins]:
        """Training and evaluation environments, and the bins of their actions.

        Raises:
          InputError: if the actions are not continuous, or there are fewer than two bins.
        """
        training, evaluation, actions = self.make_environments()
        bins = Bins(actions.size, self.num_bins)
        return envs.with_actions(training, bins), envs.with_actions(evaluation, bins), bins

    def binned_network(
        self, environment: Environment, bins: Bins, representation: Representation, **settings: Any
    ) -> Callable[[], ActionValueNetwork]:
        """What makes networks of values for every dimension's bins.

        Args:
          environment: whose observations they see.
          bins: of the actions.
          representation: of the return.
          settings: of the torso of vectors, a `ResidualMLP`: DecQN's unless given. The head begins as it does.
        """
        encoder, torso = encoder_maker(environment.observation_spec), ResidualMLP(self.hidden_width, **settings)
        outputs, width = bins.size * bins.bins, representation.width

        def make() -> ActionValueNetwork:
            head = ActionValueHead(outputs, width, make_layer=torso.make_layer)
            return ActionValueNetwork(encoder() if encoder else torso.clone(), FactoredHead(head, bins.size))

        return make

    def make_decomposed(
        self, environment: Environment, network: Any, representation: Representation, bins: Bins, **given: Any
    ) -> Any:
        """The Q-learner of the parts' mean; `given` is as of `make_q_learner`.

        Raises:
          InputError: for numbers that are not allowed.
        """
        choices = {"actions": MeanOfParts(bins), **given.pop("choices", {})}
        return self.make_q_learner(environment, network, representation, choices=choices, **given)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EachDimensionEpsilon(Axis):
    """ε-greedy, each dimension by itself."""

    epsilon: float = 0.1
    """ε of DecQN's authors' code: a dimension of D is random with probability ε / (ε + D (1 - ε))."""

    def make_dimensions_exploration(self, bins: Bins) -> EachDimension:
        """The strategy.

        In the authors' code ε is shared by the dimensions, but what is greedy is not: the probabilities that it draws
        from are `ε / D` and `1 - ε`, normalized.

        Raises:
          InputError: for an ε that is no probability.
        """
        require(0 <= self.epsilon <= 1, "epsilon", self.epsilon, "in [0, 1]")
        rate = self.epsilon / (self.epsilon + bins.size * (1.0 - self.epsilon))
        return EachDimension(EpsilonGreedy(LinearSchedule.constant(rate)), bins.size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecQNLearner(EachDimensionEpsilon, Operator, DecomposedQLearner):
    """The same, as DecQN and what is made of it explore, back up and replay."""

    operator: OperatorName = "double"
    collect_steps: int = 8
    priority_exponent: float | None = 0.6
    importance_exponent: float = 0.2
    importance_exponent_final: float = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZoomingQLearner(Noise, WeightDecay, NStep, Discount, QLearnerOfAny, ContinuousEnvironments):
    """Q-learning from coarse to fine; numbers are those of CQN's authors' code."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    n_step: int = 3
    replay_capacity: int = 1_000_000
    weight_decay: float = 0.1
    hidden_widths: tuple[int, ...] = (512, 512)
    """Hidden layers; images go through the convolutions of their size first."""
    levels: int = 3
    """Choices in each dimension, each in the interval of the one before."""
    num_bins: int = 5
    """Parts of an interval."""

    def make_zoomed_environments(self) -> tuple[Environment, Environment, Cells]:
        """Training and evaluation environments, and the cells of their actions.

        Raises:
          InputError: if the actions are not continuous, or there are fewer than two bins.
        """
        training, evaluation, actions = self.make_environments()
        cells = Cells(actions.size, self.levels, self.num_bins)
        return envs.with_actions(training, cells), envs.with_actions(evaluation, cells), cells

    def make_encoder(self, environment: Environment) -> Torso | None:
        """Of images; none where there are none."""
        return encoder_of(environment)


def encoder_of(environment: Environment) -> Torso | None:
    """What turns an observation's images into features; None where it has none."""
    encoder = encoder_maker(environment.observation_spec)
    return encoder() if encoder else None
