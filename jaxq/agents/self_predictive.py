"""Q-learning on representations that predict themselves, with resets: SPR and BBF.

Schwarzer et al., Data-Efficient RL with Self-Predictive Representations, 2021; Schwarzer et al., Bigger, Better,
Faster, 2023. Learned from sequences of replay; the first step of each is the transition that values learn from.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import LearnerState, init_params
from jaxq.agents.q_learning import ActsByQLearning
from jaxq.bellman import before_end, cut_at_end
from jaxq.bellman.arithmetic import chosen
from jaxq.envs.base import example_observation
from jaxq.errors import require
from jaxq.hyperparameters import OF_THE_RUN, as_leaves
from jaxq.keys import streams
from jaxq.lanes import flat, where_due
from jaxq.networks import SAMPLES
from jaxq.types import Metrics, PyTree, Segment, Transition


class AnnealedHorizon(struct.PyTreeNode):
    """n-step returns and discounts that move exponentially after each reset (BBF, section 4).

    Attributes:
      initial_steps, final_steps: n, 10 and 3 in the paper.
      initial_discount, final_discount: γ, 0.97 and 0.997.
      updates: until the final values are reached, 10,000.
    """

    initial_steps: Any
    final_steps: Any
    initial_discount: Any
    final_discount: Any
    updates: Any

    def at(self, count: jax.Array) -> tuple[jax.Array, jax.Array]:
        """n (a whole number, as a float) and γ so many updates after a reset."""
        share = jnp.clip(count / self.updates, 0.0, 1.0)
        steps = self.initial_steps * (self.final_steps / self.initial_steps) ** share
        # What is interpolated is the horizon 1 / (1 - γ), on a logarithmic scale.
        gap = (1.0 - self.initial_discount) * ((1.0 - self.final_discount) / (1.0 - self.initial_discount)) ** share
        return jnp.round(steps), 1.0 - gap


class ResetSchedule(struct.PyTreeNode):
    """When a network is reset, in updates: at `first`, and every `period` after it up to `last`.

    Attributes:
      first, period, last: updates; with `last` before `first` there is no reset.
    """

    first: Any
    period: Any
    last: Any

    @classmethod
    def every(cls, period: int, warmup: int, total_steps: int, updates_per_step: float) -> "ResetSchedule":
        """Resets every so many environment steps, counted from the run's first, warm-up included.

        There is none unless another whole period fits into the run after it, so that what is evaluated in the end has
        had the time to learn (BBF's authors' code, where 100,000 steps have resets at 20, 40, 60 and 80 thousand).

        Args:
          period: environment steps from reset to reset.
          warmup: environment steps before the first update.
          total_steps: environment steps of the run.
          updates_per_step: updates for each environment step after the warm-up.

        Raises:
          InputError: if the period is less than one.
        """
        require(period >= 1, "reset_period", period, "at least 1")

        def updates(steps: int) -> int:
            return round((steps - warmup) * updates_per_step)

        first = period * (warmup // period + 1)
        return cls(
            updates(first), max(round(period * updates_per_step), 1), updates(total_steps // period * period - period)
        )

    def due(self, updates: jax.Array) -> jax.Array:
        """Whether there is a reset after so many updates."""
        first, period, last = (jnp.int32(x) for x in (self.first, self.period, self.last))
        return (updates >= first) & (updates <= last) & ((updates - first) % period == 0)

    def since(self, updates: jax.Array) -> jax.Array:
        """Updates since the last reset that was due, or since the first update."""
        first, period, last = (jnp.int32(x) for x in (self.first, self.period, self.last))
        done = jnp.minimum(updates, last)
        return jnp.where(done >= first, updates - first - (done - first) // period * period, updates)


def first_transition(batch: Segment, steps: jax.Array) -> Transition:
    """The n-step window that a segment begins with, n being traced."""

    def turned(x: jax.Array) -> jax.Array:  # [L, B, ...] -> [B, L, ...]
        return jnp.swapaxes(x, 0, 1)

    ended = turned(batch.terminated | batch.truncated)
    rewards, taken, terminated = cut_at_end(turned(batch.reward), turned(batch.terminated), ended, steps)
    return Transition(
        observation=jax.tree.map(lambda seen: seen[0], batch.observation),
        action=batch.action[0],
        rewards=rewards,
        steps=taken,
        terminated=terminated,
        next_observation=jax.tree.map(lambda seen: seen[taken, jnp.arange(taken.shape[0])], batch.observation),
        weight=batch.weight,
        index=batch.index,
    )


def as_they_are(images: jax.Array, key: jax.Array) -> jax.Array:
    """No augmentation."""
    del key
    return images


class SelfPredictiveState(struct.PyTreeNode):
    """All of the agent that changes.

    Attributes:
      values: of the Q-learner.
      horizon: the annealed numbers.
      resets: when there are some.
      key: of resets.
    """

    values: LearnerState
    horizon: AnnealedHorizon = struct.field(metadata=OF_THE_RUN)
    resets: ResetSchedule = struct.field(metadata=OF_THE_RUN)
    key: jax.Array = struct.field(metadata=OF_THE_RUN)


@dataclasses.dataclass(frozen=True)
class SelfPredictiveQLearning(ActsByQLearning):
    """BBF's agent.

    At each reset the encoder and the transition model are mixed with freshly initialized ones and everything else is
    replaced, in the targets too, by initial parameters of their own; and the optimizer forgets. Behaviour follows the
    target parameters, as in the paper.

    Attributes:
      base: its network is a `SelfPredictiveNetwork`; of its numbers the discount is replaced by the annealed one.
      horizon: the annealed numbers.
      resets: when the networks are reset.
      jumps: K, how many steps are foreseen; 5 in the papers.
      prediction_weight: of the self-prediction's loss, a squared distance of unit vectors; 5 in BBF.
      kept: share of encoder and transition model that a reset keeps; 0.5 in BBF.
      augmentation: of images that are learned from, (images [B, H, W, C], key) -> images; as they are unless given.
    """

    horizon: AnnealedHorizon
    resets: ResetSchedule
    jumps: int = 5
    prediction_weight: float = 5.0
    kept: float = 0.5
    augmentation: Callable[[jax.Array, jax.Array], jax.Array] = as_they_are

    def __post_init__(self) -> None:
        require(self.jumps >= 1, "jumps", self.jumps, "at least 1")
        require(self.prediction_weight >= 0, "prediction_weight", self.prediction_weight, "0 or more")
        require(0 <= self.kept <= 1, "kept", self.kept, "in [0, 1]")
        horizon = self.horizon
        steps, allowed = horizon.final_steps, f"in 1 .. initial_steps, which is {horizon.initial_steps}"
        require(1 <= steps <= horizon.initial_steps, "final_steps", steps, allowed)
        for name in ("initial_discount", "final_discount"):
            require(0 <= getattr(horizon, name) < 1, name, getattr(horizon, name), "in [0, 1)")

    def _fresh(self, key: jax.Array) -> PyTree:
        observation = example_observation(self.base.observation_spec)
        network: Any = self.base.network
        return init_params(network, key, observation, jnp.zeros((1, 1), jnp.int32), method="foresee")

    def init(self, key: jax.Array) -> SelfPredictiveState:
        """See `Agent.init`."""
        params_key, reset_key = streams(key, "params", "resets")
        values = LearnerState.with_target(self._fresh(params_key), self.base.optimizer, self.base.hyper)
        return SelfPredictiveState(values, as_leaves(self.horizon), as_leaves(self.resets), reset_key)

    def acting(self, state: SelfPredictiveState, key: jax.Array) -> LearnerState:
        """See `ActsByQLearning.acting`: the target parameters."""
        del key
        return state.values.replace(params=state.values.target_params)

    def update(
        self, state: SelfPredictiveState, batch: Segment, key: jax.Array
    ) -> tuple[SelfPredictiveState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`."""
        base, values, hyper = self.base, state.values, state.values.hyper
        network: Any = base.network
        length, size = batch.reward.shape
        require(self.jumps <= length, "jumps", self.jumps, f"at most the sequences' length of {length}")
        steps, discount = state.horizon.at(state.resets.since(values.updates))
        transition = first_transition(batch, steps)
        now_key, after_key, learn_key, backup_key = streams(key, "augmentation", "next augmentation", "learn", "backup")
        images = batch.observation[: self.jumps + 1]
        images = self.augmentation(flat(images), now_key).reshape(*images.shape)
        outcome = base.outcome(hyper.replace(discount=discount), transition)
        outcome = outcome.replace(
            observation=images[0], next_observation=self.augmentation(transition.next_observation, after_key)
        )
        target = base.backup(hyper, values.params, values.target_params, outcome, backup_key)
        representation = base.representation

        later = flat(images[1:])
        seen = network.apply(values.target_params, later, method="seen").reshape(self.jumps, size, -1)
        # What lies beyond the episode's end is another story.
        ended = (batch.terminated | batch.truncated)[: self.jumps]
        counts = before_end(ended, axis=0)

        def objective(params: PyTree) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            predictions, foreseen = network.apply(
                params,
                images[0],
                batch.action[: self.jumps],
                method="foresee",
                rngs={SAMPLES: learn_key},
            )
            prediction = chosen(predictions, transition.action)
            of_values = jnp.mean(batch.weight * representation.loss(prediction, target))
            distance = 2.0 - 2.0 * optax.losses.cosine_similarity(foreseen, seen, epsilon=1e-6)
            of_foresight = jnp.mean(batch.weight * jnp.mean(counts * distance, axis=0))
            mean_q = jnp.mean(representation.value(prediction))
            metrics = {"loss": of_values, "foresight": of_foresight, "mean_q": mean_q}
            loss = of_values + self.prediction_weight * of_foresight
            return loss, (metrics, representation.priority(prediction, target))

        gradient, (metrics, priority) = jax.grad(objective, has_aux=True)(values.params)
        values = values.descend(base.optimizer, gradient).follow()
        state = state.replace(values=values)
        state = where_due(state.resets.due(values.updates), lambda: self._reset(state), state)
        return state, metrics, priority

    def _reset(self, state: SelfPredictiveState) -> SelfPredictiveState:
        values = state.values
        params_key, target_key = streams(jax.random.fold_in(state.key, values.updates), "params", "target params")

        def mixed(params: PyTree, key: jax.Array) -> PyTree:
            fresh = self._fresh(key)["params"]

            def of(name: str, old: PyTree, new: PyTree) -> PyTree:
                kept = self.kept if name in ("encoder", "transition") else 0.0
                return jax.tree.map(lambda o, n: kept * o + (1.0 - kept) * n, old, new)

            return {"params": {name: of(name, params["params"][name], new) for name, new in fresh.items()}}

        values = values.replace(
            params=mixed(values.params, params_key),
            target_params=mixed(values.target_params, target_key),
            optimizer_state=self.base.optimizer.init(values.params),
        )
        return state.replace(values=values)
