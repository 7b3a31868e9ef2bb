"""Networks that predict their own latent images ahead: SPR and BBF.

Schwarzer et al., Data-Efficient RL with Self-Predictive Representations, 2021.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.convolution import Conv
from jaxq.networks.linear import Dense


class TransitionModel(nn.Module):
    """The next latent image from one and an action: two convolutions (SPR, section 2.2). [B, H, W, C] -> the same."""

    num_actions: int

    @nn.compact
    def __call__(self, latent: jax.Array, action: jax.Array) -> jax.Array:
        """See the class; `action`: [B]."""
        channels = latent.shape[-1]
        planes = jnp.broadcast_to(
            jax.nn.one_hot(action, self.num_actions)[:, None, None], (*latent.shape[:3], self.num_actions)
        )
        x = nn.relu(Conv(channels, 3, padding="SAME")(jnp.concatenate([latent, planes], axis=-1)))
        return renormalized(nn.relu(Conv(channels, 3, padding="SAME")(x)))


def renormalized(latent: jax.Array) -> jax.Array:
    """Latent images scaled to [0, 1], each by its own extremes (as in MuZero, appendix G). [B, H, W, C]."""
    low, high = latent.min(axis=(1, 2, 3), keepdims=True), latent.max(axis=(1, 2, 3), keepdims=True)
    return (latent - low) / jnp.maximum(high - low, 1e-6)


class SelfPredictiveNetwork(nn.Module):
    """Encoder, value head, and what predicts latent images ahead.

    Attributes:
      encoder: [B, ...] -> latent images [B, H, W, C].
      head: features -> [B, A, W].
      num_actions: A.
      hidden: units of the layer between encoder and head, whose output is also what is compared.
    """

    encoder: nn.Module
    head: nn.Module
    num_actions: int
    hidden: int = 512

    def setup(self) -> None:
        """Layers."""
        self.projection = Dense(self.hidden)
        self.predictor = Dense(self.hidden)
        self.transition = TransitionModel(self.num_actions)

    def encode(self, observation: jax.Array) -> jax.Array:
        """Latent images."""
        return renormalized(self.encoder(observation))

    def project(self, latent: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, hidden]."""
        return self.projection(latent.reshape(latent.shape[0], -1))

    def __call__(self, observation: jax.Array, mode: Any = "learn") -> jax.Array:
        """[B, ...] -> [B, A, W]."""
        return self.head(nn.relu(self.project(self.encode(observation))), mode)

    def foresee(self, observation: jax.Array, actions: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Values of observations [B, ...], and the projections predicted after actions [K, B]: [K, B, hidden]."""
        latent = self.encode(observation)
        values = self.head(nn.relu(self.project(latent)), "learn")
        foreseen = []
        for k in range(actions.shape[0]):
            latent = self.transition(latent, actions[k])
            foreseen.append(self.predictor(self.project(latent)))
        return values, jnp.stack(foreseen)

    def seen(self, observation: jax.Array) -> jax.Array:
        """What is to be foreseen: [B, ...] -> [B, hidden]."""
        return self.project(self.encode(observation))
