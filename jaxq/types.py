"""The words every room shares: what an environment says, and what a learner is given.

Shapes are written for one batch: `B` environments or samples, `n` steps of an n-step window.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct

PyTree = Any
Metrics = dict[str, jax.Array]


class Network(Protocol):
    """What agents need of a flax module: parameters from a key, and outputs from parameters."""

    def init(self, rngs: Any, *args: Any) -> Any:
        """Parameters for inputs like `args`."""

    def apply(self, variables: Any, *args: Any, rngs: Any = None) -> Any:
        """The outputs."""


class TimeStep(struct.PyTreeNode):
    """What a batch of environments returns from `reset` and `step`.

    Under next-step autoreset the step that ends an episode carries the true final observation, with `terminated` or
    `truncated` set; the step after it ignores its action and returns the next episode's first observation, with
    `first` set and a reward of zero.

    An episode may also be broken off: where an observation or a reward is not finite, there is nothing to be learned
    from the step, and a `first` takes its place though the TimeStep before it was not `last`. So an action was ignored
    if and only if the TimeStep that follows it is `first`, and what it followed was its episode's end, if not by
    termination then by truncation.

    Attributes:
      observation: [B, ...] what the agent sees now.
      reward: [B] float32, received on arriving at `observation`; [B, C] where rewards have several channels.
      terminated: [B] bool, the task itself ended here: the value of `observation` is zero.
      truncated: [B] bool, the episode was cut off here: `observation` still has a value to bootstrap from.
      first: [B] bool, `observation` is the first of its episode.
    """

    observation: PyTree
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    first: jax.Array

    @property
    def last(self) -> jax.Array:
        """[B] bool: the episode ends with this observation, for whichever reason."""
        return self.terminated | self.truncated

    @property
    def total_reward(self) -> jax.Array:
        """[B] the reward, over all its channels."""
        return self.reward if self.reward.ndim == 1 else self.reward.sum(axis=-1)


def broken_off(timestep: TimeStep, following: TimeStep) -> jax.Array:
    """[B] bool: the episode was broken off after `timestep`, since what followed was not finite."""
    return following.first & ~timestep.last


class Transition(struct.PyTreeNode):
    """A batch of n-step windows, as replay samples them; the discount is applied by whoever learns from it.

    Attributes:
      observation: [B, ...] where the window starts.
      action: [B, ...] the action taken there.
      rewards: [B, n], or [B, n, C], the rewards that followed, zero after the episode's end.
      steps: [B] int32 in 1..n, how many of `rewards` count.
      terminated: [B] bool, `next_observation` is terminal: nothing is bootstrapped from it.
      next_observation: [B, ...] the observation `steps` later; the true final one of a truncated episode.
      weight: [B] float32, the importance weight of each sample; zero for a sample to be ignored.
      index: [B] int32, where the sample came from, for giving it a new priority.
      record: [B, ...] what the agent recorded when it took the action.
      priority: [B] its priority as it was drawn, of replays that have some.
    """

    observation: PyTree
    action: jax.Array
    rewards: jax.Array
    steps: jax.Array
    terminated: jax.Array
    next_observation: PyTree
    weight: jax.Array
    index: jax.Array
    record: PyTree = ()
    priority: PyTree = ()

    @property
    def batch_axes(self) -> Any:
        """Where B is in each leaf, as of `jax.vmap`."""
        return 0


class Outcome(struct.PyTreeNode):
    """What came of a batch of actions, as a Bellman backup takes it: `reward + discount * value(next_observation)`.

    Attributes:
      observation: [B, ...] where the action was taken.
      action: [B, ...].
      reward: [B], or [B, C], the discounted sum of the rewards in between.
      discount: [B] of the value that follows, zero where `next_observation` is terminal.
      next_observation: [B, ...].
    """

    observation: PyTree
    action: jax.Array
    reward: jax.Array
    discount: jax.Array
    next_observation: PyTree


class Segment(struct.PyTreeNode):
    """A batch of L consecutive steps, as sequence replay samples them; time first. Episodes may end inside.

    Attributes:
      observation: [L + 1, B, ...].
      action: [L, B, ...] the action taken at each observation but the last.
      reward: [L, B], or [L, B, C], that followed.
      terminated, truncated: [L, B] whether the next observation ended its episode, and how.
      final: [L, B] whether this observation did: its action was ignored, and the next one is the first of an episode.
      weight: [B] float32, the importance weight of each sample; zero for a sample to be ignored.
      index: [B] int32, where the sample came from.
      record: [L, B, ...] what the agent recorded when it took each action.
      priority: [B] its priority as it was drawn, of replays that have some.
    """

    observation: PyTree
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final: jax.Array
    weight: jax.Array
    index: jax.Array
    record: PyTree = ()
    priority: PyTree = ()

    @property
    def batch_axes(self) -> Any:
        """Where B is in each leaf, as of `jax.vmap`."""
        return Segment(1, 1, 1, 1, 1, 1, 0, 0, 1, 0)  # type: ignore[arg-type]


class Rollout(struct.PyTreeNode):
    """What T steps of on-policy collection saw, time first.

    Attributes:
      timestep: [T, E, ...] what the agent acted on; where `timestep.last`, its action was ignored. Where an episode was
        broken off it is truncated.
      action: [T, E, ...].
      record: [T, E, ...] what the agent wanted to keep of acting: values, log-probabilities.
      following: [E, ...] what came of the last action.
      memory: what acting carried when the rollout began.
    """

    timestep: TimeStep
    action: jax.Array
    record: PyTree
    following: TimeStep
    memory: PyTree

    def arrived(self, field: str) -> PyTree:
        """[T, E, ...] a field of the time steps that the actions led to."""
        return jax.tree.map(
            lambda seen, last: jnp.concatenate([seen[1:], last[None]]),
            getattr(self.timestep, field),
            getattr(self.following, field),
        )
