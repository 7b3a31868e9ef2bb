"""The Agent contract, and what every agent's update shares.

An agent is a frozen dataclass of static choices; all that learns is in its state, a pytree. Its functions are written
for one member of a population and vmapped over the members by the training loop.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.envs.base import ActionSpec, ObservationSpec
from jaxq.errors import require
from jaxq.types import Metrics, PyTree, Rollout, TimeStep

# Optimizer states of networks up to this many parameters are kept as one vector: one fused update, not one a small
# array. For wider networks the concatenation costs more than it saves (measured: 64-wide gains, 256 loses).
FLATTEN_LIMIT = 50_000

POSITIVE = 1e-30  # the low end of an interval that excludes zero
INFINITY = float("inf")


class Actor(Protocol):
    """What every agent has. `E` is the number of environments of a member."""

    def init(self, key: jax.Array) -> PyTree:
        """A new agent's state."""

    def init_memory(self, num_envs: int) -> PyTree:
        """What acting carries from step to step: where schedules are, held actions, recurrent state."""

    def exploit(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """The policy that is evaluated: actions [E, ...] for a TimeStep [E, ...], and the new memory."""


class Agent(Actor, Protocol):
    """What the off-policy loop needs of an agent."""

    def act(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """The behaviour policy: as `exploit`, exploring."""

    def update(self, state: Any, batch: Any, key: jax.Array) -> tuple[PyTree, Metrics, jax.Array]:
        """One learning step on a batch from replay: the new state, scalars to log, and the samples' priorities [B]."""


class OnPolicyAgent(Actor, Protocol):
    """What the on-policy loop needs of an agent."""

    def behave(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """The behaviour policy: as `exploit`, exploring, and what the agent wants to find in the rollout [E, ...]."""

    @property
    def updates_per_rollout(self) -> int:
        """Steps of the optimizer in an `update`."""

    def update(self, state: Any, rollout: Rollout, key: jax.Array) -> tuple[PyTree, Metrics]:
        """Learn from a rollout: the new state, and scalars to log."""


def flatten_small(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optax.flatten` where it pays: for networks of at most `FLATTEN_LIMIT` parameters."""
    flat = optax.flatten(optimizer)

    def choose(tree: PyTree) -> optax.GradientTransformation:
        size = sum(leaf.size for leaf in jax.tree.leaves(tree))
        return flat if size <= FLATTEN_LIMIT else optimizer

    return optax.GradientTransformation(
        lambda params: choose(params).init(params),
        lambda updates, state, params=None: choose(updates).update(updates, state, params),
    )


def in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` over the first axis of its arguments, for work whose matrix products already fill the machine.

    On the CPU one after the other: XLA's batched matrix products there are several times slower than the same products
    one by one. Accelerators work side by side.
    """
    if jax.default_backend() != "cpu":
        return jax.vmap(function)
    return lambda *args: jax.lax.map(lambda member: function(*member), args)


def except_for(
    module: str, theirs: optax.GradientTransformation, others: optax.GradientTransformation
) -> optax.GradientTransformation:
    """An optimizer by which submodules of one name learn by `theirs` and everything else by `others`."""

    def label(params: PyTree) -> PyTree:
        def of(path: Any, leaf: Any) -> str:
            del leaf
            return "theirs" if any(getattr(part, "key", None) == module for part in path) else "others"

        return jax.tree_util.tree_map_with_path(of, params)

    return optax.partition({"theirs": theirs, "others": others}, label)


def descend(
    optimizer: optax.GradientTransformation,
    gradient: PyTree,
    optimizer_state: PyTree,
    params: PyTree,
    learning_rate: jax.Array,
) -> tuple[PyTree, PyTree]:
    """One step of an optimizer made without a learning rate, which is a leaf of the agent's state instead.

    Returns:
      The new parameters and the new optimizer state.
    """
    direction, optimizer_state = optimizer.update(gradient, optimizer_state, params)
    return jax.tree.map(lambda p, d: p - learning_rate * d, params, direction), optimizer_state


class LearnerState(struct.PyTreeNode):
    """All that changes of an agent with one optimizer.

    Attributes:
      params: of the network.
      target_params: of its target; `()` where there is none.
      optimizer_state: of the optimizer.
      updates: int32, learning steps taken.
      hyper: the agent's numbers; `learning_rate` and, with target parameters, `target` are among them.
    """

    params: PyTree
    target_params: PyTree
    optimizer_state: PyTree
    updates: jax.Array
    hyper: Any

    @classmethod
    def start(
        cls, params: PyTree, optimizer: optax.GradientTransformation, hyper: Any, target_params: PyTree = ()
    ) -> "LearnerState":
        """Before the first step."""
        return cls(params, target_params, optimizer.init(params), jnp.int32(0), as_leaves(hyper))

    @classmethod
    def with_target(cls, params: PyTree, optimizer: optax.GradientTransformation, hyper: Any) -> "LearnerState":
        """Before the first step, the target being a copy."""
        return cls.start(params, optimizer, hyper, jax.tree.map(jnp.copy, params))

    def descend(self, optimizer: optax.GradientTransformation, gradient: PyTree) -> "LearnerState":
        """After one step of `optimizer`, made without a learning rate, down a gradient of `params`."""
        rate = self.hyper.learning_rate.at(self.updates)
        params, optimizer_state = descend(optimizer, gradient, self.optimizer_state, self.params, rate)
        return self.replace(params=params, optimizer_state=optimizer_state, updates=self.updates + 1)

    def follow(self) -> "LearnerState":
        """After the target has followed, by its schedule."""
        target_params = self.hyper.target.step(self.target_params, self.params, self.updates)
        return self.replace(target_params=target_params)


def in_epochs(
    learn: Any, state: Any, data: PyTree, epochs: int, minibatches: int, key: jax.Array
) -> tuple[Any, Metrics]:
    """Learn from data [B, ...] in some epochs of minibatches, each epoch in an order of its own.

    Args:
      learn: `(state, (minibatch, key)) -> (state, metrics)`.
      state: of the learner.
      data: what a minibatch is cut from.
      epochs, minibatches: how often, and into how many equal parts.
      key: one random key.

    Returns:
      The new state, and the metrics' means.
    """

    def epoch(state: Any, key: jax.Array) -> tuple[Any, Metrics]:
        shuffle_key, learn_key = jax.random.split(key)
        parts = minibatches_of(data, minibatches, shuffle_key)
        return jax.lax.scan(learn, state, (parts, jax.random.split(learn_key, minibatches)))

    state, metrics = jax.lax.scan(epoch, state, jax.random.split(key, epochs))
    return state, jax.tree.map(jnp.mean, metrics)


def example_observation(spec: ObservationSpec) -> jax.Array:
    """A batch of one observation of zeros, to initialize networks with."""
    return jnp.zeros((1, *spec.shape), spec.dtype)


def example_action(spec: ActionSpec) -> jax.Array:
    """A batch of one action."""
    return jnp.zeros_like(spec.sample(jax.random.key(0), 1))


def require_in(low: float, high: float, **fields: Any) -> None:
    """Check numbers before they become leaves, where nothing can be raised any more.

    Args:
      low, high: the closed interval allowed.
      fields: numbers by name.

    Raises:
      InputError: naming the first that is outside, or NaN.
    """
    for name, value in fields.items():
        require(low <= value <= high, name, value, f"in [{low:g}, {high:g}]")


def as_leaves(hyperparameters: PyTree) -> PyTree:
    """Hyperparameters as arrays, so that each member of a population can have its own and none is compiled in."""
    return jax.tree.map(jnp.float32, hyperparameters)


def minibatches_of(tree: PyTree, count: int, key: jax.Array) -> PyTree:
    """Data [B, ...] in a random order and cut into equal parts: [count, B / count, ...].

    Raises:
      InputError: if the parts would not be equal.
    """
    size = jax.tree.leaves(tree)[0].shape[0]
    require(size % count == 0, "minibatches", count, f"a divisor of the {size} steps of a rollout")
    order = jax.random.permutation(key, size)
    return jax.tree.map(lambda leaf: leaf[order].reshape(count, -1, *leaf.shape[1:]), tree)
