"""Networks that are made to forget: anew at given updates, or in part, by how many of their units are dormant."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.actor_critic import ActorCritic, ActorCriticState
from jaxq.errors import require
from jaxq.keys import stream
from jaxq.lanes import where_due
from jaxq.types import PyTree, Transition


@dataclasses.dataclass(frozen=True)
class FullResets:
    """Everything that learns begins anew after certain numbers of updates (Nikishin et al., 2022, as in BRO).

    Networks, targets, optimizers and temperatures; what is replayed stays. BRO's authors begin anew from the numbers
    that the run began with; here from fresh ones.

    Attributes:
      updates: after how many.
    """

    updates: Sequence[int]

    def step(self, agent: ActorCritic, state: ActorCriticState, batch: Transition, key: jax.Array) -> ActorCriticState:
        """See `Resets.step`."""
        del batch
        if not self.updates:
            return state

        def anew() -> ActorCriticState:
            return agent.like(state).init(key).replace(updates=state.updates)

        due = jnp.isin(state.updates, jnp.array(self.updates))
        return where_due(due, anew, state)


@dataclasses.dataclass(frozen=True)
class DormancyResets:
    """Parameters move towards fresh ones by the share of dormant units in the actor (ACE, Ji et al., 2024).

    A unit is dormant if the gradient of its weights is smaller than `threshold` times the mean of its layer. Of β such
    units in the actor `η = 1 - β`, kept in [0.2, 0.9], is what is kept: `θ <- η θ + (1 - η) φ` with fresh φ, for
    actor, critics and target critics, each with its own, as the authors' code has it; their optimizers begin anew, and
    the temperature is left alone. The gradient is that of the actor on the batch at hand, where the authors take the
    last one; φ is made as the networks were.

    Attributes:
      period: updates between two resets.
      threshold: as above.
      smallest, largest: between which η is kept.
    """

    period: int
    threshold: float
    smallest: float = 0.2
    largest: float = 0.9

    def __post_init__(self) -> None:
        require(self.period >= 1, "reset_period", self.period, "at least 1")
        require(self.threshold >= 0, "dormancy_threshold", self.threshold, "0 or more")

    def step(self, agent: ActorCritic, state: ActorCriticState, batch: Transition, key: jax.Array) -> ActorCriticState:
        """See `Resets.step`."""

        def reset() -> ActorCriticState:
            _, gradient = agent.actor_gradient(state, batch, stream(key, "dormancy"))
            keep = jnp.clip(1.0 - dormant_share(gradient, self.threshold), self.smallest, self.largest)

            def towards(old: Any, fresh: Any) -> Any:
                return jax.tree.map(lambda o, f: keep * o + (1.0 - keep) * f, old, fresh)

            fresh, fresh_target = (agent.like(state).init(stream(key, name)) for name in ("fresh", "fresh target"))
            actor = fresh.actor.replace(variables=towards(state.actor.variables, fresh.actor.variables))
            critic = fresh.critic.replace(
                variables=towards(state.critic.variables, fresh.critic.variables),
                target=towards(state.critic.target, fresh_target.critic.target),
            )
            return state.replace(actor=actor, critic=critic)

        due = (state.updates % self.period == 0) & (state.updates > 0)
        return where_due(due, reset, state)


def dormant_share(gradient: PyTree, threshold: float) -> jax.Array:
    """The share of units whose weights' gradient is shorter than `threshold` times the mean of their layer, [].

    Args:
      gradient: of parameters; the kernels [O, I] of a network's layers are what is looked at.
      threshold: as above.
    """
    lengths = [jnp.linalg.norm(kernel, axis=-1) for kernel in jax.tree.leaves(gradient) if kernel.ndim == 2]
    dormant = sum(jnp.sum(length < threshold * jnp.mean(length)) for length in lengths)
    return dormant / sum(length.size for length in lengths)
