"""Q-learning with a memory: from replayed sequences, as R2D2 does, and from λ-returns over rollouts, as PQN does."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import LearnerState, init_params
from jaxq.agents.lambda_q_learning import LambdaQLearning
from jaxq.agents.q_learning import QLearningHyperparameters
from jaxq.bellman import Representation, segment_returns
from jaxq.bellman.arithmetic import chosen
from jaxq.envs.base import ObservationSpec, example_observation
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.lanes import flat
from jaxq.networks import SAMPLES, Mode, RecurrentActionValueNetwork
from jaxq.types import Metrics, PyTree, Rollout, Segment, TimeStep


class Remembered(struct.PyTreeNode):
    """What acting with a memory carries beside its exploration.

    Attributes:
      core: [E, ...] the recurrent state.
      action: [E] int32, the action before; -1 for none.
    """

    core: PyTree
    action: jax.Array


class Seen(struct.PyTreeNode):
    """What the network is shown over time.

    Attributes:
      observation: [T, B, ...].
      reset: [T, B] bool, where what came before is forgotten.
      previous_action, previous_reward: [T, B], that led to each observation.
    """

    observation: PyTree
    reset: jax.Array
    previous_action: jax.Array
    previous_reward: jax.Array


class Beginning(struct.PyTreeNode):
    """What is recorded of each step, so that a sequence can be gone over from it.

    Attributes:
      core: [E, ...] the recurrent state before the step, forgotten where an episode begins.
      action: [E] int32, the action before.
      reward: [E] that came with it.
    """

    core: PyTree
    action: jax.Array
    reward: jax.Array


class ActsWithMemory:
    """Base of agents whose network is recurrent: what they remember while acting, and how they go over sequences."""

    network: RecurrentActionValueNetwork
    observation_spec: ObservationSpec
    representation: Representation
    hyper: Any

    def new_params(self, key: jax.Array) -> PyTree:
        """Of the network."""
        observation = example_observation(self.observation_spec)
        observation = jax.tree.map(lambda leaf: leaf[None], observation)
        reset, state = jnp.ones((1, 1), bool), self.network.initial_state(1)
        before = {"previous_action": jnp.zeros((1, 1), jnp.int32), "previous_reward": jnp.zeros((1, 1))}
        return init_params(self.network, key, observation, reset, state, **before)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`: of the exploration, and the recurrent state."""
        nothing = jnp.full(num_envs, -1, jnp.int32)
        return self.hyper.exploration.init(num_envs), Remembered(self.network.initial_state(num_envs), nothing)

    def select(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, jax.Array]:
        """Behaviour: actions [E], the new memory, and the action values [E, A]."""
        exploring, remembered = memory
        network_key, explore_key = streams(key, "network", "explore")
        values, core = self._step(state, remembered, timestep, "act", network_key)
        action, exploring = state.hyper.exploration.select(exploring, values, timestep, explore_key)
        return action, (exploring, Remembered(core, action)), values

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the greedy action."""
        values, core = self._step(state, memory[1], timestep, "exploit", key)
        action = jnp.argmax(values, axis=-1).astype(jnp.int32)
        return action, (memory[0], Remembered(core, action))

    def _step(
        self, state: LearnerState, remembered: Remembered, timestep: TimeStep, mode: Mode, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        seen = Seen(timestep.observation, timestep.first, remembered.action, timestep.total_reward)
        seen = jax.tree.map(lambda leaf: leaf[None], seen)
        prediction, core = self._apply(state.params, seen, remembered.core, mode, key)
        return self.representation.value(prediction[0]), core

    def unroll(
        self,
        params: PyTree,
        seen: Seen,
        core: PyTree,
        burn_in: int,
        mode: Mode,
        key: jax.Array,
    ) -> jax.Array:
        """Predictions over time, after some first steps that only warm up the state; no gradient goes into those.

        Args:
          params: of the network.
          seen: [T, B, ...].
          core: [B, ...] the recurrent state before the first step.
          burn_in: b, how many steps come first.
          mode: what the predictions are for.
          key: one random key.

        Returns:
          [T - b, B, A, W].
        """
        burn_key, key = streams(key, "burn-in", "predictions")
        if burn_in:
            _, core = self._apply(params, jax.tree.map(lambda leaf: leaf[:burn_in], seen), core, mode, burn_key)
        later = jax.tree.map(lambda leaf: leaf[burn_in:], seen)
        return self._apply(params, later, jax.lax.stop_gradient(core), mode, key)[0]

    def _apply(self, params: PyTree, seen: Seen, core: PyTree, mode: Mode, key: jax.Array) -> Any:
        before = seen.previous_action, seen.previous_reward
        return self.network.apply(params, seen.observation, seen.reset, core, mode, *before, rngs={SAMPLES: key})


@dataclasses.dataclass(frozen=True)
class RecurrentQLearning(ActsWithMemory):
    """R2D2 (Kapturowski et al., Recurrent Experience Replay in Distributed Reinforcement Learning, 2019).

    Sequences come from replay, each with the recurrent state that acting had where it begins; the state is brought up
    to date over some first steps ("burn-in"), and the rest is learned from by n-step targets. That joins the paper's
    two strategies, stored state and burn-in, as its agent does.

    Attributes:
      network: recurrent, its head of the representation's width.
      observation_spec: of one environment.
      optimizer: made without a learning rate.
      hyper: initial hyperparameters.
      representation: of the return; in the paper scalar under `SignedHyperbolic`.
      burn_in: steps at the start of each sequence that are not learned from.
      n_step: n, 5 in the paper.
      priority_mix: η, a sequence's priority being `η max + (1 - η) mean` of its steps'; 0.9 in the paper.
    """

    network: RecurrentActionValueNetwork
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: QLearningHyperparameters
    representation: Representation
    burn_in: int
    n_step: int
    priority_mix: float = 0.9

    def __post_init__(self) -> None:
        require(self.burn_in >= 0, "burn_in", self.burn_in, "0 or more")
        require(self.n_step >= 1, "n_step", self.n_step, "at least 1")
        require(0 <= self.priority_mix <= 1, "priority_mix", self.priority_mix, "in [0, 1]")

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`."""
        return LearnerState.with_target(self.new_params(key), self.optimizer, self.hyper)

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`; recorded is what the step began with."""
        action, after, _ = self.select(state, memory, timestep, key)
        return action, after, self._begun(memory, timestep)

    def watch(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """See `OffPolicyAgent.watch`: what was seen is remembered, whoever chose the action."""
        _, core = self._step(state, memory[1], timestep, "act", key)
        return (memory[0], Remembered(core, action)), self._begun(memory, timestep)

    def _begun(self, memory: PyTree, timestep: TimeStep) -> Beginning:
        """What a step begins with: what came before an episode's first is forgotten."""
        remembered: Remembered = memory[1]

        def forgotten(state: jax.Array, initial: jax.Array) -> jax.Array:
            return jnp.where(timestep.first.reshape(-1, *(1,) * (state.ndim - 1)), initial, state)

        core = jax.tree.map(forgotten, remembered.core, self.network.initial_state(timestep.first.shape[0]))
        return Beginning(core, jnp.where(timestep.first, -1, remembered.action), timestep.total_reward)

    def update(self, state: LearnerState, batch: Segment, key: jax.Array) -> tuple[LearnerState, Metrics, Any]:
        """See `OffPolicyAgent.update`; a sequence has one weight, one loss (the sum of its steps') and one priority."""
        hyper, burn = state.hyper, self.burn_in
        length, size = batch.reward.shape
        require(burn < length, "burn_in", burn, f"below the sequences' length of {length}")
        # The state is forgotten before the first observation of an episode, which comes after a final one.
        reset = jnp.concatenate([jnp.zeros((1, size), bool), batch.final])
        begun: Beginning = jax.tree.map(lambda leaf: leaf[0], batch.record)
        previous_action = jnp.concatenate([begun.action[None], batch.action])
        previous_reward = jnp.concatenate([begun.reward[None], batch.reward])
        seen = Seen(batch.observation, reset, previous_action, previous_reward)
        target_key, learn_key = streams(key, "target", "learn")

        def unroll(params: PyTree, mode: Mode, key: jax.Array) -> jax.Array:
            """Predictions of the steps after the burn-in, [L - burn + 1, B, A, W]."""
            return self.unroll(params, seen, begun.core, burn, mode, key)

        target_predictions = unroll(state.target_params, "target", target_key)
        action, terminated = batch.action[burn:], batch.terminated[burn:]
        rewards = hyper.learned(batch.reward[burn:])
        if hyper.operator.adds_to_rewards:  # of every step, as all their states are here
            q_target = self.representation.value(target_predictions)
            going_on = hyper.discount * (1.0 - terminated)
            rewards += hyper.operator.bonus(q_target[:-1], action, going_on, q_target[1:])
        ended = (batch.terminated | batch.truncated)[burn:]
        reward, discount, steps = segment_returns(rewards, terminated, ended, hyper.discount, self.n_step)
        later = jnp.arange(length - burn)[:, None] + steps, jnp.arange(size)
        counts = 1.0 - batch.final[burn:]

        def loss(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            predictions = unroll(params, "learn", learn_key)
            online = jax.lax.stop_gradient(self.representation.value(predictions))[later]
            following = target_predictions[later]

            weights = hyper.operator.weights(flat(online), flat(self.representation.value(following)))
            target = self.representation.target(flat(reward), flat(discount), flat(following), weights)
            target = jax.lax.stop_gradient(target)
            prediction = chosen(flat(predictions[:-1]), flat(action))
            losses = counts * self.representation.loss(prediction, target).reshape(counts.shape)
            priorities = counts * self.representation.priority(prediction, target).reshape(counts.shape)
            value = jnp.mean(batch.weight * losses.sum(axis=0))
            priority = self.priority_mix * priorities.max(axis=0) + (1.0 - self.priority_mix) * priorities.mean(axis=0)
            return value, ({"loss": value, "mean_q": jnp.mean(self.representation.value(prediction))}, priority)

        (_, (metrics, priority)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        state = state.descend(self.optimizer, gradient).follow()
        return state, metrics, priority


@dataclasses.dataclass(frozen=True)
class RecurrentLambdaQLearning(ActsWithMemory, LambdaQLearning):
    """PQN with a memory (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024, its recurrent variant).

    Minibatches are whole rollouts of some of the environments. Each is gone over from the state that acting carried
    when the rollout began, which previous parameters have made; a burn-in makes up for that.

    Attributes:
      network: recurrent, its head of the representation's width.
      burn_in: first steps of each rollout that are not learned from.
    """

    network: RecurrentActionValueNetwork
    burn_in: int = 0

    def __post_init__(self) -> None:
        require(self.burn_in >= 0, "burn_in", self.burn_in, "0 or more")

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`."""
        return LearnerState.start(self.new_params(key), self.optimizer, self.hyper)

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, jax.Array]:
        """See `Agent.act`; recorded are the action values [E, A]."""
        return self.select(state, memory, timestep, key)

    def values(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> jax.Array:
        """See `LambdaQLearning.values`: gone over once more, as the state at the end is not in the rollout."""
        seen = jax.tree.map(
            lambda before, last: jnp.concatenate([before, last[None]]),
            self._seen(rollout, rollout.memory[1].action),
            Seen(
                rollout.following.observation,
                rollout.following.first,
                rollout.action[-1],
                rollout.following.reward,
            ),
        )
        predictions = self.unroll(state.params, seen, rollout.memory[1].core, 0, "act", key)
        return self.representation.value(predictions)

    def _seen(self, rollout: Rollout, action: jax.Array) -> Seen:
        """What the network was shown over a rollout, [T, E, ...]; `action` is the one before its first step."""
        timestep = rollout.timestep
        previous_action = jnp.concatenate([action[None], rollout.action[:-1]])
        return Seen(timestep.observation, timestep.first, previous_action, timestep.reward)

    def update(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> tuple[LearnerState, Metrics]:
        """See `OnPolicyAgent.update`."""
        length, num_envs = rollout.action.shape
        require(self.burn_in < length, "burn_in", self.burn_in, f"below the rollout's {length} steps")
        parts, allowed = self.epochs.minibatches, f"a divisor of the {num_envs} environments of a member"
        require(num_envs % parts == 0, "minibatches", parts, allowed)
        returns_key, epochs_key = streams(key, "returns", "epochs")
        target = self.representation.encode(self.returns(state, rollout, returns_key).ravel())
        target = target.reshape(length, num_envs, *target.shape[1:])
        weight = 1.0 - rollout.timestep.last
        over_time = (self._seen(rollout, rollout.memory[1].action), rollout.action, weight, target)

        def turned(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)

        def learn(state: LearnerState, now: tuple[Any, jax.Array]) -> tuple[LearnerState, Metrics]:
            (over_time, core), key = now
            seen, *learned = turned(over_time)

            def predict(params: PyTree) -> jax.Array:
                return flat(self.unroll(params, seen, core, self.burn_in, "learn", key))

            return self.regress(state, predict, *(flat(x[self.burn_in :]) for x in learned))

        data = (turned(over_time), rollout.memory[1].core)
        return self.epochs.learn(learn, state, data, epochs_key)
