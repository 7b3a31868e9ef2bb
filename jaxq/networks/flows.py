"""Normalizing flows given a state: invertible maps between noise and actions before squashing, and their volumes.

What density or value is made of them, and the squashing, is the business of agents.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxq.networks.linear import Dense, lecun_normal
from jaxq.networks.modes import SAMPLES, Mode
from jaxq.networks.normalization import LayerNorm
from jaxq.networks.observations import flattened
from jaxq.networks.policies import by_tanh
from jaxq.types import PyTree

Initializer = Callable[..., jax.Array]


class Swish(nn.Module):
    """`x sigmoid(β x)`, β being learned for each unit (Ramachandran et al., 2017). [..., F] -> [..., F]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        return x * jax.nn.sigmoid(self.param("beta", nn.initializers.ones, (x.shape[-1],)) * x)


class SwishLayers(nn.Module):
    """Hidden layers with swish and a linear one. [B, F] -> [B, size].

    Biases begin as PyTorch's, since layers whose kernels all begin at zero would learn nothing without.

    Attributes:
      size: of the output.
      widths: of the hidden layers.
      kernel_init: how hidden layers' kernels begin.
      last_init: how the last layer's begins.
      layer_norm: whether hidden layers are normalized.
      dropout: share of hidden units that are dropped when learning.
    """

    size: int
    widths: Sequence[int] = (64, 64)
    kernel_init: Initializer = nn.initializers.zeros
    last_init: Initializer = nn.initializers.zeros
    layer_norm: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""

        def layer(size: int, init: Initializer, x: jax.Array) -> jax.Array:
            return Dense(size, init, bias_init=None)(x)

        for width in self.widths:
            x = layer(width, self.kernel_init, x)
            x = Swish()(LayerNorm()(x) if self.layer_norm else x)
            x = nn.Dropout(self.dropout, deterministic=mode != "learn", rng_collection=SAMPLES)(x)
        return layer(self.size, self.last_init, x)


class Coupling(nn.Module):
    """Base of couplings: every other number moves by what the rest and the context say (Dinh et al., 2015, 2017).

    `y = x` where kept, `y = x exp(s) + t` elsewhere, s and t being functions of what is kept and of the context.

    Attributes:
      size: D, numbers of a vector.
      keeps_even: whether the numbers at even places are kept, or those at odd ones.
    """

    size: int
    keeps_even: bool

    def moves(self, kept: jax.Array, context: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
        """t and s, each [B, D]; what they are at kept places does not matter."""
        raise NotImplementedError

    def forward(self, x: jax.Array, context: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
        """[B, D] -> [B, D], and the logarithm of the volume's change, [B]."""
        shift, log_scale = self._masked_moves(x, context, mode)
        return x * jnp.exp(log_scale) + shift, jnp.sum(log_scale, axis=-1)

    def inverse(self, y: jax.Array, context: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
        """The other way round."""
        shift, log_scale = self._masked_moves(y, context, mode)
        return (y - shift) * jnp.exp(-log_scale), -jnp.sum(log_scale, axis=-1)

    def _masked_moves(self, x: jax.Array, context: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
        keeps = (jnp.arange(self.size) % 2 == 0) == self.keeps_even
        shift, log_scale = self.moves(jnp.where(keeps, x, 0.0), context, mode)
        return jnp.where(keeps, 0.0, shift), jnp.where(keeps, 0.0, log_scale)


class AdditiveCoupling(Coupling):
    """A coupling that keeps volumes (NICE, Dinh et al., 2015), with the layers of MEow's authors' code.

    Normalization adds 1e-6 to variances, as everywhere here, and not PyTorch's 1e-5.

    Attributes:
      widths: of its hidden layers.
      dropout: of them, when learning.
    """

    widths: Sequence[int] = (64, 64)
    dropout: float = 0.1

    @nn.compact
    def moves(self, kept: jax.Array, context: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
        """See `Coupling.moves`."""
        init = nn.initializers.orthogonal(1.0)
        layers = SwishLayers(self.size, self.widths, init, init, layer_norm=True, dropout=self.dropout)
        shift = layers(jnp.concatenate([kept, context], axis=-1), mode)
        return shift, jnp.zeros_like(shift)


class AffineCoupling(Coupling):
    """A coupling that also scales (Real NVP, Dinh et al., 2017). It begins near the identity.

    Attributes:
      widths: of its hidden layers.
      largest_log_scale: s is kept in ± this, smoothly.
    """

    widths: Sequence[int] = (64, 64)
    largest_log_scale: float = 2.0

    @nn.compact
    def moves(self, kept: jax.Array, context: jax.Array, mode: Mode) -> tuple[jax.Array, jax.Array]:
        """See `Coupling.moves`."""
        layers = SwishLayers(2 * self.size, self.widths, lecun_normal, nn.initializers.normal(1e-2))
        shift, raw = jnp.split(layers(jnp.concatenate([kept, context], axis=-1), mode), 2, axis=-1)
        return shift, self.largest_log_scale * jnp.tanh(raw)


class ConditionalFlow(nn.Module):
    """Standard Gaussian noise to vectors and back, given a context: a scaling by the context, then couplings.

    Attributes:
      size: D.
      make_coupling: of what it keeps.
      couplings: how many, which keep even and odd places in turn.
      widths: hidden layers of the scaling.
      log_std_range: of the scaling's logarithm.
    """

    size: int
    make_coupling: Callable[[bool], Coupling]
    couplings: int = 4
    widths: Sequence[int] = (64, 64)
    log_std_range: tuple[float, float] = (-5.0, -0.3)

    def setup(self) -> None:
        """Layers."""
        self.scaling = SwishLayers(self.size, self.widths)
        self.chain = [self.make_coupling(place % 2 == 0) for place in range(self.couplings)]

    def log_std(self, context: jax.Array, mode: Mode) -> jax.Array:
        """Of the prior, before the couplings: [B, F] -> [B, D]."""
        return by_tanh(*self.log_std_range)(self.scaling(context, mode))

    def __call__(self, noise: jax.Array, context: jax.Array, mode: Mode = "learn") -> tuple[jax.Array, jax.Array]:
        """Noise [B, D], context [B, F] -> vectors [B, D], and the logarithm of the volume's change, [B]."""
        log_std = self.log_std(context, mode)
        x, log_volume = noise * jnp.exp(log_std), jnp.sum(log_std, axis=-1)
        for coupling in self.chain:
            x, change = coupling.forward(x, context, mode)
            log_volume += change
        return x, log_volume

    def inverse(self, x: jax.Array, context: jax.Array, mode: Mode = "learn") -> tuple[jax.Array, jax.Array]:
        """The other way round."""
        log_volume = jnp.zeros(x.shape[0])
        for coupling in reversed(self.chain):
            x, change = coupling.inverse(x, context, mode)
            log_volume += change
        log_std = self.log_std(context, mode)
        return x * jnp.exp(-log_std), log_volume - jnp.sum(log_std, axis=-1)


class EnergyFlow(nn.Module):
    """A flow that is policy and soft value at once (MEow, Chao et al., 2024), all in units of the temperature.

    With additive couplings the volume's change is a function of the state alone, and so the value is known without an
    integral: `V = D/2 log 2π + log-volume + b` and `Q = V + log π`, b being one of several learned shifts, each of
    which makes a value of its own of the same policy.

    Attributes:
      flow: with couplings that keep volumes; its context is the observation.
      shifts: K, how many b there are.
      shift_widths: hidden layers of each.
      make_encoder: of the observation; its numbers as they are unless given.
    """

    flow: ConditionalFlow
    shifts: int = 2
    shift_widths: Sequence[int] = (256, 256)
    make_encoder: Callable[[], nn.Module] | None = None

    def setup(self) -> None:
        """Layers."""
        self.encoder = flattened if self.make_encoder is None else self.make_encoder()
        self.shifters = [SwishLayers(1, self.shift_widths) for _ in range(self.shifts)]

    def generate(self, observation: PyTree, noise: jax.Array, mode: Mode) -> jax.Array:
        """Actions before squashing, [B, D], of standard Gaussian noise."""
        return self.flow(noise, self.encoder(observation), mode)[0]

    def __call__(self, observation: PyTree, x: jax.Array, mode: Mode = "learn") -> tuple[jax.Array, jax.Array]:
        """Values V [K, B], and log-densities [B] of actions before squashing x [B, D]."""
        context = self.encoder(observation)
        noise, log_volume = self.flow.inverse(x, context, mode)
        half_log_tau = 0.5 * x.shape[-1] * jnp.log(2.0 * jnp.pi)
        log_density = log_volume - 0.5 * jnp.sum(noise**2, axis=-1) - half_log_tau
        shift = jnp.stack([shifter(context, mode)[:, 0] for shifter in self.shifters])
        return half_log_tau - log_volume + shift, log_density


class FlowOutputs(struct.PyTreeNode):
    """What a policy by a flow is, given some observations.

    Attributes:
      params: of the flow.
      context: [B, F] features of the observations.
    """

    params: PyTree
    context: jax.Array


class FlowPolicyNetwork(nn.Module):
    """Features of an observation, and the parameters of the flow that they are the context of.

    Attributes:
      make_torso: for a mode, of the observation.
      flow: as of the `FlowPolicy` that gives the outputs their meaning.
    """

    make_torso: Callable[[Mode], nn.Module]
    flow: ConditionalFlow

    @nn.compact
    def __call__(self, observation: PyTree, mode: Mode = "learn") -> FlowOutputs:
        """See the class."""
        context = self.make_torso(mode)(observation)
        if self.is_initializing():
            self.flow(jnp.zeros((context.shape[0], self.flow.size)), context)
        return FlowOutputs(self.flow.variables["params"], context)
