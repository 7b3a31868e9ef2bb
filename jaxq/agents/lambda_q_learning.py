"""Q-learning without replay and without target network, from λ-returns over parallel environments.

PQN (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024) is this with a layer-normalized network and
Peng's traces; Watkins's traces make it the older Q(λ).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxq.agents.base import Epochs, LearnerState, init_params
from jaxq.agents.exploration import Exploration
from jaxq.bellman import ScalarTarget, lambda_return, peng_cut
from jaxq.bellman.arithmetic import chosen
from jaxq.envs.base import ObservationSpec, example_observation
from jaxq.hyperparameters import INFINITY, Clip, Hyperparameters, Share, StepSize
from jaxq.keys import streams
from jaxq.lanes import flat
from jaxq.networks import SAMPLES
from jaxq.types import Metrics, Network, PyTree, Rollout, TimeStep


class LambdaQHyperparameters(Hyperparameters):
    """The numbers of the agent; each is a leaf of its state.

    Attributes:
      learning_rate: step size of the optimizer, by updates.
      exploration: the behaviour's strategy.
      discount: γ in [0, 1].
      trace: λ in [0, 1].
      reward_clip: rewards are clipped to ± this before learning; infinity for none.
    """

    learning_rate: StepSize
    exploration: Exploration
    discount: Share = 0.99
    trace: Share = 0.65
    reward_clip: Clip = INFINITY


@dataclasses.dataclass(frozen=True)
class LambdaQLearning:
    """Q-learning from the λ-returns of a rollout, in some epochs of minibatches.

    Attributes:
      network: [B, ...] observations -> [B, A, W], W being the representation's width.
      observation_spec: of one environment.
      optimizer: made without a learning rate.
      hyper: initial hyperparameters.
      representation: of the return; one that learns a scalar target.
      epochs: in which a rollout is learned from.
      cut: ([..., A] values, [...] actions) -> how much of the trace each action lets through.
    """

    network: Network
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: LambdaQHyperparameters
    representation: ScalarTarget
    epochs: Epochs = Epochs(32, 2)  # noqa: RUF009
    cut: Callable[[jax.Array, jax.Array], jax.Array] = peng_cut

    @property
    def updates_per_rollout(self) -> int:
        """See `OnPolicyAgent.updates_per_rollout`."""
        return self.epochs.updates

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`."""
        params = init_params(self.network, key, example_observation(self.observation_spec))
        return LearnerState.start(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, jax.Array]:
        """See `Agent.act`; recorded are the action values [E, A]."""
        network_key, explore_key = streams(key, "network", "explore")
        prediction = self.network.apply(state.params, timestep.observation, "act", rngs={SAMPLES: network_key})
        values = self.representation.value(prediction)
        return *state.hyper.exploration.select(memory, values, timestep, explore_key), values

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the greedy action."""
        prediction = self.network.apply(state.params, timestep.observation, "exploit", rngs={SAMPLES: key})
        return jnp.argmax(self.representation.value(prediction), axis=-1).astype(jnp.int32), memory

    def values(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> jax.Array:
        """Action values of a rollout's T steps and of the one that follows, [T + 1, E, A]."""
        prediction = self.network.apply(state.params, rollout.following.observation, "act", rngs={SAMPLES: key})
        return jnp.concatenate([rollout.record, self.representation.value(prediction)[None]])

    def returns(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> jax.Array:
        """The λ-return of each step of a rollout, [T, E]."""
        hyper = state.hyper
        values = self.values(state, rollout, key)
        q, next_values = values[:-1], jnp.max(values[1:], axis=-1)
        reward = jnp.clip(rollout.arrived("reward"), -hyper.reward_clip, hyper.reward_clip)
        discount = hyper.discount * (1.0 - rollout.arrived("terminated"))
        # Where an episode was cut off, its return ends in the value of its true final observation. After the last step
        # nothing is known, so whatever its trace the return ends there too.
        passes = self.cut(q, rollout.action)
        passes = jnp.concatenate([passes[1:], jnp.ones_like(passes[:1])])
        trace = hyper.trace * passes * (1.0 - rollout.arrived("truncated"))
        return lambda_return(reward, discount, next_values, trace)

    def update(self, state: LearnerState, rollout: Rollout, key: jax.Array) -> tuple[LearnerState, Metrics]:
        """See `OnPolicyAgent.update`."""
        returns_key, epochs_key = streams(key, "returns", "epochs")
        target = self.representation.encode(self.returns(state, rollout, returns_key).ravel())
        weight = 1.0 - rollout.timestep.last  # the action of an episode's last step was ignored
        observation, action, weight = flat((rollout.timestep.observation, rollout.action, weight))
        data = (observation, action, weight, target)

        def learn(state: LearnerState, now: tuple[Any, jax.Array]) -> tuple[LearnerState, Metrics]:
            (observation, action, weight, target), key = now

            def predict(params: PyTree) -> jax.Array:
                return self.network.apply(params, observation, "learn", rngs={SAMPLES: key})

            return self.regress(state, predict, action, weight, target)

        return self.epochs.learn(learn, state, data, epochs_key)

    def regress(
        self,
        state: LearnerState,
        predict: Callable[[PyTree], jax.Array],
        action: jax.Array,
        weight: jax.Array,
        target: jax.Array,
    ) -> tuple[LearnerState, Metrics]:
        """One step towards encoded targets.

        Args:
          state: of the learner.
          predict: parameters -> predictions [B, A, W].
          action, weight: [B] the actions taken, and what each counts.
          target: [B, ...] as the representation encodes them.
        """

        def loss(params: PyTree) -> tuple[jax.Array, Metrics]:
            predictions = predict(params)
            prediction = chosen(predictions, action)
            value = jnp.mean(weight * self.representation.loss(prediction, target))
            return value, {"loss": value, "mean_q": jnp.mean(self.representation.value(prediction))}

        gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
        return state.descend(self.optimizer, gradient), metrics
