"""Recurrent cores, over time."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense, product


class GRU(nn.Module):
    """A gated recurrent unit (Cho et al., 2014) over time. [T, B, F] -> [T, B, width].

    The inputs' share of the gates is one product for all steps; only the state's is inside the scan.
    """

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

        def step(state: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            given, reset = now
            state = jnp.where(reset[:, None], 0.0, state)
            update_x, reset_x, new_x = jnp.split(given, 3, axis=-1)
            update_h, reset_h, new_h = jnp.split(product(state, kernel), 3, axis=-1)
            update = nn.sigmoid(update_x + update_h)
            new = jnp.tanh(new_x + nn.sigmoid(reset_x + reset_h) * (new_h + bias))
            state = (1.0 - update) * new + update * state
            return state, state

        state, out = jax.lax.scan(step, state, (inputs, reset))
        return out, state
