"""Q-learning on a torso that also predicts, or only predicts, the values of random rewards.

Proto-value networks (Farebrother et al., Proto-Value Networks: Scaling Representation Learning with Auxiliary Tasks,
2023): the tasks are the successor measure of random sets of states, under the uniform policy; a linear value function
stands on the torso that they train. Random rewards as tasks beside the main one: Lyle et al., 2021; Dabney et al.,
2021.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import LearnerState, init_params
from jaxq.agents.q_learning import ActsByQLearning
from jaxq.bellman import n_step_return
from jaxq.bellman.arithmetic import chosen
from jaxq.envs.base import example_observation
from jaxq.errors import require
from jaxq.keys import streams
from jaxq.networks import ActionValueHead
from jaxq.types import Metrics, Network, PyTree, Transition

Task = Callable[[jax.Array, jax.Array], jax.Array]


def random_indicators(outputs: jax.Array, thresholds: jax.Array) -> jax.Array:
    """1 where a random network's outputs lie above their thresholds: sets of states. [B, K], [K] -> [B, K]."""
    return (outputs > thresholds).astype(jnp.float32)


def random_rewards(outputs: jax.Array, thresholds: jax.Array) -> jax.Array:
    """A random network's outputs over their medians. [B, K], [K] -> [B, K]."""
    return outputs - thresholds


class AuxiliaryState(struct.PyTreeNode):
    """All of the agent that changes, and the random network, which does not.

    Attributes:
      values: of the Q-learner; its parameters are of `torso`, `head` and `tasks`.
      random: parameters of the random network.
      thresholds: [K] running quantiles of its outputs.
    """

    values: LearnerState
    random: PyTree
    thresholds: jax.Array


@dataclasses.dataclass(frozen=True)
class AuxiliaryQLearning(ActsByQLearning):
    """A Q-learner with K tasks on its torso.

    Attributes:
      base: the Q-learner; its network has submodules `torso` and `head`.
      random_network: [B, ...] -> [B, K], never trained.
      num_actions: A.
      num_tasks: K.
      task: what of the random network's outputs is a task's reward.
      coverage: share of states above a threshold; in the paper's experiments a few percent do best, of which the exact
        figure is not known to us.
      learns_from_values: whether the main loss trains the torso too; in proto-value networks it does not.
    """

    random_network: Network
    num_actions: int
    num_tasks: int = 64
    task: Task = random_indicators
    coverage: float = 0.05
    learns_from_values: bool = False

    def __post_init__(self) -> None:
        require(self.num_tasks >= 1, "num_tasks", self.num_tasks, "at least 1")
        require(0 < self.coverage < 1, "coverage", self.coverage, "in (0, 1)")

    @property
    def _tasks_head(self) -> ActionValueHead:
        return ActionValueHead(self.num_actions, self.num_tasks)

    def init(self, key: jax.Array) -> AuxiliaryState:
        """See `Agent.init`."""
        values_key, random_key, tasks_key = streams(key, "values", "random", "tasks")
        observation = example_observation(self.base.observation_spec)
        own = self.base.init(values_key).params
        features = self._features(own, observation)
        tasks = self._tasks_head.init(tasks_key, features)["params"]
        params = {"params": {**own["params"], "tasks": tasks}}
        values = LearnerState.with_target(params, self.base.optimizer, self.base.hyper)
        random = init_params(self.random_network, random_key, observation)
        return AuxiliaryState(values, random, jnp.zeros(self.num_tasks))

    def _features(self, params: PyTree, observation: jax.Array) -> jax.Array:
        network: Any = self.base.network
        return network.torso.apply({"params": params["params"]["torso"]}, observation)

    def acting(self, state: AuxiliaryState, key: jax.Array) -> LearnerState:
        """See `ActsByQLearning.acting`."""
        del key
        return state.values

    def update(
        self, state: AuxiliaryState, batch: Transition, key: jax.Array
    ) -> tuple[AuxiliaryState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
        base, values, hyper = self.base, state.values, state.values.hyper
        outputs = self.random_network.apply(state.random, batch.next_observation)
        reward = self.task(outputs, state.thresholds)
        # Windows of n steps collect one reward of a task, that of their last state: a successor measure every n steps.
        _, discount = n_step_return(batch.rewards, batch.steps, batch.terminated, hyper.discount)
        following = self._tasks(values.target_params, batch.next_observation).mean(axis=1)
        task_target = reward + discount[:, None] * following  # [B, K]

        def objective(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            torso = params["params"]["torso"]
            main = torso if self.learns_from_values else jax.lax.stop_gradient(torso)
            of_values, (metrics, priority) = base.objective(
                hyper, {"params": {**params["params"], "torso": main}}, values.target_params, batch, key
            )
            predictions = self._tasks(params, batch.observation)  # [B, A, K]
            error = chosen(predictions, batch.action) - task_target
            of_tasks = jnp.mean(batch.weight * jnp.mean(0.5 * error**2, axis=1))
            return of_values + of_tasks, ({**metrics, "task_loss": of_tasks}, priority)

        gradient, (metrics, priority) = jax.grad(objective, has_aux=True)(values.params)
        values = values.descend(base.optimizer, gradient).follow()
        # A step of quantile regression: the threshold that `coverage` of the outputs lie above.
        above = jnp.mean(outputs > state.thresholds, axis=0)
        thresholds = state.thresholds + 0.05 * jnp.std(outputs) * (above - self.coverage)
        return state.replace(values=values, thresholds=thresholds), metrics, priority

    def _tasks(self, params: PyTree, observation: jax.Array) -> jax.Array:
        head: Any = self._tasks_head
        return head.apply({"params": params["params"]["tasks"]}, self._features(params, observation))
