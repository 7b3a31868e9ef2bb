"""Exploration of agents with discrete choices: how action values become behaviour.

A strategy is a pytree whose numbers are leaves, so that a population can explore in as many ways as it has members.
What it must remember from step to step is made by `init` and handed on by `select`. Exploration that is part of a
network (noisy layers) or of an agent (Thompson sampling in an ensemble) is not here.
"""

from typing import Annotated, Any, Protocol, Self, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.hyperparameters import AT_FIRST, FINITE, INFINITY, POSITIVE, Hyperparameters, NonNegative, Share, Within
from jaxq.keys import streams
from jaxq.schedules import LinearSchedule
from jaxq.types import PyTree, TimeStep

Epsilon = Annotated[LinearSchedule, Within(0.0, 1.0)]


class Exploration(Protocol):
    """What an agent needs of a strategy. `E` environments, `A` actions."""

    def init(self, num_envs: int) -> PyTree:
        """What it remembers before the first step."""

    def select(self, memory: Any, values: jax.Array, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """Actions [E] int32 for action values [E, A], and the new memory."""


@runtime_checkable
class Stochastic(Exploration, Protocol):
    """A strategy whose choice is a draw that depends on nothing but the values and the time."""

    def probabilities(self, memory: Any, values: jax.Array) -> jax.Array:
        """How likely `select` takes each action, [E, A], for action values [E, A]."""


def epsilon_greedy(values: jax.Array, epsilon: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Uniformly random with probability ε [E] or [], else greedy: actions [E], and whether each was drawn, [E]."""
    num_envs, num_actions = values.shape
    # One uniform number decides both whether to explore and, rescaled, which action to take.
    u = jax.random.uniform(key, (num_envs,))
    at_random = jnp.minimum((u / jnp.maximum(epsilon, 1e-9) * num_actions).astype(jnp.int32), num_actions - 1)
    return jnp.where(u < epsilon, at_random, jnp.argmax(values, axis=-1).astype(jnp.int32)), u < epsilon


def epsilon_greedy_probabilities(values: jax.Array, epsilon: jax.Array) -> jax.Array:
    """How likely `epsilon_greedy` takes each action: [E, A] values and ε [E] or [] -> [E, A]."""
    num_actions = values.shape[1]
    greedy = jax.nn.one_hot(jnp.argmax(values, axis=-1), num_actions)
    epsilon = jnp.broadcast_to(epsilon, values.shape[:1])[:, None]
    return (1.0 - epsilon) * greedy + epsilon / num_actions


class Greedy(Hyperparameters):
    """The best action always: for agents whose network, or whose choice among networks, explores."""

    def init(self, num_envs: int) -> PyTree:
        """Nothing to remember."""
        del num_envs
        return ()

    def select(self, memory: PyTree, values: jax.Array, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Exploration.select`."""
        del timestep, key
        return jnp.argmax(values, axis=-1).astype(jnp.int32), memory


class EpsilonGreedy(Hyperparameters):
    """Uniformly random with probability ε, else greedy.

    Attributes:
      epsilon: ε by environment steps of the member, counted from the end of the warm-up.
    """

    epsilon: Epsilon

    @classmethod
    def decaying(cls, initial: float, final: float, steps: float, **further: Any) -> Self:
        """ε falling linearly over so many environment steps; `further` are the other fields."""
        return cls(LinearSchedule(initial, final, steps), **further)

    def init(self, num_envs: int) -> jax.Array:
        """Steps taken so far: none."""
        del num_envs
        return jnp.int32(0)

    def select(
        self, steps: jax.Array, values: jax.Array, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Exploration.select`."""
        del timestep
        return epsilon_greedy(values, self.at(steps), key)[0], steps + values.shape[0]

    def probabilities(self, steps: jax.Array, values: jax.Array) -> jax.Array:
        """See `Stochastic.probabilities`."""
        return epsilon_greedy_probabilities(values, self.at(steps))

    def at(self, steps: jax.Array) -> jax.Array:
        """ε after so many environment steps."""
        return self.epsilon.at(steps)


class EpsilonUntil(EpsilonGreedy):
    """ε-greedy that ends, and leaves exploring to something else from then on: the noise of a network (BTR).

    Attributes:
      end: environment steps of the member after which ε is zero.
    """

    end: Annotated[Any, Within(0.0, INFINITY)] = INFINITY

    def at(self, steps: jax.Array) -> jax.Array:
        """See `EpsilonGreedy.at`."""
        return jnp.where(steps < self.end, super().at(steps), 0.0)


class EpsilonByUse(Hyperparameters):
    """Uniformly random with probability ε, else greedy, where every random action makes ε smaller.

    An action of several parts is random in all of them or in none, as REValueD's authors have it (Ireland and Montana,
    2024, their code).

    Attributes:
      initial: ε before the first random action.
      decay: what a random action leaves of ε.
      final: below which ε does not fall.
    """

    initial: Share = struct.field(metadata=AT_FIRST, default=1.0)
    decay: Share = 0.999
    final: Share = 0.05

    def init(self, num_envs: int) -> jax.Array:
        """ε."""
        del num_envs
        return jnp.float32(self.initial)

    def select(
        self, epsilon: jax.Array, values: jax.Array, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Exploration.select`; values may be [E, *parts, A]."""
        del timestep
        when_key, what_key = streams(key, "when", "what")
        at_random = jax.random.uniform(when_key, values.shape[:1]) < epsilon
        drawn = jax.random.randint(what_key, values.shape[:-1], 0, values.shape[-1])
        greedy = jnp.argmax(values, axis=-1).astype(jnp.int32)
        choice = jnp.where(at_random.reshape(-1, *(1,) * (greedy.ndim - 1)), drawn, greedy)
        return choice, jnp.maximum(epsilon * self.decay ** jnp.sum(at_random), self.final)


class EachDimension(Hyperparameters):
    """A strategy for each of the D dimensions of an action, which know nothing of each other.

    Attributes:
      strategy: of all.
      dimensions: D.
    """

    strategy: Exploration
    dimensions: int = struct.field(pytree_node=False)

    def init(self, num_envs: int) -> PyTree:
        """See `Exploration.init`: what each remembers, [D, ...]."""
        return jax.vmap(lambda _: self.strategy.init(num_envs))(jnp.arange(self.dimensions))

    def select(self, memory: PyTree, values: jax.Array, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Exploration.select`: choices [E, D] for values [E, D, A]."""
        keys = jax.random.split(key, self.dimensions)
        return jax.vmap(self.strategy.select, (0, 1, None, 0), (1, 0))(memory, values, timestep, keys)


class EpsilonLadder(Hyperparameters):
    """ε-greedy with an ε for each environment, `ε_i = ε^(1 + α i / (E - 1))` (Horgan et al., Ape-X, 2018, section 4.1).

    Attributes:
      base: ε of the first environment, 0.4 in the paper.
      exponent: α, 7 in the paper.
    """

    base: Share = 0.4
    exponent: NonNegative = 7.0

    def init(self, num_envs: int) -> PyTree:
        """Nothing to remember."""
        del num_envs
        return ()

    def select(self, memory: PyTree, values: jax.Array, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Exploration.select`."""
        del timestep
        return epsilon_greedy(values, self._epsilon(values.shape[0]), key)[0], memory

    def probabilities(self, memory: PyTree, values: jax.Array) -> jax.Array:
        """See `Stochastic.probabilities`."""
        del memory
        return epsilon_greedy_probabilities(values, self._epsilon(values.shape[0]))

    def _epsilon(self, num_envs: int) -> jax.Array:
        return self.base ** (1.0 + self.exponent * jnp.arange(num_envs) / max(num_envs - 1, 1))


class HeldAction(struct.PyTreeNode):
    """What ε_z-greedy remembers.

    Attributes:
      steps: int32, environment steps so far.
      action: [E] the action being held.
      remaining: [E] int32, how many more steps.
    """

    steps: jax.Array
    action: jax.Array
    remaining: jax.Array


class EpsilonZGreedy(Hyperparameters):
    """ε-greedy whose random actions are held (Dabney et al., Temporally-Extended ε-Greedy Exploration, 2020).

    With probability ε a uniform action is taken for n steps, `P(n) ∝ n^-μ`; an episode's end lets go of it.

    Attributes:
      epsilon: ε by environment steps, as of `EpsilonGreedy`.
      exponent: μ, 2 in the paper.
      longest: the largest n.
    """

    epsilon: Epsilon
    exponent: NonNegative = 2.0
    longest: Annotated[int, Within(1, INFINITY)] = struct.field(pytree_node=False, default=1000)

    @classmethod
    def decaying(cls, initial: float, final: float, steps: float, **further: Any) -> Self:
        """See `EpsilonGreedy.decaying`."""
        return cls(LinearSchedule(initial, final, steps), **further)

    def init(self, num_envs: int) -> HeldAction:
        """Nothing held."""
        zeros = jnp.zeros(num_envs, jnp.int32)
        return HeldAction(jnp.int32(0), zeros, zeros)

    def select(
        self, memory: HeldAction, values: jax.Array, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, HeldAction]:
        """See `Exploration.select`."""
        choice_key, duration_key = streams(key, "choice", "duration")
        chosen, at_random = epsilon_greedy(values, self.epsilon.at(memory.steps), choice_key)
        mass = jnp.cumsum(jnp.arange(1.0, self.longest + 1.0) ** -self.exponent)
        duration = 1 + jnp.searchsorted(mass, mass[-1] * jax.random.uniform(duration_key, chosen.shape))
        held = (memory.remaining > 0) & ~timestep.first
        action = jnp.where(held, memory.action, chosen)
        remaining = jnp.where(held, memory.remaining - 1, jnp.where(at_random, duration.astype(jnp.int32) - 1, 0))
        return action, HeldAction(memory.steps + values.shape[0], action, remaining)


class Boltzmann(Hyperparameters):
    """Actions drawn from `softmax(q / τ)`.

    Attributes:
      temperature: τ by environment steps of the member.
    """

    temperature: Annotated[LinearSchedule, Within(POSITIVE, FINITE)]

    @classmethod
    def decaying(cls, initial: float, final: float, steps: float) -> Self:
        """τ falling linearly over so many environment steps."""
        return cls(LinearSchedule(initial, final, steps))

    def init(self, num_envs: int) -> jax.Array:
        """Steps taken so far: none."""
        del num_envs
        return jnp.int32(0)

    def select(
        self, steps: jax.Array, values: jax.Array, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `Exploration.select`."""
        del timestep
        drawn = jax.random.categorical(key, values / self.temperature.at(steps), axis=-1)
        return drawn.astype(jnp.int32), steps + values.shape[0]

    def probabilities(self, steps: jax.Array, values: jax.Array) -> jax.Array:
        """See `Stochastic.probabilities`."""
        return jax.nn.softmax(values / self.temperature.at(steps), axis=-1)
