"""Exploration of agents with continuous actions: how a policy becomes behaviour, and noise on a target's actions.

A strategy is a pytree whose numbers are leaves. What it must remember from step to step is made
by `init` and handed on.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.policies import Policy
from jaxq.errors import require
from jaxq.hyperparameters import Hyperparameters, NonNegative
from jaxq.keys import streams
from jaxq.types import PyTree, TimeStep


class ActionNoise(Protocol):
    """What an actor-critic needs of a strategy. `E` environments."""

    def init(self, num_envs: int) -> PyTree:
        """What it remembers before the first step."""

    def explore(
        self, memory: Any, policy: Policy, outputs: Any, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """Actions [E, size] in [-1, 1] for an actor's outputs, and the new memory."""


class _Forgets:
    """Base of strategies that remember nothing."""

    def init(self, num_envs: int) -> PyTree:
        """Nothing to remember."""
        del num_envs
        return ()


class PolicySample(_Forgets, Hyperparameters):
    """A sample of the policy, as stochastic ones explore."""

    def explore(
        self, memory: Any, policy: Policy, outputs: Any, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `ActionNoise.explore`."""
        del timestep
        return policy.sample(outputs, key)[0], memory


class GaussianNoise(_Forgets, Hyperparameters):
    """Independent Gaussian noise at every step, clipped to the actions (Fujimoto et al., 2018).

    Attributes:
      std: σ, in units of the actions' [-1, 1].
    """

    std: NonNegative = 0.1

    def explore(
        self, memory: Any, policy: Policy, outputs: Any, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `ActionNoise.explore`."""
        del timestep
        action = policy.mode(outputs)
        return jnp.clip(action + self.std * jax.random.normal(key, action.shape), -1.0, 1.0), memory


class OrnsteinUhlenbeckNoise(Hyperparameters):
    """Noise that is correlated in time, from zero in every episode (Lillicrap et al., DDPG, 2016, section 7).

    `x <- x - θ x + σ N(0, 1)`, a step of time being one.

    Attributes:
      size: of an action.
      reversion: θ.
      std: σ.
    """

    size: int = struct.field(pytree_node=False)
    reversion: NonNegative = 0.15
    std: NonNegative = 0.2

    def init(self, num_envs: int) -> PyTree:
        """See `ActionNoise.init`: where the noise is, [E, size]."""
        return jnp.zeros((num_envs, self.size))

    def explore(
        self, memory: jax.Array, policy: Policy, outputs: Any, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `ActionNoise.explore`."""
        before = jnp.where(timestep.first[:, None], 0.0, memory)
        noise = before - self.reversion * before + self.std * jax.random.normal(key, before.shape)
        return jnp.clip(policy.mode(outputs) + noise, -1.0, 1.0), noise


class NoiseByEnvironment(Hyperparameters):
    """Gaussian noise whose size each environment draws anew for every episode (FastTD3, Seo et al., 2025, section 2).

    Attributes:
      smallest_std, largest_std: between which σ is drawn, uniformly.
    """

    smallest_std: NonNegative = 0.001
    largest_std: NonNegative = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        smallest, largest = self.smallest_std, self.largest_std
        if isinstance(smallest, int | float) and isinstance(largest, int | float):  # arrays are not looked at
            require(smallest <= largest, "smallest_std", smallest, f"at most the largest, {largest:g}")

    def init(self, num_envs: int) -> PyTree:
        """See `ActionNoise.init`: σ of each environment, [E]; it is drawn when an episode begins."""
        return jnp.zeros(num_envs)

    def explore(
        self, memory: jax.Array, policy: Policy, outputs: Any, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `ActionNoise.explore`."""
        size_key, noise_key = streams(key, "size", "noise")
        drawn = jax.random.uniform(size_key, memory.shape, minval=self.smallest_std, maxval=self.largest_std)
        # Zero is before the first draw: acting begins, after the warm-up, in the midst of episodes.
        std = jnp.where(timestep.first | (memory == 0), drawn, memory)
        action = policy.mode(outputs)
        return jnp.clip(action + std[:, None] * jax.random.normal(noise_key, action.shape), -1.0, 1.0), std


class HeldNoise(struct.PyTreeNode):
    """What `RepeatedNoise` remembers: standard noise [E, size], and for how many more steps it is held, int32 []."""

    noise: jax.Array
    remaining: jax.Array


class RepeatedNoise(Hyperparameters):
    """A sample of a Gaussian policy whose standard noise is held for some steps (FlashSAC, 2026, as coded).

    Noise is drawn for all environments at once and held for k steps, `P(k) ∝ k^-μ` up to the longest.

    Attributes:
      size: of an action.
      exponent: μ.
      longest: the largest k.
    """

    size: int = struct.field(pytree_node=False)
    exponent: NonNegative = 2.0
    longest: int = struct.field(pytree_node=False, default=16)

    def init(self, num_envs: int) -> HeldNoise:
        """See `ActionNoise.init`: nothing held."""
        return HeldNoise(jnp.zeros((num_envs, self.size)), jnp.int32(0))

    def explore(
        self, memory: HeldNoise, policy: Any, outputs: Any, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, HeldNoise]:
        """See `ActionNoise.explore`, for policies that make an action of given noise."""
        del timestep
        noise_key, duration_key = streams(key, "noise", "duration")
        mass = -self.exponent * jnp.log(jnp.arange(1.0, self.longest + 1.0))
        duration = 1 + jax.random.categorical(duration_key, mass).astype(jnp.int32)
        due = memory.remaining == 0
        noise = jnp.where(due, jax.random.normal(noise_key, memory.noise.shape), memory.noise)
        return policy.at(outputs, noise)[0], HeldNoise(noise, jnp.where(due, duration, memory.remaining) - 1)


class Smoothing(Hyperparameters):
    """Clipped noise on the actions that targets value (target policy smoothing, Fujimoto et al., 2018, eq. 14).

    Attributes:
      std: of the noise; 0 for none.
      largest: it is clipped to ± this.
    """

    std: NonNegative = 0.0
    largest: NonNegative = 0.5

    def __call__(self, action: jax.Array, key: jax.Array) -> jax.Array:
        """Actions [B, size] with noise, in [-1, 1]."""
        noise = jnp.clip(self.std * jax.random.normal(key, action.shape), -self.largest, self.largest)
        return jnp.clip(action + noise, -1.0, 1.0)
