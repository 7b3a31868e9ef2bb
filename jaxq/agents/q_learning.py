"""Q-learning with discrete, or discretized, actions: DQN and all that is composed like it.

The agent is put together from one object on each axis: network, representation of the return, Bellman operator,
target schedule, exploration. DQN (Mnih et al., 2015) is `Scalar(1.0)`, `operators.Maximum` and `HardUpdate`.
"""

import dataclasses
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxq.agents.base import LearnerState, RecordsNothing, init_params
from jaxq.agents.decompositions import Decomposition, Undivided
from jaxq.agents.exploration import Exploration
from jaxq.bellman import Channels, Representation, as_given, n_step_return, operators
from jaxq.envs.base import ObservationSpec, example_observation
from jaxq.errors import require
from jaxq.hyperparameters import FINITE, INFINITY, Clip, Hyperparameters, Share, StepSize, Within
from jaxq.keys import streams
from jaxq.networks import SAMPLES, Mode
from jaxq.types import Metrics, Network, Outcome, PyTree, TimeStep, Transition


class QLearningHyperparameters(Hyperparameters):
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

    learning_rate: StepSize
    exploration: Exploration
    target: Any
    operator: operators.Operator = dataclasses.field(default_factory=operators.Maximum)
    discount: Share = 0.99
    reward_clip: Clip = INFINITY
    reward_shift: Annotated[Any, Within(-FINITE, FINITE)] = 0.0

    def learned(self, rewards: jax.Array, counts: Any = True) -> jax.Array:
        """Rewards as they are learned from: clipped, and shifted where they count. [...] -> [...].

        Args:
          rewards: as the environment gave them.
          counts: of a shape that broadcasts with them, which of them count.
        """
        return jnp.clip(rewards, -self.reward_clip, self.reward_clip) + self.reward_shift * counts


@dataclasses.dataclass(frozen=True)
class QLearning(RecordsNothing):
    """Q-learning, off-policy from replay.

    Attributes:
      network: [B, ...] observations -> [B, A, W], W being the representation's width; where actions have parts,
        [B, *parts, A, W].
      observation_spec: of one environment.
      optimizer: made without a learning rate (`optax.scale_by_adam()`, not `optax.adam`).
      hyper: initial hyperparameters.
      representation: of the return.
      channels: how rewards fall into those that the representation knows.
      actions: what an action is made of.
    """

    network: Network
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: QLearningHyperparameters
    representation: Representation
    channels: Channels = as_given
    actions: Decomposition = Undivided()  # noqa: RUF009

    def __post_init__(self) -> None:
        self.actions.check(self.representation)
        operator = self.hyper.operator
        known = isinstance(operator, operators.Operator)
        require(known, "operator", operator, "an Operator of jaxq.bellman.operators, or one that inherits it")
        plain = self.channels is as_given or not operator.adds_to_rewards
        require(plain, "operator", type(operator).__name__, "one without bonuses, as these rewards have channels")

    def init(self, key: jax.Array) -> LearnerState:
        """See `OffPolicyAgent.init`."""
        params = init_params(self.network, key, example_observation(self.observation_spec))
        return LearnerState.with_target(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `OffPolicyAgent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def predict(self, params: PyTree, observation: jax.Array, mode: Mode, key: jax.Array) -> jax.Array:
        """The network's predictions [B, A, W] of observations [B, ...]; `key` is for networks that draw samples."""
        return self.network.apply(params, observation, mode, rngs={SAMPLES: key})

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`."""
        # A stream costs nothing where nothing is drawn from it: XLA drops it.
        network_key, behaviour_key, explore_key = streams(key, "network", "behaviour", "explore")
        prediction = self.predict(state.params, timestep.observation, "act", network_key)
        values = self.behaviour(self.representation.value(prediction), behaviour_key)
        choice, memory = state.hyper.exploration.select(memory, values, timestep, explore_key)
        return self.actions.action(choice), memory, ()

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `OffPolicyAgent.exploit`: greedy."""
        values = self.representation.value(self.predict(state.params, timestep.observation, "exploit", key))
        return self.actions.action(jnp.argmax(self.verdict(values), axis=-1).astype(jnp.int32)), memory

    def behaviour(self, values: jax.Array, key: jax.Array) -> jax.Array:
        """The values [E, *parts, A] that exploration sees, of those that the network predicts; `key` is to draw by."""
        del key
        return values

    def verdict(self, values: jax.Array) -> jax.Array:
        """The values [E, *parts, A] that evaluation is greedy on, of those that the network predicts."""
        return values

    def update(self, state: LearnerState, batch: Transition, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
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
        learn_key, backup_key = streams(key, "learn", "backup")
        outcome = self.outcome(hyper, batch)
        target = jax.lax.stop_gradient(self.backup(hyper, params, target_params, outcome, backup_key))
        prediction = self.taken(params, batch, "learn", learn_key)
        loss = jnp.mean(batch.weight * representation.loss(prediction, target))
        metrics = {"loss": loss, "mean_q": jnp.mean(representation.value(prediction))}
        return loss, (metrics, representation.priority(prediction, target))

    def taken(self, params: PyTree, batch: Transition, mode: Mode, key: jax.Array) -> jax.Array:
        """The predictions of the actions that were taken, [B, W]."""
        predictions = self.predict(params, batch.observation, mode, key)
        return self.actions.taken(self.representation, predictions, self.actions.choice(batch.action))

    def backup(
        self, hyper: QLearningHyperparameters, params: PyTree, target_params: PyTree, outcome: Outcome, key: jax.Array
    ) -> jax.Array:
        """The operator's backup in the representation, [B, T]. What an operator does not use is never computed."""
        target_key, online_key, bonus_key = streams(key, "target", "next action", "bonus")
        value, following = self.representation.value, outcome.next_observation
        return self.actions.backup(
            self.representation,
            hyper.operator,
            outcome.reward,
            outcome.discount,
            self.predict(target_params, following, "target", target_key),
            value(self.predict(params, following, "act", online_key)),
            value(self.predict(target_params, outcome.observation, "act", bonus_key)),
            self.actions.choice(outcome.action),
        )

    def outcome(self, hyper: QLearningHyperparameters, batch: Transition) -> Outcome:
        """What came of a batch of windows, its rewards clipped, shifted and by channel."""
        counted = jnp.arange(batch.rewards.shape[1]) < batch.steps[:, None]
        rewards = hyper.learned(batch.rewards, counted.reshape(*counted.shape, *(1,) * (batch.rewards.ndim - 2)))
        reward, discount = n_step_return(self.channels(rewards), batch.steps, batch.terminated, hyper.discount)
        return Outcome(batch.observation, batch.action, reward, discount, batch.next_observation)


@dataclasses.dataclass(frozen=True)
class ActsByQLearning(RecordsNothing):
    """Base of the agents that learn in their own way around a Q-learner, and act by it.

    Attributes:
      base: the Q-learner.
    """

    base: QLearning

    def acting(self, state: Any, key: jax.Array) -> LearnerState:
        """Of the agent's state, what the Q-learner is to act by; `key` is that of acting."""
        raise NotImplementedError

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`."""
        return self.base.init_memory(num_envs)

    def act(self, state: Any, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`."""
        return self.base.act(self.acting(state, key), memory, timestep, key)

    def exploit(self, state: Any, memory: PyTree, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`."""
        return self.base.exploit(self.acting(state, key), memory, timestep, key)
