"""Critics: values of a state and a continuous action."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense, lecun_normal
from jaxq.networks.modes import Mode
from jaxq.networks.observations import flattened
from jaxq.networks.regularized import RMSNormMLP
from jaxq.types import PyTree


class ActionCritic(nn.Module):
    """A value of state and continuous action, `width` outputs for one return. [B, ...], [B, size] -> [B, width].

    Attributes:
      make_torso: for a mode, of the observation's features and the action, side by side.
      width: W.
      make_encoder: for a mode, of the observation; its numbers as they are unless given.
      kernel_init: how the last layer's kernel begins.
    """

    make_torso: Callable[[Mode], nn.Module]
    width: int = 1
    make_encoder: Callable[[Mode], nn.Module] | None = None
    kernel_init: Callable[..., jax.Array] = lecun_normal

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        seen = flattened(observation) if self.make_encoder is None else self.make_encoder(mode)(observation)
        return Dense(self.width, self.kernel_init)(self.make_torso(mode)(jnp.concatenate([seen, action], axis=-1)))


class SelfPredictiveCritic(nn.Module):
    """A value of state and action on an embedding from which the next embedding and the reward are foreseen, too.

    The critic of REPPO's authors' code (Voelcker et al., 2025): hidden layers are a product, normalization by the root
    mean square, and swish; the embedding is a product alone, whose swish the heads begin with.

    Attributes:
      width: W, outputs for one return.
      hidden: units of all layers.
      prior: [W] outputs to begin with; they are learned.
      prior_scale: what they are multiplied by.
    """

    width: int
    hidden: int = 512
    prior: Callable[[], jax.Array] | None = None
    prior_scale: float = 40.0

    def setup(self) -> None:
        """Layers."""
        self.first = RMSNormMLP((self.hidden,))
        self.embedding = Dense(self.hidden)
        self.value_layer = RMSNormMLP((self.hidden,))
        self.value_out = Dense(self.width)
        self.foresight_layer = RMSNormMLP((self.hidden,))
        self.foresight_out = Dense(self.hidden + 1)
        prior = self.prior
        self.begin = None if prior is None else self.param("prior", lambda key: prior())

    def embed(self, observation: PyTree, action: jax.Array) -> jax.Array:
        """[B, ...], [B, size] -> [B, hidden]."""
        return self.embedding(self.first(jnp.concatenate([flattened(observation), action], axis=-1)))

    def foresee(self, observation: PyTree, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The next embedding [B, hidden] and the reward [B]."""
        out = self.foresight_out(self.foresight_layer(nn.swish(self.embed(observation, action))))
        return out[:, 1:], out[:, 0]

    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """[B, ...], [B, size] -> [B, W]."""
        del mode
        if self.is_initializing():
            self.foresee(observation, action)
        out = self.value_out(self.value_layer(nn.swish(self.embed(observation, action))))
        return out if self.begin is None else out + self.prior_scale * self.begin
