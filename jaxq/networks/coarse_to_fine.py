"""Values of actions that are chosen part by part: networks that are told what has been chosen so far.

Several questions are asked about each observation at once, `Q` of them; images go through their encoder once for all.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense
from jaxq.networks.modes import Mode
from jaxq.networks.observations import flattened
from jaxq.networks.recurrent import GRU
from jaxq.types import PyTree


def _asked(observation: PyTree, encoder: nn.Module | None, *told: jax.Array) -> jax.Array:
    """Features and what each question tells, side by side. [B, ...] and some [B, Q, F_i] -> [BQ, F]."""
    seen = flattened(observation) if encoder is None else encoder(observation)
    batch, questions = told[0].shape[:2]
    seen = jnp.broadcast_to(seen[:, None], (batch, questions, seen.shape[-1]))
    return jnp.concatenate([seen, *told], axis=-1).reshape(batch * questions, -1)


class CoarseToFineNetwork(nn.Module):
    """Values of an interval's n parts in each dimension, told its centre and level (CQN, Seo et al., 2024).

    The last layer begins at zero, as in the authors' code.

    Attributes:
      layers: of what is seen and told.
      levels, bins: L and n.
      width: outputs for one return.
      encoder: of observations; their numbers as they are if there is none.
    """

    layers: nn.Module
    levels: int
    bins: int
    width: int = 1
    encoder: nn.Module | None = None

    @nn.compact
    def __call__(self, observation: PyTree, centre: jax.Array, level: jax.Array, mode: Mode = "learn") -> jax.Array:
        """[B, ...], centres [B, Q, D] and levels [Q] int32 -> [B, Q, D, n, width]."""
        batch, questions, size = centre.shape
        level = jnp.broadcast_to(jax.nn.one_hot(level, self.levels), (batch, questions, self.levels))
        features = self.layers(_asked(observation, self.encoder, centre, level))
        out = Dense(size * self.bins * self.width, nn.initializers.zeros)(features)
        return out.reshape(batch, questions, size, self.bins, self.width)


class SequenceCoarseToFineNetwork(nn.Module):
    """The same for each action of a sequence of T, by a recurrent core that goes along it (Seo and Abbeel, 2024).

    The layers see, for each action, the observation, its interval's centre, its place in the sequence and the level.

    Attributes:
      layers, levels, bins, width, encoder: as of `CoarseToFineNetwork`.
      recurrent_width: units of the core.
    """

    layers: nn.Module
    levels: int
    bins: int
    width: int = 1
    encoder: nn.Module | None = None
    recurrent_width: int = 1024

    @nn.compact
    def __call__(self, observation: PyTree, centre: jax.Array, level: jax.Array, mode: Mode = "learn") -> jax.Array:
        """[B, ...], centres [B, Q, T, D] and levels [Q] int32 -> [B, Q, T, D, n, width]."""
        batch, questions, steps, size = centre.shape
        rows = batch * questions

        def each(told: jax.Array) -> jax.Array:
            told = jnp.broadcast_to(told, (batch, questions, steps, told.shape[-1]))
            return told.reshape(batch, questions * steps, -1)

        level = each(jax.nn.one_hot(level, self.levels)[:, None])
        features = self.layers(_asked(observation, self.encoder, each(centre), each(jnp.eye(steps)), level))
        features = jnp.moveaxis(features.reshape(rows, steps, -1), 1, 0)
        core = GRU(self.recurrent_width)
        out, _ = core(features, jnp.zeros((steps, rows), bool), core.initial_state(rows))
        out = Dense(size * self.bins * self.width, nn.initializers.zeros)(jnp.moveaxis(out, 0, 1))
        return out.reshape(batch, questions, steps, size, self.bins, self.width)


class UtilityNetwork(nn.Module):
    """Utilities of the n parts of an interval in one dimension at a time (ARSQ, Liu et al., 2025).

    One network answers for all P places in the order of choices, with outputs for each.

    Attributes:
      layers: of what is seen and told.
      places, bins: P and n.
      encoder: as of `CoarseToFineNetwork`.
      make_head: the last layer, of so many outputs.
    """

    layers: nn.Module
    places: int
    bins: int
    encoder: nn.Module | None = None
    make_head: Callable[..., nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree, centre: jax.Array, place: jax.Array) -> jax.Array:
        """[B, ...], centres [B, Q, D] of all dimensions' intervals, and places [Q] int32 -> [B, Q, n]."""
        batch, questions, _ = centre.shape
        features = self.layers(_asked(observation, self.encoder, centre))
        out = self.make_head(self.places * self.bins)(features)
        out = out.reshape(batch, questions, self.places, self.bins)
        return jnp.take_along_axis(out, place[None, :, None, None], axis=2)[:, :, 0]
