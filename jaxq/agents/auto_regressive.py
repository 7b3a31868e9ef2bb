"""Auto-regressive soft Q-learning: a soft value and the advantages of choices that are made one after the other.

ARSQ (Liu et al., Learning from Suboptimal Data in Continuous Control via Auto-Regressive Soft Q-Network, 2025).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxq.agents.base import LearnerState, RecordsNothing, init_params
from jaxq.bellman import n_step_return
from jaxq.bellman.arithmetic import value_of
from jaxq.envs.base import ObservationSpec, example_observation
from jaxq.envs.discretized import Cells
from jaxq.hyperparameters import Hyperparameters, Positive, Share, StepSize
from jaxq.keys import streams
from jaxq.types import Metrics, Network, PyTree, TimeStep, Transition


class AutoRegressiveHyperparameters(Hyperparameters):
    """The numbers of the agent; each is a leaf of its state.

    Attributes:
      learning_rate: step size of the optimizer, by updates.
      target: the schedule of the target parameters.
      temperature: α, the price of entropy.
      discount: γ in [0, 1].
    """

    learning_rate: StepSize
    target: Any
    temperature: Positive = 0.01
    discount: Share = 0.99


def soft_advantages(utilities: jax.Array, temperature: Any) -> jax.Array:
    """`A = u - α log Σ exp(u / α)` over the last axis, whose soft value is zero (soft dueling, eq. 11)."""
    return utilities - temperature * jax.nn.logsumexp(utilities / temperature, axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class AutoRegressiveSoftQLearning(RecordsNothing):
    """ARSQ, online: from replay of its own experience, without the term for demonstrations, which it has none of.

    An action is P = L × D choices in their order, by levels and in each by dimensions. Its value is
    `Q(s, a) = V(s) + Σ_p A_p(s, a_{<p}, a_p)`; as each A_p is normalized, V is the soft value `α log Σ_a exp(Q / α)`
    and the policy draws one choice after the other by `softmax(A_p / α)`. Several critics learn `r + γ min_k V̄_k(s')`;
    the policy takes the smallest of their advantages, as the authors' code does. Nothing else explores.

    Attributes:
      value: an `Ensemble` of networks [B, ...] -> [M, B, 1, 1].
      utility: an `Ensemble` of `UtilityNetwork`s, -> [M, B, Q, n].
      observation_spec: of one environment.
      optimizer: made without a learning rate.
      hyper: initial hyperparameters.
      cells: of the actions.
    """

    value: Network
    utility: Network
    observation_spec: ObservationSpec
    optimizer: optax.GradientTransformation
    hyper: AutoRegressiveHyperparameters
    cells: Cells

    @property
    def places(self) -> int:
        """P."""
        return self.cells.levels * self.cells.size

    def init(self, key: jax.Array) -> LearnerState:
        """See `OffPolicyAgent.init`."""
        value_key, utility_key = streams(key, "value", "utility")
        observation = example_observation(self.observation_spec)
        centre, place = jnp.zeros((1, 1, self.cells.size)), jnp.zeros(1, jnp.int32)
        params = {
            "value": init_params(self.value, value_key, observation),
            "utility": init_params(self.utility, utility_key, observation, centre, place),
        }
        return LearnerState.with_target(params, self.optimizer, self.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`: none."""
        del num_envs
        return ()

    def values(self, params: PyTree, observation: PyTree) -> jax.Array:
        """V of each critic, [M, B]."""
        return self.value.apply(params["value"], observation)[..., 0, 0]

    def advantages(
        self, params: PyTree, observation: PyTree, centre: jax.Array, place: jax.Array, temperature: jax.Array
    ) -> jax.Array:
        """A of each critic, told the centres [B, Q, D] of all intervals, at places [Q]: [M, B, Q, n]."""
        return soft_advantages(self.utility.apply(params["utility"], observation, centre, place), temperature)

    def on_path(self, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Centres [B, P, D] that are told before each choice on the way to actions [B, D], and the choices [B, P]."""
        levels, size = self.cells.levels, self.cells.size
        index = self.cells.index(action)
        before = jnp.moveaxis(self.cells.intervals(index), -1, 1)  # [B, L, D]
        choices = jnp.moveaxis(self.cells.choices(index), -1, 1)
        level = jnp.arange(levels)[:, None]
        coarse = self.cells.centre(before, level)
        fine = self.cells.centre(before * self.cells.bins + choices, level + 1)
        # Before dimension d chooses, those before it have gone on to the next level.
        gone_on = jnp.arange(size) < jnp.arange(size)[:, None]  # [d, D]
        told = jnp.where(gone_on, fine[:, :, None, :], coarse[:, :, None, :])
        return told.reshape(-1, self.places, size), choices.reshape(-1, self.places)

    def action_values(self, params: PyTree, observation: PyTree, action: jax.Array, temperature: Any) -> jax.Array:
        """Q of actions [B, D] by each critic, [M, B]."""
        told, choices = self.on_path(action)
        advantages = self.advantages(params, observation, told, jnp.arange(self.places), temperature)
        return self.values(params, observation) + jnp.sum(value_of(advantages, choices), axis=-1)

    def log_policy(self, params: PyTree, observation: PyTree, action: jax.Array, temperature: Any) -> jax.Array:
        """The log-probabilities of actions [B, D], [B]."""
        told, choices = self.on_path(action)
        advantages = self.advantages(params, observation, told, jnp.arange(self.places), temperature).min(axis=0)
        log_policy = jax.nn.log_softmax(advantages / temperature, axis=-1)
        return jnp.sum(value_of(log_policy, choices), axis=1)

    def act(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`: a sample of the policy."""

        def draw(logits: jax.Array, place: jax.Array) -> jax.Array:
            return jax.random.categorical(jax.random.fold_in(key, place), logits, axis=-1)

        return self._in_order(state, timestep.observation, draw), memory, ()

    def exploit(
        self, state: LearnerState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the likeliest choice at each place."""
        del key
        return self._in_order(state, timestep.observation, lambda logits, place: jnp.argmax(logits, axis=-1)), memory

    def _in_order(self, state: LearnerState, observation: PyTree, choose: Any) -> jax.Array:
        """Actions [B, D] by choices one after the other, each made by `choose(logits [B, n], place)`."""
        cells, temperature = self.cells, state.hyper.temperature
        batch = jax.tree.leaves(observation)[0].shape[0]

        def step(index: jax.Array, place: jax.Array) -> tuple[jax.Array, None]:
            level, dimension = place // cells.size, place % cells.size
            depth = level + (jnp.arange(cells.size) < dimension)
            told = cells.centre(index, depth)[:, None]
            advantages = self.advantages(state.params, observation, told, place[None], temperature).min(axis=0)[:, 0]
            choice = choose(advantages / temperature, place).astype(jnp.int32)
            finer = index * cells.bins + choice[:, None]
            return jnp.where(jnp.arange(cells.size) == dimension, finer, index), None

        index, _ = jax.lax.scan(step, jnp.zeros((batch, cells.size), jnp.int32), jnp.arange(self.places))
        return cells.action(index)

    def update(self, state: LearnerState, batch: Transition, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
        del key
        hyper = state.hyper
        reward, discount = n_step_return(batch.rewards, batch.steps, batch.terminated, hyper.discount)
        following = self.values(state.target_params, batch.next_observation).min(axis=0)
        target = jax.lax.stop_gradient(reward + discount * following)

        def loss(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            q = self.action_values(params, batch.observation, batch.action, hyper.temperature)
            error = q - target
            value = jnp.sum(jnp.mean(batch.weight * error**2, axis=1))
            return value, ({"loss": value, "mean_q": jnp.mean(q)}, jnp.mean(jnp.abs(error), axis=0))

        (_, (metrics, priority)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        return state.descend(self.optimizer, gradient).follow(), metrics, priority
