"""Embeddings of states, and of states and actions, that a linear model foresees the next step from: MR.Q.

Fujimoto et al., Towards General-Purpose Model-Free Reinforcement Learning, 2025, with the layers of the authors' code,
but that normalization adds 1e-6 to variances, as everywhere here, and not PyTorch's 1e-5.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxq.networks.linear import Dense
from jaxq.networks.normalization import normalize
from jaxq.networks.observations import flattened
from jaxq.types import PyTree

# Xavier's uniform with the gain of relu, √2.
xavier_uniform = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform", in_axis=-1, out_axis=-2)


def activated(x: jax.Array, activation: Callable[[jax.Array], jax.Array] = nn.elu) -> jax.Array:
    """Layer normalization, without parameters, and an activation. [..., F] -> [..., F]."""
    return activation(normalize(x, jnp.ones(x.shape[-1]), jnp.zeros(x.shape[-1])))


class NormalizedLayers(nn.Module):
    """Hidden layers, each normalized before its activation, and a linear one. [B, F] -> [B, size].

    Attributes:
      size: of the output.
      widths: of the hidden layers.
      activation: of the hidden layers.
    """

    size: int
    widths: Sequence[int] = (512, 512)
    activation: Callable[[jax.Array], jax.Array] = nn.elu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        for width in self.widths:
            x = activated(Dense(width, xavier_uniform)(x), self.activation)
        return Dense(self.size, xavier_uniform)(x)


class Foresight(struct.PyTreeNode):
    """What a model makes of a step.

    Attributes:
      terminated: [B] how far it is thought to end the episode, 0 to 1.
      latent: [B, F] the next state's embedding.
      reward: [B, W] as a prediction of a representation of that width.
    """

    terminated: jax.Array
    latent: jax.Array
    reward: jax.Array


class ModelBasedEncoder(nn.Module):
    """Embeddings of states and of states and actions, and the linear model on the latter.

    Attributes:
      reward_width: W, of the reward's representation.
      latent: F, the embeddings' size.
      action_latent: units of the action's own embedding.
      widths: hidden layers.
      make_torso: of the observation, in place of hidden layers; for images.
    """

    reward_width: int
    latent: int = 512
    action_latent: int = 256
    widths: Sequence[int] = (512, 512)
    make_torso: Callable[[], nn.Module] | None = None

    def setup(self) -> None:
        """Layers."""
        if self.make_torso is None:
            self.of_state: nn.Module = NormalizedLayers(self.latent, self.widths)
        else:
            self.torso = self.make_torso()
            self.of_state = Dense(self.latent, xavier_uniform)
        self.of_action = Dense(self.action_latent, xavier_uniform)
        self.of_both = NormalizedLayers(self.latent, self.widths)
        self.model = Dense(1 + self.latent + self.reward_width, xavier_uniform)

    def embed(self, observation: PyTree) -> jax.Array:
        """Embeddings of states: [B, ...] -> [B, F]."""
        return activated(self.of_state(flattened(observation) if self.make_torso is None else self.torso(observation)))

    def join(self, latent: jax.Array, action: jax.Array) -> jax.Array:
        """Embeddings of states and actions: [B, F], [B, size] -> [B, F]."""
        return self.of_both(jnp.concatenate([latent, nn.elu(self.of_action(action))], axis=-1))

    def foresee(self, latent: jax.Array, action: jax.Array) -> Foresight:
        """The step that an action [B, size] makes from states embedded as [B, F]."""
        out = self.model(self.join(latent, action))
        return Foresight(out[:, 0], out[:, 1 : 1 + self.latent], out[:, 1 + self.latent :])

    def __call__(self, observation: PyTree, action: jax.Array) -> Foresight:
        """The step from states as they are observed."""
        return self.foresee(self.embed(observation), action)


class LatentCritic(nn.Module):
    """A value of an embedded state and action. [B, F] -> [B, width].

    Attributes:
      width: W, outputs for one return.
      units: of its layers.
    """

    width: int = 1
    units: int = 512

    @nn.compact
    def __call__(self, joint: jax.Array) -> jax.Array:
        """See the class."""
        x = activated(NormalizedLayers(self.units, (self.units, self.units))(joint))
        return Dense(self.width, xavier_uniform)(x)
