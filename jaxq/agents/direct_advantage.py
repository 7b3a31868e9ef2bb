"""Off-policy direct advantage estimation: the return as value, skill and luck.

Pan and Schölkopf, Skill or Luck? Return Decomposition via Advantage Functions, 2024. What follows a state is its value,
plus the advantages of the actions taken (skill, of zero mean under the policy), plus those of where nature went (luck,
of zero mean under the transition probabilities); so whole windows are learned from without importance weights.
"""

import dataclasses
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxq.agents.base import LearnerState, RecordsNothing, example_observation
from jaxq.agents.exploration import Exploration
from jaxq.agents.hyperparameters import INFINITY, POSITIVE, Hyperparameters, Within
from jaxq.bellman import lambda_return
from jaxq.envs.base import ObservationSpec
from jaxq.errors import require
from jaxq.networks import Dense
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, PyTree, Segment, TimeStep

# 1 / 2σ² of the decoder's Gaussian: with less, telling next observations apart does not pay for its bits, and the
# posterior becomes the prior.
SHARPNESS = 10.0


class SkillLuckNetwork(nn.Module):
    """Value, skill, and luck by a discrete latent variable of the transition.

    A transition's latent z has a prior p(z | s, a) and a posterior q(z | s, a, s'), learned as a variational model of
    the next observation; luck is `Σ_z (q - p)(z) b(s, a, z)`, whose mean over next states is zero where the posterior
    is exact. The paper's model is a conditional variational autoencoder too; its sizes are not known to us.

    Attributes:
      torso: features of an observation.
      num_actions: A.
      num_latents: values of z.
      hidden: units of the model's hidden layers.
      decoded_size: numbers in an observation.
    """

    torso: nn.Module
    num_actions: int
    num_latents: int = 16
    hidden: int = 128
    decoded_size: int = 1

    def setup(self) -> None:
        """Layers."""
        self.value_head = Dense(1)
        self.skill_head = Dense(self.num_actions)
        self.luck_head = Dense(self.num_actions * self.num_latents)
        self.prior_head = nn.Sequential([Dense(self.hidden), nn.relu, Dense(self.num_latents)])
        self.posterior_head = nn.Sequential([Dense(self.hidden), nn.relu, Dense(self.num_latents)])
        self.decoder = nn.Sequential([Dense(self.hidden), nn.relu])
        self.to_observation = Dense(self.decoded_size)

    def __call__(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Value [B] and skill [B, A] of observations, the latter before it is centred."""
        features = self.torso(observation)
        return self.value_head(features)[:, 0], self.skill_head(features)

    def everything(self, observation: jax.Array, action: jax.Array, following: jax.Array) -> Any:
        """For initialization: every layer is used once."""
        return self(observation), self.transition(observation, action, following)

    def transition(self, observation: jax.Array, action: jax.Array, following: jax.Array) -> Any:
        """Luck [B] of transitions, and the model's loss [B]: its reconstruction error and KL divergence.

        Gradients of the model's loss stay out of the torso.
        """
        features = self.torso(observation)
        stopped, after = jax.lax.stop_gradient((features, self.torso(following)))
        chosen = jax.nn.one_hot(action, self.num_actions)
        context = jnp.concatenate([stopped, chosen], axis=-1)
        log_prior = jax.nn.log_softmax(self.prior_head(context))
        log_posterior = jax.nn.log_softmax(self.posterior_head(jnp.concatenate([context, after], axis=-1)))
        posterior = jnp.exp(log_posterior)
        kl = jnp.sum(posterior * (log_posterior - log_prior), axis=-1)
        # Every latent is decoded, so the expectation over the posterior is exact and needs no gradient estimator.
        z = jnp.eye(self.num_latents)
        hidden = self.decoder(
            jnp.concatenate(
                [
                    jnp.broadcast_to(context[:, None], (context.shape[0], self.num_latents, context.shape[1])),
                    jnp.broadcast_to(z, (context.shape[0], self.num_latents, self.num_latents)),
                ],
                axis=-1,
            )
        )
        goal = following.reshape(following.shape[0], 1, -1).astype(jnp.float32)
        error = SHARPNESS * jnp.sum((self.to_observation(hidden) - goal) ** 2, axis=-1)  # [B, Z]
        weights = jax.lax.stop_gradient(posterior - jnp.exp(log_prior))
        luck = self.luck_head(features).reshape(-1, self.num_actions, self.num_latents)
        luck = jnp.einsum("baz,ba,bz->b", luck, chosen, weights)
        return luck, jnp.sum(posterior * error, axis=-1) + kl


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

    learning_rate: Annotated[LinearSchedule, Within(0.0, INFINITY)]
    exploration: Exploration
    target: Any
    discount: Annotated[Any, Within(0.0, 1.0)] = 0.99
    temperature: Annotated[Any, Within(POSITIVE, INFINITY)] = 0.1
    reward_clip: Annotated[Any, Within(POSITIVE, INFINITY)] = INFINITY


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
        """See `Actor.init`."""
        observation = example_observation(self.observation_spec)
        params = self.network.init(key, observation, jnp.zeros(1, jnp.int32), observation, method="everything")
        return LearnerState.with_target(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Actor.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def _outputs(self, params: PyTree, observation: jax.Array) -> Any:
        return self.network.apply(params, observation)

    def _transition(self, params: PyTree, observation: jax.Array, action: jax.Array, following: jax.Array) -> Any:
        return self.network.apply(params, observation, action, following, method="transition")

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Agent.act`."""
        _, skill = self._outputs(state.params, timestep.observation)
        return *state.hyper.exploration.select(memory, skill, timestep, key), ()

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Actor.exploit`: the action of the largest advantage."""
        _, skill = self._outputs(state.params, timestep.observation)
        return jnp.argmax(skill, axis=-1).astype(jnp.int32), memory

    def update(self, state: LearnerState, batch: Segment, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `Agent.update`: every suffix of a segment is a window of its own (eq. 12 of the paper)."""
        del key
        hyper = state.hyper
        length, size = batch.reward.shape

        def each(x: jax.Array) -> jax.Array:  # [T, B, ...] -> [T * B, ...]
            return x.reshape(-1, *x.shape[2:])

        target_value, target_skill = self._outputs(state.target_params, each(batch.observation))
        target_value = target_value.reshape(length + 1, size)
        policy = jax.nn.softmax(target_skill / hyper.temperature).reshape(length + 1, size, -1)
        reward = jnp.clip(batch.reward, -hyper.reward_clip, hyper.reward_clip)
        discount = hyper.discount * (1.0 - batch.terminated)
        counts = 1.0 - batch.final

        def objective(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            value, skill = self._outputs(params, each(batch.observation[:-1]))
            value, skill = value.reshape(length, size), skill.reshape(length, size, -1)
            skill = skill - jnp.sum(policy[:-1] * skill, axis=-1, keepdims=True)
            taken = jnp.sum(skill * jax.nn.one_hot(batch.action, skill.shape[-1]), axis=-1)
            luck, model = self._transition(
                params, each(batch.observation[:-1]), each(batch.action), each(batch.observation[1:])
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
