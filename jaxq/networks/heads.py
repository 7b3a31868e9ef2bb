"""Heads: from features to what an agent predicts."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.gradients import scale_gradient
from jaxq.networks.linear import Dense, NoisyDense
from jaxq.networks.modes import SAMPLES, Mode

FRACTIONS = "fractions"  # the name of the layer that proposes fractions in a `FullyParameterizedHead`


class ActionValueHead(nn.Module):
    """A linear layer, or a noisy one, to `width` outputs for each action. [B, F] -> [B, A, width].

    Attributes:
      num_actions, width: A and the outputs for one return.
      noisy: whether layers are noisy.
      hidden: units of a hidden layer before it; 0 for none.
      make_layer: what makes a plain layer of so many units.
    """

    num_actions: int
    width: int = 1
    noisy: bool = False
    hidden: int = 0
    make_layer: Callable[..., nn.Module] = Dense

    @nn.compact
    def __call__(self, features: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        out = _layers(features, self.hidden, self.num_actions * self.width, self.noisy, mode, self.make_layer)
        return out.reshape(-1, self.num_actions, self.width)


class FactoredHead(nn.Module):
    """A head whose D × A actions are A choices in each of D dimensions. [B, F] -> [B, D, A, width].

    Attributes:
      head: of D * A actions.
      dimensions: D.
    """

    head: nn.Module
    dimensions: int

    def __call__(self, features: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        out = self.head(features, mode)
        return out.reshape(out.shape[0], self.dimensions, -1, out.shape[-1])


class DuelingHead(nn.Module):
    """`V + A - mean A` of two streams, with a hidden layer each (Wang et al., 2016, eq. 9). [B, F] -> [B, A, width].

    Attributes:
      num_actions, width: A and the outputs for one return.
      hidden: units of each stream's hidden layer; 0 for none.
      noisy: whether layers are noisy, as in Rainbow.
      torso_gradient: of the streams' joint gradient into the torso; `2 ** -0.5` in the paper (section 4.2), since
        two streams send theirs.
    """

    num_actions: int
    width: int = 1
    hidden: int = 128
    noisy: bool = False
    torso_gradient: float = 1.0

    @nn.compact
    def __call__(self, features: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        if self.torso_gradient != 1.0:
            features = scale_gradient(features, self.torso_gradient)

        def stream(outputs: int) -> jax.Array:
            out = _layers(features, self.hidden, outputs * self.width, self.noisy, mode)
            return out.reshape(-1, outputs, self.width)

        value, advantage = stream(1), stream(self.num_actions)
        return value + advantage - advantage.mean(axis=1, keepdims=True)


def _layers(
    x: jax.Array,
    hidden: int,
    outputs: int,
    noisy: bool,
    mode: Mode,
    make_layer: Callable[..., nn.Module] = Dense,
) -> jax.Array:
    """A hidden layer, where it has units, and a linear one: [..., F] -> [..., outputs]. For use in a compact module."""

    def linear(x: jax.Array, features: int) -> jax.Array:
        return NoisyDense(features)(x, mode) if noisy else make_layer(features)(x)

    return linear(nn.relu(linear(x, hidden)) if hidden else x, outputs)


class _QuantileFunction(nn.Module):
    """Values of the quantile function at given fractions: `f(ψ(x) ∘ φ(τ))` (Dabney et al., IQN, 2018, eq. 4).

    `φ_j(τ) = relu(Σ_i cos(π i τ) w_ij + b_j)`, i = 0 .. n - 1; f is a hidden layer, where it has units, and a linear
    one, or with `dueling` such a pair for V and for A.
    """

    num_actions: int
    hidden: int
    num_cosines: int
    dueling: bool = False
    noisy: bool = False

    @nn.compact
    def __call__(self, features: jax.Array, fractions: jax.Array, mode: Mode) -> jax.Array:
        """[B, F] and [B, N] -> [B, A, N]."""
        cosines = jnp.cos(jnp.pi * jnp.arange(self.num_cosines) * fractions[..., None])
        embedding = nn.relu(Dense(features.shape[1])(cosines))
        embedded = features[:, None, :] * embedding

        def stream(outputs: int) -> jax.Array:
            return jnp.moveaxis(_layers(embedded, self.hidden, outputs, self.noisy, mode), 1, 2)

        if not self.dueling:
            return stream(self.num_actions)
        value, advantage = stream(1), stream(self.num_actions)
        return value + advantage - advantage.mean(axis=1, keepdims=True)


class ImplicitQuantileHead(nn.Module):
    """Quantiles at sampled fractions (Dabney et al., IQN, 2018). [B, F] -> [B, A, 2N].

    The last axis holds N values and then their N fractions, as `bellman.ImplicitQuantile` reads them.

    Attributes:
      num_actions: A.
      hidden: units of the hidden layer after the embedding; 0 for none.
      num_fractions: N, N' of the paper: for predictions and targets.
      num_act_fractions: K of the paper: for choosing actions.
      num_cosines: n of the embedding.
      dueling, noisy: whether f has two streams, and whether its layers are noisy.
      distortion: β of a measure of risk: where the fractions lie that choose actions, in place of evenly. Those that
        are learned, and those that are backed up, are even, and by the latter the action of the next state is chosen,
        unless an operator has the online network choose it, as `Double` does.
    """

    num_actions: int
    hidden: int = 128
    num_fractions: int = 64
    num_act_fractions: int = 32
    num_cosines: int = 64
    dueling: bool = False
    noisy: bool = False
    distortion: Callable[[jax.Array], jax.Array] | None = None

    @nn.compact
    def __call__(self, features: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class; fractions come from the stream `samples`, and are the midpoints when exploiting."""
        batch = features.shape[0]
        learns = mode in ("learn", "target")
        count = self.num_fractions if learns else self.num_act_fractions
        if mode == "exploit":
            fractions = jnp.broadcast_to((jnp.arange(count) + 0.5) / count, (batch, count))
        else:
            fractions = jax.random.uniform(self.make_rng(SAMPLES), (batch, count))
        if self.distortion is not None and not learns:
            fractions = self.distortion(fractions)
        function = _QuantileFunction(self.num_actions, self.hidden, self.num_cosines, self.dueling, self.noisy)
        values = function(features, fractions, mode)
        return jnp.concatenate([values, jnp.broadcast_to(fractions[:, None], values.shape)], axis=-1)


class FullyParameterizedHead(nn.Module):
    """Quantiles at fractions that the features propose (Yang et al., FQF, 2019). [B, F] -> [B, A, 3N - 1].

    The fractions' ends are cumulative sums of a softmax; no gradient goes from them to the features. The layout is that
    of `bellman.FullyParameterizedQuantile`. The layer that proposes them is named `FRACTIONS`, for an optimizer of its
    own.

    Attributes:
      num_actions: A.
      hidden: units of the hidden layer after the embedding; 0 for none.
      num_quantiles: N.
      num_cosines: n of the embedding.
    """

    num_actions: int
    hidden: int = 128
    num_quantiles: int = 32
    num_cosines: int = 64

    @nn.compact
    def __call__(self, features: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        # Small weights, so that the first intervals are nearly equal; in the authors' code they are as all others.
        proposal = Dense(self.num_quantiles, kernel_init=nn.initializers.uniform(0.01), name=FRACTIONS)
        ends = jnp.cumsum(jax.nn.softmax(proposal(jax.lax.stop_gradient(features))), axis=-1)  # [B, N]
        given = jax.lax.stop_gradient(ends)
        midpoints = given - 0.5 * jnp.diff(given, axis=-1, prepend=0.0)
        quantile = _QuantileFunction(self.num_actions, self.hidden, self.num_cosines)
        values = quantile(features, jnp.concatenate([midpoints, given[:, :-1]], axis=-1), mode)
        ends = jnp.broadcast_to(ends[:, None], (*values.shape[:2], self.num_quantiles))
        at_midpoints, at_ends = jnp.split(values, [self.num_quantiles], axis=-1)
        return jnp.concatenate([at_midpoints, ends, jax.lax.stop_gradient(at_ends)], axis=-1)
