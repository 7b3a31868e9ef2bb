"""Q-learning with discrete actions: DQN and all that is composed like it.

The agent is put together from one object on each axis: network, representation of the return, Bellman operator,
target schedule, exploration. DQN (Mnih et al., 2015) is `Scalar(1.0)`, `operators.Maximum` and `HardUpdate`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import (
    INFINITY,
    POSITIVE,
    LearnerState,
    example_observation,
    require_in,
)
from jaxq.agents.exploration import Exploration
from jaxq.bellman import Channels, Representation, as_given, n_step_return, operators
from jaxq.envs.base import ObservationSpec
from jaxq.errors import require
from jaxq.networks import SAMPLES, Mode
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, Network, PyTree, TimeStep, Transition


class QLearningHyperparameters(struct.PyTreeNode):
    """The numbers of a Q-learning agent; each is a leaf of its state.

    Attributes:
      learning_rate: step size of the optimizer, by updates.
      exploration: the behaviour's strategy.
      target: the schedule of the target parameters.
      operator: the Bellman operator.
      discount: γ in [0, 1].
      reward_clip: rewards are clipped to ± this before learning; infinity for none.
      reward_shift: added to every reward that counts, which is an optimistic start if negative and a pessimistic one if
        positive (Sun et al., Exploit Reward Shifting in Value-Based Deep RL, 2022).
    """

    learning_rate: LinearSchedule
    exploration: Exploration
    target: Any
    operator: operators.Operator = dataclasses.field(default_factory=operators.Maximum)
    discount: Any = 0.99
    reward_clip: Any = float("inf")
    reward_shift: Any = 0.0


@dataclasses.dataclass(frozen=True)
class QLearning:
    """Q-learning, off-policy from replay.

    Attributes:
      network: [B, ...] observations -> [B, A, W], W being the representation's width.
      observation_spec: of one environment.
      optimizer: made without a learning rate (`optax.scale_by_adam()`, not `optax.adam`).
      hyper: initial hyperparameters.
      representation: of the return.
      channels: how rewards fall into those that the representation knows.
    """

    network: Network
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: QLearningHyperparameters
    representation: Representation
    channels: Channels = as_given

    def __post_init__(self) -> None:
        hyper, rate = self.hyper, self.hyper.learning_rate
        require_in(0.0, 1.0, discount=hyper.discount)
        require_in(0.0, INFINITY, learning_rate=rate.initial, learning_rate_final=rate.final)
        require_in(POSITIVE, INFINITY, reward_clip=hyper.reward_clip)
        require_in(-INFINITY, INFINITY, reward_shift=hyper.reward_shift)
        plain = self.channels is as_given or not hyper.operator.adds_to_rewards
        require(plain, "operator", type(hyper.operator).__name__, "one without bonuses, as these rewards have channels")

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`."""
        params = self.network.init({"params": key, SAMPLES: key}, example_observation(self.observation_spec))
        return LearnerState.with_target(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def predict(self, params: PyTree, observation: jax.Array, mode: Mode, key: jax.Array) -> jax.Array:
        """The network's predictions [B, A, W] of observations [B, ...]; `key` is for networks that draw samples."""
        return self.network.apply(params, observation, mode, rngs={SAMPLES: key})

    def act(self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Agent.act`."""
        # A folded key costs nothing where the network draws no samples; a split one would.
        prediction = self.predict(state.params, timestep.observation, "act", jax.random.fold_in(key, 1))
        return state.hyper.exploration.select(memory, self.representation.value(prediction), timestep, key)

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: greedy."""
        values = self.representation.value(self.predict(state.params, timestep.observation, "exploit", key))
        return jnp.argmax(values, axis=-1).astype(jnp.int32), memory

    def update(self, state: LearnerState, batch: Transition, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `Agent.update`."""
        hyper = state.hyper

        def loss(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            return self.objective(hyper, params, state.target_params, batch, key)

        (_, (metrics, priority)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        state = state.descend(self.optimizer, gradient).follow()
        return state, metrics, priority

    def objective(
        self, hyper: QLearningHyperparameters, params: PyTree, target_params: PyTree, batch: Transition, key: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
        """The mean loss of a batch, differentiable by `params`, with scalars to log and the samples' priorities [B]."""
        representation = self.representation
        target = jax.lax.stop_gradient(self.backup(hyper, params, target_params, batch, key))
        prediction = self.taken(params, batch, "learn", jax.random.fold_in(key, 0))
        loss = jnp.mean(batch.weight * representation.loss(prediction, target))
        metrics = {"loss": loss, "mean_q": jnp.mean(representation.value(prediction))}
        return loss, (metrics, representation.priority(prediction, target))

    def taken(self, params: PyTree, batch: Transition, mode: Mode, key: jax.Array) -> jax.Array:
        """The predictions of the actions that were taken, [B, W]."""
        predictions = self.predict(params, batch.observation, mode, key)
        # A product with the one-hot action: its gradient is a product too, where that of a gather is a scatter.
        chosen = jax.nn.one_hot(batch.action, predictions.shape[1], dtype=predictions.dtype)
        return jnp.einsum("baw,ba->bw", predictions, chosen)

    def backup(
        self, hyper: QLearningHyperparameters, params: PyTree, target_params: PyTree, batch: Transition, key: jax.Array
    ) -> jax.Array:
        """The operator's backup in the representation, [B, T]. What an operator does not use is never computed."""
        representation, operator = self.representation, hyper.operator

        def values(params: PyTree, observation: jax.Array, stream: int) -> jax.Array:
            return representation.value(self.predict(params, observation, "act", jax.random.fold_in(key, stream)))

        reward, discount = self._returns(hyper, batch)
        following = batch.next_observation
        next_prediction = self.predict(target_params, following, "target", jax.random.fold_in(key, 1))
        q_target = representation.value(next_prediction)
        weights = operator.weights(values(params, following, 2), q_target)
        if operator.adds_to_rewards:
            bonus = operator.reward_bonus(values(target_params, batch.observation, 3), batch.action)
            reward = reward + bonus + discount * operator.next_bonus(q_target)
        return representation.target(reward, discount, next_prediction, weights)

    def _returns(self, hyper: QLearningHyperparameters, batch: Transition) -> tuple[jax.Array, jax.Array]:
        """The window's return [B] or [B, C], clipped, shifted and by channel, and the discount [B] of what follows."""
        rewards = jnp.clip(batch.rewards, -hyper.reward_clip, hyper.reward_clip)
        counted = jnp.arange(rewards.shape[1]) < batch.steps[:, None]
        rewards += hyper.reward_shift * counted.reshape(*counted.shape, *(1,) * (rewards.ndim - 2))
        return n_step_return(self.channels(rewards), batch.steps, batch.terminated, hyper.discount)


@dataclasses.dataclass(frozen=True)
class ActsByQLearning:
    """Base of the agents that learn in their own way around a Q-learner, and act by it.

    Attributes:
      base: the Q-learner.
    """

    base: QLearning

    def acting(self, state: Any, key: jax.Array) -> LearnerState:
        """Of the agent's state, what the Q-learner is to act by; `key` is that of acting."""
        raise NotImplementedError

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Actor.init_memory`."""
        return self.base.init_memory(num_envs)

    def act(self, state: Any, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Agent.act`."""
        return self.base.act(self.acting(state, key), memory, timestep, key)

    def exploit(self, state: Any, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Actor.exploit`."""
        return self.base.exploit(self.acting(state, key), memory, timestep, key)
