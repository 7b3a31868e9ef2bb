"""Off-policy direct advantage estimation: the return as value, skill and luck.

Pan and Schölkopf, Skill or Luck? Return Decomposition via Advantage Functions, 2024. What follows a state is its value,
plus the advantages of the actions taken (skill, of zero mean under the policy), plus those of where nature went (luck,
of zero mean under the transition probabilities); so whole windows are learned from without importance weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxq.agents.base import LearnerState, RecordsNothing
from jaxq.agents.exploration import Exploration
from jaxq.bellman import lambda_return
from jaxq.bellman.arithmetic import value_of
from jaxq.envs.base import ObservationSpec, example_observation
from jaxq.errors import require
from jaxq.hyperparameters import INFINITY, Clip, Hyperparameters, Positive, Share, StepSize
from jaxq.lanes import flat
from jaxq.networks import SkillLuckNetwork
from jaxq.types import Metrics, PyTree, Segment, TimeStep


class DirectAdvantageHyperparameters(Hyperparameters):
    """The numbers of the agent; each is a leaf of its state.

    Attributes:
      learning_rate: step size of the optimizer, by updates.
      exploration: the behaviour's strategy, on the advantages.
      target: the schedule of the target parameters.
      discount: γ.
      temperature: of the policy, `softmax(skill / τ)` of the target network.
      reward_clip: rewards are clipped to ± this before learning; infinity for none.
    """

    learning_rate: StepSize
    exploration: Exploration
    target: Any
    discount: Share = 0.99
    temperature: Positive = 0.1
    reward_clip: Clip = INFINITY


@dataclasses.dataclass(frozen=True)
class DirectAdvantage(RecordsNothing):
    """Off-policy DAE, from sequences of replay.

    Attributes:
      network: value, skill and luck.
      observation_spec: of one environment.
      optimizer: made without a learning rate.
      hyper: initial hyperparameters.
    """

    network: SkillLuckNetwork
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: DirectAdvantageHyperparameters

    def __post_init__(self) -> None:
        require(self.network.num_latents >= 2, "num_latents", self.network.num_latents, "at least 2")

    def init(self, key: jax.Array) -> LearnerState:
        """See `Agent.init`."""
        observation = example_observation(self.observation_spec)
        params = self.network.init(key, observation, jnp.zeros(1, jnp.int32), observation, method="everything")
        return LearnerState.with_target(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def _outputs(self, params: PyTree, observation: jax.Array) -> Any:
        return self.network.apply(params, observation)

    def _transition(self, params: PyTree, observation: jax.Array, action: jax.Array, following: jax.Array) -> Any:
        return self.network.apply(params, observation, action, following, method="transition")

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`."""
        _, skill = self._outputs(state.params, timestep.observation)
        return *state.hyper.exploration.select(memory, skill, timestep, key), ()

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the action of the largest advantage."""
        _, skill = self._outputs(state.params, timestep.observation)
        return jnp.argmax(skill, axis=-1).astype(jnp.int32), memory

    def update(self, state: LearnerState, batch: Segment, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`: every suffix of a segment is a window of its own (eq. 12 of the paper)."""
        del key
        hyper = state.hyper
        length, size = batch.reward.shape

        target_value, target_skill = self._outputs(state.target_params, flat(batch.observation))
        target_value = target_value.reshape(length + 1, size)
        policy = jax.nn.softmax(target_skill / hyper.temperature).reshape(length + 1, size, -1)
        reward = jnp.clip(batch.reward, -hyper.reward_clip, hyper.reward_clip)
        discount = hyper.discount * (1.0 - batch.terminated)
        counts = 1.0 - batch.final

        def objective(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            value, skill = self._outputs(params, flat(batch.observation[:-1]))
            value, skill = value.reshape(length, size), skill.reshape(length, size, -1)
            skill = skill - jnp.sum(policy[:-1] * skill, axis=-1, keepdims=True)
            taken = value_of(skill, batch.action)
            luck, model = self._transition(
                params, flat(batch.observation[:-1]), flat(batch.action), flat(batch.observation[1:])
            )
            luck, model = luck.reshape(length, size), model.reshape(length, size)

            # What a window is worth without skill and luck, ending in the target's value: a λ-return that goes on to
            # the episode's end. Luck decides about ending, too: its discount is the full one.
            going_on = 1.0 - (batch.terminated | batch.truncated)
            rewards = reward - taken - hyper.discount * luck
            worth = lambda_return(rewards, discount, target_value[1:], going_on)
            error = counts * (worth - value)
            model_loss = jnp.mean(batch.weight * jnp.mean(counts * model, axis=0))
            loss = jnp.mean(batch.weight * jnp.mean(0.5 * error**2, axis=0))
            metrics = {"loss": loss, "model_loss": model_loss, "mean_value": jnp.mean(value), "luck": jnp.std(luck)}
            return loss + model_loss, (metrics, jnp.abs(error).mean(axis=0))

        gradient, (metrics, priority) = jax.grad(objective, has_aux=True)(state.params)
        state = state.descend(self.optimizer, gradient).follow()
        return state, metrics, priority
