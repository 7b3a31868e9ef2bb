"""MEow: soft values and their policy in one normalizing flow, off-policy from replay."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import Learner, RecordsNothing
from jaxq.agents.policies import log_slope_of_tanh, unsquashed
from jaxq.agents.targets import PolyakUpdate
from jaxq.bellman import Representation, Scalar, n_step_return
from jaxq.bellman.reductions import Minimum, Reduction
from jaxq.envs.base import Continuous, ObservationSpec, example_observation
from jaxq.hyperparameters import OF_THE_RUN, Hyperparameters, Positive, Share, StepSize, as_leaves
from jaxq.keys import streams
from jaxq.networks import SAMPLES, EnergyFlow, Mode
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, PyTree, TimeStep, Transition


class EnergyFlowHyperparameters(Hyperparameters):
    """The numbers of an `EnergyFlowLearning`; each is a leaf of its state.

    Attributes:
      learning_rate: step size, by updates.
      target: the schedule of the target network.
      temperature: α, what entropy is worth. It is fixed, as in the authors' experiments.
      discount: γ in [0, 1].
    """

    learning_rate: StepSize = LinearSchedule.constant(1e-3)
    target: Any = dataclasses.field(default_factory=lambda: PolyakUpdate(0.005))
    temperature: Positive = 0.25
    discount: Share = 0.99


class EnergyFlowState(struct.PyTreeNode):
    """All of the agent that changes.

    Attributes:
      flow: the network that learns, and its target.
      updates: int32, learning steps taken.
      hyper: the agent's hyperparameters.
    """

    flow: Learner
    updates: jax.Array = struct.field(metadata=OF_THE_RUN)
    hyper: EnergyFlowHyperparameters


@dataclasses.dataclass(frozen=True)
class EnergyFlowLearning(RecordsNothing):
    """MEow (Chao et al., Maximum Entropy RL via Energy-Based Normalizing Flow, 2024).

    There is no actor: the flow that samples actions also gives `Q = V + α log π`, where V is exactly
    `α log ∫ exp(Q / α)`. It learns Q by the soft Bellman backup of the smallest of its target values V, which needs no
    sample of the next action.

    Attributes:
      network: the flow with its shifts.
      observation_spec, action_spec: of one environment.
      optimizer: made without a learning rate.
      hyper: initial hyperparameters.
      representation: of Q, with the loss it learns by; one number.
      target_reduction: how the values of several shifts become one target.
    """

    network: EnergyFlow
    observation_spec: ObservationSpec
    action_spec: Continuous
    optimizer: optax.GradientTransformation
    hyper: EnergyFlowHyperparameters
    representation: Representation = dataclasses.field(default_factory=Scalar)
    target_reduction: Reduction = dataclasses.field(default_factory=Minimum)

    def init(self, key: jax.Array) -> EnergyFlowState:
        """See `OffPolicyAgent.init`."""
        params_key, samples_key = streams(key, "params", SAMPLES)
        before = jnp.zeros((1, self.action_spec.size))
        observation = example_observation(self.observation_spec)
        variables = self.network.init({"params": params_key, SAMPLES: samples_key}, observation, before)
        return EnergyFlowState(Learner.start(variables, self.optimizer, True), jnp.int32(0), as_leaves(self.hyper))

    def init_memory(self, num_envs: int) -> PyTree:
        """See `OffPolicyAgent.init_memory`: nothing."""
        del num_envs
        return ()

    def act(
        self, state: EnergyFlowState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`: a sample of the policy."""
        noise = jax.random.normal(key, (timestep.first.shape[0], self.action_spec.size))
        return self._action(state, timestep, noise, "act"), memory, ()

    def exploit(
        self, state: EnergyFlowState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `OffPolicyAgent.exploit`: what the flow makes of no noise, the mode before squashing."""
        del key
        return self._action(state, timestep, jnp.zeros((timestep.first.shape[0], self.action_spec.size)), "exploit"), (
            memory
        )

    def _action(self, state: EnergyFlowState, timestep: TimeStep, noise: jax.Array, mode: Mode) -> jax.Array:
        made: Any = self.network.apply(state.flow.variables, timestep.observation, noise, mode, method="generate")
        return jnp.tanh(made)

    def values(
        self,
        variables: PyTree,
        temperature: jax.Array,
        observation: PyTree,
        action: jax.Array,
        mode: Mode = "target",
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Soft values of states, V [K, B], which do not depend on the actions, and Q [K, B] of actions [B, size].

        `key` is for the dropout of learning; other modes need none.
        """
        before = unsquashed(action)
        rngs = {} if key is None else {SAMPLES: key}
        found: Any = self.network.apply(variables, observation, before, mode, rngs=rngs)
        value, log_density = found
        log_density = log_density - jnp.sum(log_slope_of_tanh(before), axis=-1)
        return temperature * value, temperature * (value + log_density)

    def update(
        self, state: EnergyFlowState, batch: Transition, key: jax.Array
    ) -> tuple[EnergyFlowState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
        learn_key, reduce_key = streams(key, "learn", "reduce targets")
        hyper, representation = state.hyper, self.representation
        # Any action will do.
        following, _ = self.values(
            state.flow.target, hyper.temperature, batch.next_observation, jnp.zeros_like(batch.action)
        )
        reward, discount = n_step_return(batch.rewards, batch.steps, batch.terminated, hyper.discount)
        mixture = self.target_reduction(representation, following.T[..., None], reduce_key)
        target = representation.target(reward, discount, *mixture)

        def loss(params: PyTree) -> tuple[jax.Array, Any]:
            value, q = self.values(params, hyper.temperature, batch.observation, batch.action, "learn", learn_key)
            predictions = q[..., None]
            losses = jax.vmap(representation.loss, (0, None))(predictions, target)
            priority = jax.vmap(representation.priority, (0, None))(predictions, target).mean(axis=0)
            total = jnp.sum(jnp.mean(batch.weight * losses, axis=1))
            return total, ({"loss": total, "mean_q": jnp.mean(q), "mean_v": jnp.mean(value)}, priority)

        gradient, (metrics, priority) = jax.grad(loss, has_aux=True)(state.flow.params)
        updates = state.updates + 1
        flow = state.flow.descend(self.optimizer, gradient, {}, hyper.learning_rate.at(state.updates))
        return state.replace(flow=flow.follow(hyper.target, updates), updates=updates), metrics, priority
