"""The Action Q-Transformer, whose attention shows where it looks for each action."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.convolution import Conv
from jaxq.networks.linear import Dense
from jaxq.networks.modes import Mode
from jaxq.networks.normalization import LayerNorm
from jaxq.networks.torsos import unit_range

ATTENTION = "attention"  # what `Attention` remembers is called so: [B, heads, queries, keys]
CELLS = "cells"  # and what `ActionQTransformer` does: [B, height, width, channels]


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017, section 3.2) that keeps its weights in `intermediates`."""

    heads: int

    @nn.compact
    def __call__(self, queries: jax.Array, keys: jax.Array) -> jax.Array:
        """[B, Q, D] and [B, K, D] -> [B, Q, D]."""
        width = queries.shape[-1]

        def split(x: jax.Array) -> jax.Array:
            return Dense(width)(x).reshape(*x.shape[:2], self.heads, width // self.heads)

        query, key, value = split(queries), split(keys), split(keys)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / jnp.sqrt(width // self.heads)
        weights = jax.nn.softmax(scores, axis=-1)
        self.sow("intermediates", ATTENTION, weights)
        out = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(*queries.shape)
        return Dense(width)(out)


class TransformerLayer(nn.Module):
    """Attention and a two-layer network, each added to its normalized input."""

    heads: int
    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array, memory: jax.Array | None = None) -> jax.Array:
        """[B, Q, D] -> [B, Q, D], attending to itself, or to `memory` [B, K, D]."""
        normalized = LayerNorm()(x)
        x = x + Attention(self.heads)(normalized, normalized if memory is None else memory)
        y = Dense(self.hidden)(LayerNorm()(x))
        return x + Dense(x.shape[-1])(nn.relu(y))


class ActionQTransformer(nn.Module):
    """Action Q-Transformer (Itaya et al., Action Q-Transformer: Visual Explanation in Deep RL, 2023).

    An encoder over the cells of an image gives V; a decoder with one learned query for each action gives its A; and
    `Q = V + A - mean A`. The decoder's attention shows where the network looks for each action.

    Attributes:
      num_actions, width: A and the outputs for one return.
      channels, kernels, strides: of the convolutions that make the cells.
      features: D of the tokens.
      heads: of the attention.
      layers: of encoder and of decoder.
    """

    num_actions: int
    width: int = 1
    channels: tuple[int, ...] = (32,)
    kernels: tuple[int, ...] = (3,)
    strides: tuple[int, ...] = (1,)
    features: int = 64
    heads: int = 4
    layers: int = 1

    @nn.compact
    def __call__(self, observation: jax.Array, mode: Mode = "learn") -> jax.Array:
        """[B, H, W, C] -> [B, A, width]."""
        del mode
        x = unit_range(observation)
        for channels, kernel, stride in zip(self.channels, self.kernels, self.strides, strict=True):
            x = nn.relu(Conv(channels, kernel, stride)(x))
        self.sow("intermediates", CELLS, x)
        batch, height, width, _ = x.shape
        tokens = Dense(self.features)(x.reshape(batch, height * width, -1))
        tokens += self.param("position", nn.initializers.normal(0.02), (height * width, self.features))
        for i in range(self.layers):
            tokens = TransformerLayer(self.heads, 2 * self.features, name=f"encoder_{i}")(tokens)
        tokens = LayerNorm()(tokens)
        value = Dense(self.width)(tokens.mean(axis=1))[:, None]
        queries = self.param("queries", nn.initializers.normal(1.0), (self.num_actions, self.features))
        queries = jnp.broadcast_to(queries, (batch, *queries.shape))
        for i in range(self.layers):
            queries = TransformerLayer(self.heads, 2 * self.features, name=f"decoder_{i}")(queries, tokens)
        advantage = Dense(self.width)(LayerNorm()(queries))
        return value + advantage - advantage.mean(axis=1, keepdims=True)


def attention_maps(network: ActionQTransformer, params: object, observation: jax.Array) -> jax.Array:
    """Where the last decoder layer looks for each action, averaged over its heads: [B, A, height, width] of the cells.

    Args:
      network: the transformer.
      params: its variables.
      observation: [B, H, W, C].
    """
    _, kept = network.apply(params, observation, mutable=["intermediates"])  # type: ignore[arg-type]
    found = kept["intermediates"]
    weights = found[f"decoder_{network.layers - 1}"]["Attention_0"][ATTENTION][0].mean(axis=1)
    return weights.reshape(*weights.shape[:2], *found[CELLS][0].shape[1:3])
