"""Value, skill and luck, with the model of transitions that luck is told by: the network of `DirectAdvantage`."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense
from jaxq.networks.observations import flattened, single_array
from jaxq.networks.torsos import unit_range

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

        What is reconstructed is the next observation as torsos see it, bytes in [0, 1]. Gradients of the model's loss
        stay out of the torso.
        """
        following = single_array(following, type(self).__name__)
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
        goal = flattened(unit_range(following))[:, None]
        error = SHARPNESS * jnp.sum((self.to_observation(hidden) - goal) ** 2, axis=-1)  # [B, Z]
        weights = jax.lax.stop_gradient(posterior - jnp.exp(log_prior))
        luck = self.luck_head(features).reshape(-1, self.num_actions, self.num_latents)
        luck = jnp.einsum("baz,ba,bz->b", luck, chosen, weights, precision=jax.lax.Precision.HIGHEST)
        return luck, jnp.sum(posterior * error, axis=-1) + kl
