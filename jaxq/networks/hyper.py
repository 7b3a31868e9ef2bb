"""Networks whose weights are the outputs of another network."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense, uniform_within
from jaxq.networks.modes import Mode
from jaxq.networks.observations import encoded
from jaxq.types import PyTree

# The authors' primary layers begin uniformly within ± 1 / (2 √I), a variance of 1 / (12 I).
primary_uniform = nn.initializers.variance_scaling(1 / 12, "fan_in", "uniform", in_axis=-1, out_axis=-2)


class PrimaryNetwork(nn.Module):
    """The state's embedding, of which weights are made: widening stages of residual blocks. [B, F] -> [B, widths[-1]].

    A stage is a linear layer, without activation, and blocks `x + W relu(V relu(x))`.

    Attributes:
      widths: of the stages.
      blocks: of each stage.
    """

    widths: Sequence[int]
    blocks: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""

        def layer(width: int, x: jax.Array) -> jax.Array:
            return Dense(width, primary_uniform, bias_init=None)(x)

        for width in self.widths:
            x = layer(width, x)
            for _ in range(self.blocks):
                x = x + layer(width, nn.relu(layer(width, nn.relu(x))))
        return x


class DynamicDense(nn.Module):
    """A linear layer whose weights are another's outputs: `(W(z) x) (1 + g(z)) + b(z)`. [B, Z], [B, I] -> [B, O].

    Attributes:
      features: O.
      limit: the kernels of W, b and g begin uniformly in ± this, their biases at zero.
    """

    features: int
    limit: float

    @nn.compact
    def __call__(self, embedding: jax.Array, x: jax.Array) -> jax.Array:
        """See the class."""
        init = uniform_within(self.limit)
        weights = Dense(self.features * x.shape[-1], init, name="weights")(embedding)
        bias = Dense(self.features, init, name="bias")(embedding)
        gain = 1.0 + Dense(self.features, init, name="gain")(embedding)
        weights = weights.reshape(-1, self.features, x.shape[-1])
        return jnp.einsum("boi,bi->bo", weights, x) * gain + bias


class HyperCritic(nn.Module):
    """A value of state and continuous action, whose layers on the action have weights that the state makes.

    Sarafian et al., Recomposing the Reinforcement Learning Building Blocks with Hypernetworks, 2021, section 4, with
    the sizes and the initialization of their code for TD3. [B, ...], [B, size] -> [B, width].

    Attributes:
      width: W, outputs for one return.
      primary_widths, primary_blocks: of the network on the state.
      hidden: units of the dynamic layer between action and value.
      make_encoder: for a mode, of the observation; its numbers as they are unless given.
    """

    width: int = 1
    primary_widths: Sequence[int] = (256, 512, 1024)
    primary_blocks: int = 2
    hidden: int = 256
    make_encoder: Callable[[Mode], nn.Module] | None = None

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        seen = encoded(observation, self.make_encoder, mode)
        embedding = PrimaryNetwork(self.primary_widths, self.primary_blocks)(seen)
        x = nn.relu(DynamicDense(self.hidden, 0.05)(embedding, action))
        return DynamicDense(self.width, 0.008)(embedding, x)
