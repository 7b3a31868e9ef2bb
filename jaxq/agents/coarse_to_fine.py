"""Coarse-to-fine Q-learning: continuous actions by a few choices in ever smaller intervals, alone or in sequences.

Every choice (of a level, in a dimension, for an action of the sequence) has a value of its own, which is backed up by
itself: there is no mean over dimensions and no maximum over levels.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import LearnerState, init_params
from jaxq.agents.decompositions import Undivided
from jaxq.agents.noise import ActionNoise
from jaxq.agents.policies import Given
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.bellman import EachPart, operators
from jaxq.bellman.arithmetic import chosen, mixture
from jaxq.envs.base import example_observation
from jaxq.envs.discretized import Cells
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.networks import SAMPLES, Mode
from jaxq.types import Outcome, PyTree, TimeStep, Transition


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoarseToFineQLearning(QLearning):
    """CQN (Seo et al., Continuous Control with Coarse-to-fine Reinforcement Learning, 2024).

    At each level the network is told the centre of the interval that the levels before have chosen, and gives values of
    its n parts in each dimension; the best is the next interval. Targets take the learner's path of choices and the
    target network's values on it, which is double Q-learning. Exploration is noise on the action, which is then moved
    to the centre of its cell.

    Attributes:
      network: a `CoarseToFineNetwork`.
      representation: of each choice's return, an `EachPart`.
      hyper: the exploration is one of continuous actions (`agents/noise.py`), the operator `Double`.
      cells: of the actions.
      indifference: where the values of a choice differ by less than this, it is made at random; 0 for never.
    """

    cells: Cells
    indifference: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        operator = self.hyper.operator
        allowed = "Double: targets follow the learner's choices"
        require(isinstance(operator, operators.Double), "operator", type(operator).__name__, allowed)
        allowed = "EachPart, as every choice has a return of its own"
        kind = type(self.representation).__name__
        require(isinstance(self.representation, EachPart), "representation", kind, allowed)
        whole = self.actions == Undivided()
        require(whole, "actions", type(self.actions).__name__, "left out: they are divided by cells")
        require(self.indifference >= 0, "indifference", self.indifference, "0 or more")

    @property
    def shape(self) -> tuple[int, ...]:
        """S, of what is chosen at once: an action, [D]."""
        return (self.cells.size,)

    def init(self, key: jax.Array) -> LearnerState:
        """See `OffPolicyAgent.init`."""
        observation = example_observation(self.observation_spec)
        whole = jnp.zeros((1, 1, *self.shape))
        params = init_params(self.network, key, observation, whole, jnp.zeros(1, jnp.int32))
        return LearnerState.with_target(params, self.optimizer, self.hyper)

    def ask(
        self, params: PyTree, observation: PyTree, interval: jax.Array, level: jax.Array, mode: Mode, key: jax.Array
    ) -> jax.Array:
        """Predictions of the parts of intervals [B, Q, *S] at levels [Q]: [B, Q, *S, n, W]."""
        told = level.reshape(-1, *(1,) * len(self.shape))
        centre = self.cells.centre(interval, told)
        return self.network.apply(params, observation, centre, level, mode, rngs={SAMPLES: key})

    def on_path(
        self, params: PyTree, observation: PyTree, index: jax.Array, mode: Mode, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Predictions of all choices on the way to cells [B, *S], [B, P, n, W], and the choices made, [B, P].

        P = L × the product of S.
        """
        batch = index.shape[0]
        intervals = jnp.moveaxis(self.cells.intervals(index), -1, 1)
        choices = jnp.moveaxis(self.cells.choices(index), -1, 1)
        predictions = self.ask(params, observation, intervals, jnp.arange(self.cells.levels), mode, key)
        return predictions.reshape(batch, -1, *predictions.shape[-2:]), choices.reshape(batch, -1)

    def greedy(self, params: PyTree, observation: PyTree, mode: Mode, key: jax.Array) -> jax.Array:
        """The cells [B, *S] that the best choices lead to."""
        batch = jax.tree.leaves(observation)[0].shape[0]
        index = jnp.zeros((batch, *self.shape), jnp.int32)
        for level, level_key in enumerate(jax.random.split(key, self.cells.levels)):
            network_key, tie_key = streams(level_key, "network", "indifference")
            asked = self.ask(params, observation, index[:, None], jnp.array([level]), mode, network_key)
            values = self.representation.value(asked)[:, 0]
            choice = jnp.argmax(values, axis=-1).astype(jnp.int32)
            if self.indifference > 0:
                spread = jnp.max(values, axis=-1) - jnp.min(values, axis=-1)
                drawn = jax.random.randint(tie_key, choice.shape, 0, self.cells.bins)
                choice = jnp.where(spread < self.indifference, drawn, choice)
            index = index * self.cells.bins + choice
        return index

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`."""
        network_key, explore_key = streams(key, "network", "explore")
        action = self.cells.action(self.greedy(state.params, timestep.observation, "act", network_key))
        action, memory = _noisy(state.hyper, memory, action, timestep, explore_key)
        return self.cells.nearest(action), memory, ()

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `OffPolicyAgent.exploit`: the best choices."""
        return self.cells.action(self.greedy(state.params, timestep.observation, "exploit", key)), memory

    def taken(self, params: PyTree, batch: Transition, mode: Mode, key: jax.Array) -> jax.Array:
        """See `QLearning.taken`: of each choice, [B, P, W]."""
        return chosen(*self.on_path(params, batch.observation, self.cells.index(batch.action), mode, key))

    def backup(
        self, hyper: QLearningHyperparameters, params: PyTree, target_params: PyTree, outcome: Outcome, key: jax.Array
    ) -> jax.Array:
        """See `QLearning.backup`: of each choice, [B, P, T]."""
        target_key, online_key = streams(key, "target", "next action")
        following = outcome.next_observation
        path = self.greedy(params, following, "act", online_key)
        predictions, choices = self.on_path(target_params, following, path, "target", target_key)
        weights = jax.nn.one_hot(choices, self.cells.bins)
        return self.representation.target(outcome.reward, outcome.discount, predictions, weights)


class Plans(struct.PyTreeNode):
    """What acting by sequences remembers of the last T steps, the newest first.

    Attributes:
      sequences: [E, T, T, D], the sequence that was planned at each.
      count: [E] int32, how many of them are of this episode.
      exploring: memory of the exploration.
    """

    sequences: jax.Array
    count: jax.Array
    exploring: PyTree


def temporal_ensemble(sequences: jax.Array, count: jax.Array, decay: float) -> jax.Array:
    """The mean of what the last sequences planned for now (Zhao et al., ACT, 2023, algorithm 2).

    The i-th oldest of them weighs `exp(-decay * i)`: older plans count more, as in the code of ACT and of CQN-AS.

    Args:
      sequences: [E, T, T, D], the newest first.
      count: [E], of how many of them there are.
      decay: of the weights.

    Returns:
      [E, D].
    """
    age = jnp.arange(sequences.shape[1])
    planned = sequences[:, age, age]  # [E, T, D]: of the sequence planned i steps ago the action i
    place = count[:, None] - 1 - age
    weight = jnp.where(place >= 0, jnp.exp(-decay * place), 0.0)
    return mixture(weight / weight.sum(axis=1, keepdims=True), planned)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceCoarseToFineQLearning(CoarseToFineQLearning):
    """CQN-AS: values of sequences of T actions (Seo and Abbeel, Coarse-to-fine Q-Network with Action Sequence, 2024).

    What is learned from are the actions that the replay holds from a step on (`ActionSequenceReplay`). Acting plans a
    sequence at every step and takes the temporal ensemble of what is planned for it, with noise. How many plans there
    are is counted by steps of the episode, where the authors' code looks for actions that are not zero.

    Attributes:
      network: a `SequenceCoarseToFineNetwork`.
      steps: T.
      ensemble_decay: of the weights of the temporal ensemble.
    """

    steps: int = 4
    ensemble_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.steps >= 1, "action_steps", self.steps, "at least 1")
        require(self.ensemble_decay >= 0, "ensemble_decay", self.ensemble_decay, "0 or more")

    @property
    def shape(self) -> tuple[int, ...]:
        """See `CoarseToFineQLearning.shape`: a sequence, [T, D]."""
        return (self.steps, self.cells.size)

    def init_memory(self, num_envs: int) -> Plans:
        """See `OffPolicyAgent.init_memory`."""
        sequences = jnp.zeros((num_envs, self.steps, *self.shape))
        return Plans(sequences, jnp.zeros(num_envs, jnp.int32), super().init_memory(num_envs))

    def act(
        self, state: LearnerState, memory: Plans, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, Plans, PyTree]:
        """See `OffPolicyAgent.act`."""
        network_key, explore_key = streams(key, "network", "explore")
        action, memory = self._planned(state, memory, timestep, "act", network_key)
        action, exploring = _noisy(state.hyper, memory.exploring, action, timestep, explore_key)
        return action, memory.replace(exploring=exploring), ()

    def exploit(
        self, state: LearnerState, memory: Plans, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, Plans]:
        """See `OffPolicyAgent.exploit`: the temporal ensemble."""
        return self._planned(state, memory, timestep, "exploit", key)

    def _planned(
        self, state: LearnerState, memory: Plans, timestep: TimeStep, mode: Mode, key: jax.Array
    ) -> tuple[jax.Array, Plans]:
        new = self.cells.action(self.greedy(state.params, timestep.observation, mode, key))
        sequences = jnp.concatenate([new[:, None], memory.sequences[:, :-1]], axis=1)
        count = jnp.minimum(jnp.where(timestep.first, 0, memory.count) + 1, self.steps)
        return temporal_ensemble(sequences, count, self.ensemble_decay), Plans(sequences, count, memory.exploring)


def _noisy(
    hyper: QLearningHyperparameters, memory: PyTree, action: jax.Array, timestep: TimeStep, key: jax.Array
) -> tuple[jax.Array, PyTree]:
    """Actions [E, D] as a strategy of continuous actions explores around them."""
    noise: ActionNoise = hyper.exploration  # type: ignore[assignment]
    return noise.explore(memory, Given(), action, timestep, key)
