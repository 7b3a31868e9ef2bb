"""Recurrent cores: from features and a state to outputs and the next state, over time.

Every core is called with features [T, B, F], resets [T, B] and the state before the first step, returns outputs
[T, B, width] and the state after the last step, and has an `initial_state`; its state is a tree of arrays [B, ...]. The
inputs' share of the gates is one product for all steps; only the state's is inside the scan.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxq.networks.linear import Dense, product
from jaxq.types import PyTree


def _over_time(
    step: Callable[[PyTree, jax.Array], tuple[PyTree, jax.Array]], inputs: jax.Array, reset: jax.Array, state: PyTree
) -> tuple[jax.Array, PyTree]:
    """Outputs of the steps one after the other, the state forgotten before those with a reset; and the last state."""

    def remembering(state: PyTree, now: tuple[jax.Array, jax.Array]) -> tuple[PyTree, jax.Array]:
        given, reset = now
        return step(jax.tree.map(lambda leaf: jnp.where(reset[:, None], 0.0, leaf), state), given)

    state, out = jax.lax.scan(remembering, state, (inputs, reset))
    return out, state


class GRU(nn.Module):
    """A gated recurrent unit (Cho et al., 2014) over time. [T, B, F] -> [T, B, width]."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, reset: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Outputs, and the state after the last step.

        Args:
          x: [T, B, F].
          reset: [T, B] bool, where the state is forgotten before the step.
          state: [B, width].
        """
        inputs = Dense(3 * self.width)(x)
        kernel = self.param("recurrent", nn.initializers.orthogonal(), (3 * self.width, self.width))
        bias = self.param("recurrent_bias", nn.initializers.zeros, (self.width,))

        def step(state: jax.Array, given: jax.Array) -> tuple[jax.Array, jax.Array]:
            update_x, reset_x, new_x = jnp.split(given, 3, axis=-1)
            update_h, reset_h, new_h = jnp.split(product(state, kernel), 3, axis=-1)
            update = nn.sigmoid(update_x + update_h)
            new = jnp.tanh(new_x + nn.sigmoid(reset_x + reset_h) * (new_h + bias))
            state = (1.0 - update) * new + update * state
            return state, state

        return _over_time(step, inputs, reset, state)

    def initial_state(self, batch: int) -> jax.Array:
        """[batch, width] zeros."""
        return jnp.zeros((batch, self.width))


class LSTMState(struct.PyTreeNode):
    """State of an `LSTM`.

    Attributes:
      hidden: [B, width], the last output.
      cell: [B, width].
    """

    hidden: jax.Array
    cell: jax.Array


class LSTM(nn.Module):
    """Long short-term memory with a forget gate over time. [T, B, F] -> [T, B, width].

    Hochreiter and Schmidhuber, 1997; Gers et al., Learning to Forget, 2000. The bias of the forget gate is counted from
    1, so that at first the cell is kept (Jozefowicz et al., 2015).
    """

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, reset: jax.Array, state: LSTMState) -> tuple[jax.Array, LSTMState]:
        """Outputs, and the state after the last step.

        Args:
          x: [T, B, F].
          reset: [T, B] bool, where the state is forgotten before the step.
          state: before the first step.
        """
        inputs = Dense(4 * self.width)(x)
        kernel = self.param("recurrent", nn.initializers.orthogonal(), (4 * self.width, self.width))

        def step(state: LSTMState, given: jax.Array) -> tuple[LSTMState, jax.Array]:
            write, forget, new, read = jnp.split(given + product(state.hidden, kernel), 4, axis=-1)
            cell = nn.sigmoid(forget + 1.0) * state.cell + nn.sigmoid(write) * jnp.tanh(new)
            hidden = nn.sigmoid(read) * jnp.tanh(cell)
            return LSTMState(hidden, cell), hidden

        return _over_time(step, inputs, reset, state)

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(jnp.zeros((batch, self.width)), jnp.zeros((batch, self.width)))
