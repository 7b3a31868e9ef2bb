"""The Agent contract, and what every agent's update shares.

An agent is a frozen dataclass of static choices; all that learns is in its state, a pytree. Its functions are written
for one member of a population and vmapped over the members by the training loop.
"""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.envs.base import ActionSpec
from jaxq.errors import require
from jaxq.hyperparameters import INFINITY, OF_THE_RUN, as_leaves, require_in
from jaxq.keys import streams
from jaxq.meshes import over_data
from jaxq.networks import SAMPLES
from jaxq.types import Metrics, Network, PyTree, Rollout, TimeStep

# Optimizer states of networks up to this many parameters are kept as one vector: one fused update, not one a small
# array. For wider networks the concatenation costs more than it saves (measured: 64-wide gains, 256 loses).
FLATTEN_LIMIT = 50_000


class Agent(Protocol):
    """What every agent has. `E` is the number of environments of a member.

    One that learns from what its environments show as such, and not from batches, also has
    `observe(state, memory, timestep) -> (state, memory)`: it is shown every time step [E, ...] that they come to, in
    order; off policy at once, warm-up included, on policy those of a rollout when it has learned from it.
    """

    def init(self, key: jax.Array) -> PyTree:
        """A new agent's state."""

    def init_memory(self, num_envs: int) -> PyTree:
        """What acting carries from step to step: where schedules are, held actions, recurrent state."""

    def act(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """The behaviour policy.

        Returns:
          Actions [E, ...] for a TimeStep [E, ...], the new memory, and the record [E, ...]: what the agent wants to
          find of this step when it learns from it, in the replay or the rollout, whichever there is; `()` for most.
        """

    def exploit(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """The policy that is evaluated: actions [E, ...] for a TimeStep [E, ...], and the new memory."""


class OffPolicyAgent(Agent, Protocol):
    """What the off-policy loop needs of an agent."""

    def watch(
        self, state: Any, memory: Any, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """Memory and record of a step of the warm-up, whose actions [E, ...] are uniformly random."""

    def update(self, state: Any, batch: Any, key: jax.Array) -> tuple[PyTree, Metrics, jax.Array]:
        """One learning step on a batch from replay: the new state, scalars to log, and the samples' priorities [B]."""


class OnPolicyAgent(Agent, Protocol):
    """What the on-policy loop needs of an agent."""

    @property
    def updates_per_rollout(self) -> int:
        """Steps of the optimizer in an `update`."""

    def update(self, state: Any, rollout: Rollout, key: jax.Array) -> tuple[PyTree, Metrics]:
        """Learn from a rollout: the new state, and scalars to log."""


def observed(agent: Any, state: PyTree, memory: PyTree, timestep: TimeStep) -> tuple[PyTree, PyTree]:
    """State and memory of an agent after it was shown a time step [E, ...], if it is one that looks (see `Agent`)."""
    return agent.observe(state, memory, timestep) if hasattr(agent, "observe") else (state, memory)


@dataclasses.dataclass(frozen=True)
class AgentWrapper:
    """Base of agents around another one, by which it sees, or computes, something otherwise.

    Attributes:
      base: the other agent, off-policy or on-policy.
    """

    base: Any

    @property
    def observation_spec(self) -> Any:
        """Of the other agent."""
        return self.base.observation_spec

    @property
    def updates_per_rollout(self) -> int:
        """See `OnPolicyAgent.updates_per_rollout`."""
        agent: OnPolicyAgent = self.base
        return agent.updates_per_rollout

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`."""
        return self.base.init_memory(num_envs)


class RecordsNothing:
    """Base of off-policy agents that need nothing of acting when they learn."""

    def watch(
        self, state: Any, memory: PyTree, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """See `OffPolicyAgent.watch`: the warm-up leaves no trace."""
        del state, timestep, action, key
        return memory, ()


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
    updates: jax.Array = struct.field(metadata=OF_THE_RUN)
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


class Learner(struct.PyTreeNode):
    """A network that learns, of an agent with several, each with an optimizer; `LearnerState` is of agents with one.

    Attributes:
      variables: its parameters, and running statistics of those networks that keep some.
      target: the variables that targets are made with; `()` where there are none.
      optimizer_state: of the parameters' optimizer.
    """

    variables: PyTree
    target: PyTree
    optimizer_state: PyTree

    @classmethod
    def start(cls, variables: PyTree, optimizer: optax.GradientTransformation, has_target: bool) -> "Learner":
        """Before the first step, a target being a copy."""
        target = jax.tree.map(jnp.copy, variables) if has_target else ()
        return cls(variables, target, optimizer.init({"params": variables["params"]}))

    @property
    def params(self) -> PyTree:
        """What is learned of the variables."""
        return {"params": self.variables["params"]}

    @property
    def statistics(self) -> PyTree:
        """What is not."""
        return {name: value for name, value in self.variables.items() if name != "params"}

    @property
    def following(self) -> PyTree:
        """The variables that targets are made with."""
        return self.variables if self.target == () else self.target

    def descend(
        self, optimizer: optax.GradientTransformation, gradient: PyTree, statistics: PyTree, rate: jax.Array
    ) -> "Learner":
        """After one step down a gradient of `params`, with the statistics that came of it."""
        params, optimizer_state = descend(optimizer, gradient, self.optimizer_state, self.params, rate)
        return self.replace(variables={**params, **statistics}, optimizer_state=optimizer_state)

    def follow(self, schedule: Any, updates: jax.Array) -> "Learner":
        """After the target has followed, by its schedule."""
        return self if self.target == () else self.replace(target=schedule.step(self.target, self.variables, updates))


@dataclasses.dataclass(frozen=True)
class Epochs:
    """How a rollout is learned from: in epochs of minibatches, each epoch in an order of its own.

    Attributes:
      minibatches: into how many equal parts a rollout is cut; it must be divisible.
      epochs: how often each part is learned from.
    """

    minibatches: int
    epochs: int

    def __post_init__(self) -> None:
        require_in(1, INFINITY, minibatches=self.minibatches, epochs=self.epochs)

    @property
    def updates(self) -> int:
        """From one rollout."""
        return self.epochs * self.minibatches

    def learn(self, update: Any, state: Any, data: PyTree, key: jax.Array) -> tuple[Any, Metrics]:
        """Learn from data [B, ...].

        Args:
          update: `(state, (minibatch, key)) -> (state, metrics)`.
          state: of the learner.
          data: what a minibatch is cut from.
          key: one random key.

        Returns:
          The new state, and the metrics' means.
        """

        def epoch(state: Any, key: jax.Array) -> tuple[Any, Metrics]:
            shuffle_key, learn_key = streams(key, "shuffle", "learn")
            parts = minibatches_of(data, self.minibatches, shuffle_key)
            return jax.lax.scan(update, state, (parts, jax.random.split(learn_key, self.minibatches)))

        state, metrics = jax.lax.scan(epoch, state, jax.random.split(key, self.epochs))
        return state, jax.tree.map(jnp.mean, metrics)


def init_params(network: Network, key: jax.Array, *args: Any, **kwargs: Any) -> PyTree:
    """A network's parameters for inputs like these, its parameters and its samples drawn from streams of their own."""
    params_key, samples_key = streams(key, "params", SAMPLES)
    return network.init({"params": params_key, SAMPLES: samples_key}, *args, **kwargs)


def example_action(spec: ActionSpec, batch: int = 1) -> jax.Array:
    """Actions such as there are, [batch, ...], all zero."""
    like = jax.eval_shape(lambda: spec.sample(jax.random.key(0), batch))
    return jnp.zeros(like.shape, like.dtype)


def minibatches_of(tree: PyTree, count: int, key: jax.Array) -> PyTree:
    """Data [B, ...] in a random order and cut into equal parts: [count, B / count, ...].

    Raises:
      InputError: if the parts would not be equal.
    """
    size = jax.tree.leaves(tree)[0].shape[0]
    require(size % count == 0, "minibatches", count, f"a divisor of the {size} steps of a rollout")
    order = jax.random.permutation(key, size)
    return over_data(jax.tree.map(lambda leaf: leaf[order].reshape(count, -1, *leaf.shape[1:]), tree), 1)
