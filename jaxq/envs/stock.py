"""Observations that know the reward so far."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.envs.base import ArraySpec, Environment, Wrapper, single_spec
from jaxq.errors import require
from jaxq.types import PyTree, TimeStep

# Divided by the discount at every step, a stock grows without end; beyond this it is cut off.
LARGEST_STOCK = 1e4


class StockState(struct.PyTreeNode):
    """State of `WithStock`.

    Attributes:
      inner: of the environment.
      stock: [B].
    """

    inner: PyTree
    stock: jax.Array


class WithStock(Wrapper):
    """Appends to each observation its stock, `c_{t+1} = (c_t + r_{t+1}) / γ`.

    The stock is the discounted reward so far, in units of the present (Pires et al., Optimizing Return Distributions
    with Distributional Dynamic Programming, 2025, section 2); `c_t + G_t` is, but for its unit, the return of the whole
    episode and `c_0`. Vectors get one more number, images one more plane, beside which bytes are scaled to [0, 1].
    Rewards count as they are learned from, clipped and shifted.

    Raises:
      InputError: for trees of observations, frame stacks and rewards of several channels, or a discount outside (0, 1].
    """

    def __init__(
        self,
        environment: Environment,
        discount: float,
        initial: float,
        reward_clip: float = float("inf"),
        reward_shift: float = 0.0,
    ):
        require(0 < discount <= 1, "discount", discount, "in (0, 1], to divide by")
        require(abs(initial) <= LARGEST_STOCK, "initial_stock", initial, f"within ±{LARGEST_STOCK:g}")
        spec = single_spec(environment.observation_spec, "a stock beside it")
        require(not spec.frames, "env", environment.name, "one without frame stacks, which leave a stock no room")
        require(not environment.reward_shape, "env", environment.name, "one with scalar rewards")
        super().__init__(environment)
        self.discount, self.initial = discount, initial
        self.reward_clip, self.reward_shift = reward_clip, reward_shift
        self.observation_spec = ArraySpec((*spec.shape[:-1], spec.shape[-1] + 1))

    def reset(self, keys: jax.Array) -> tuple[StockState, TimeStep]:
        """See `Environment.reset`."""
        inner, timestep = self.environment.reset(keys)
        stock = jnp.full(self.num_envs, self.initial, jnp.float32)
        return StockState(inner, stock), self._augmented(timestep, stock)

    def step(self, state: StockState, action: jax.Array) -> tuple[StockState, TimeStep]:
        """See `Environment.step`."""
        inner, timestep = self.environment.step(state.inner, action)
        reward = jnp.clip(timestep.reward, -self.reward_clip, self.reward_clip) + self.reward_shift
        stock = jnp.clip((state.stock + reward) / self.discount, -LARGEST_STOCK, LARGEST_STOCK)
        stock = jnp.where(timestep.first, self.initial, stock)
        return StockState(inner, stock), self._augmented(timestep, stock)

    def over(self, state: StockState, timestep: TimeStep) -> jax.Array:
        """See `Environment.over`."""
        return self.environment.over(state.inner, timestep)

    def _augmented(self, timestep: TimeStep, stock: jax.Array) -> TimeStep:
        observation: Any = timestep.observation
        # Beside a stock bytes are floats, which networks take as they are: scaled here as they would be there.
        scale = 255.0 if observation.dtype == jnp.uint8 else 1.0
        observation = observation.astype(jnp.float32) / scale
        plane = jnp.broadcast_to(stock.reshape(-1, *(1,) * (observation.ndim - 1)), (*observation.shape[:-1], 1))
        return timestep.replace(observation=jnp.concatenate([observation, plane], axis=-1))
