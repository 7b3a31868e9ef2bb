"""Q-learning with discrete actions: DQN and what is composed like it.

The agent is put together from one object on each axis: network, representation of the return, Bellman operator, target
schedule, exploration. DQN (Mnih et al., 2015) is `Scalar(huber)` with `operators.maximum` and `HardUpdate`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import INFINITY, POSITIVE, as_leaves, descend, example_observation, require_in
from jaxq.agents.exploration import EpsilonGreedy
from jaxq.agents.schedules import LinearSchedule
from jaxq.agents.targets import HardUpdate, PolyakUpdate
from jaxq.bellman import Scalar, n_step_return, operators
from jaxq.envs.base import ObservationSpec
from jaxq.types import Metrics, Network, PyTree, TimeStep, Transition


class QLearningHyperparameters(struct.PyTreeNode):
    """The numbers of a Q-learning agent; each is a leaf of its state.

    Attributes:
      learning_rate: step size of the optimizer, by updates.
      exploration: the behaviour's strategy.
      target: the schedule of the target parameters.
      discount: γ in [0, 1].
      reward_clip: rewards are clipped to ± this before learning; infinity for none.
    """

    learning_rate: LinearSchedule
    exploration: EpsilonGreedy
    target: HardUpdate | PolyakUpdate
    discount: Any = 0.99
    reward_clip: Any = float("inf")


class QLearningState(struct.PyTreeNode):
    """All of a Q-learning agent that changes.

    Attributes:
      params, target_params: of the network.
      optimizer_state: of the optimizer.
      updates: int32, learning steps taken.
      hyper: the agent's hyperparameters.
    """

    params: PyTree
    target_params: PyTree
    optimizer_state: PyTree
    updates: jax.Array
    hyper: QLearningHyperparameters


@dataclasses.dataclass(frozen=True)
class QLearning:
    """Q-learning, off-policy from replay.

    Attributes:
      network: [B, ...] observations -> [B, A, W], W being the representation's width.
      observation_spec: of one environment.
      optimizer: made without a learning rate (`optax.scale_by_adam()`, not `optax.adam`).
      hyper: initial hyperparameters.
      representation: of the return.
      operator: Bellman operator.
    """

    network: Network
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: QLearningHyperparameters
    representation: Scalar
    operator: Callable[[jax.Array, jax.Array], jax.Array] = operators.maximum

    def __post_init__(self) -> None:
        hyper, rate = self.hyper, self.hyper.learning_rate
        require_in(0.0, 1.0, discount=hyper.discount)
        require_in(0.0, INFINITY, learning_rate=rate.initial, learning_rate_final=rate.final)
        require_in(POSITIVE, INFINITY, reward_clip=hyper.reward_clip)

    def init(self, key: jax.Array) -> QLearningState:
        """See `Agent.init`."""
        params = self.network.init(key, example_observation(self.observation_spec))
        return QLearningState(
            params=params,
            target_params=jax.tree.map(jnp.copy, params),
            optimizer_state=self.optimizer.init(params),
            updates=jnp.int32(0),
            hyper=as_leaves(self.hyper),
        )

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def values(self, state: QLearningState, observation: jax.Array) -> jax.Array:
        """Action values [B, A] of observations [B, ...]."""
        return self.representation.mean(self.network.apply(state.params, observation))

    def act(
        self, state: QLearningState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.act`."""
        return state.hyper.exploration.select(memory, self.values(state, timestep.observation), timestep, key)

    def exploit(
        self, state: QLearningState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: greedy."""
        del key
        return jnp.argmax(self.values(state, timestep.observation), axis=-1).astype(jnp.int32), memory

    def update(self, state: QLearningState, batch: Transition, key: jax.Array) -> tuple[QLearningState, Metrics]:
        """See `Agent.update`."""
        del key
        hyper, representation = state.hyper, self.representation
        rewards = jnp.clip(batch.rewards, -hyper.reward_clip, hyper.reward_clip)
        reward, discount = n_step_return(rewards, batch.steps, batch.terminated, hyper.discount)
        next_prediction = self.network.apply(state.target_params, batch.next_observation)
        weights = self.operator(self.values(state, batch.next_observation), representation.mean(next_prediction))
        target = representation.target(reward, discount, next_prediction, weights)

        def loss(params: PyTree) -> tuple[jax.Array, jax.Array]:
            predictions = self.network.apply(params, batch.observation)
            # A product with the one-hot action: its gradient is a product too, where that of a gather is a scatter.
            taken = jax.nn.one_hot(batch.action, predictions.shape[1], dtype=predictions.dtype)
            prediction = jnp.einsum("baw,ba->bw", predictions, taken)
            losses = representation.loss(prediction, target)
            return jnp.mean(batch.weight * losses), jnp.mean(representation.mean(prediction))

        (value, mean_q), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        params, optimizer_state = descend(
            self.optimizer, gradient, state.optimizer_state, state.params, hyper.learning_rate.at(state.updates)
        )
        updates = state.updates + 1
        state = state.replace(
            params=params,
            target_params=hyper.target.step(state.target_params, params, updates),
            optimizer_state=optimizer_state,
            updates=updates,
        )
        return state, {"loss": value, "mean_q": mean_q}
