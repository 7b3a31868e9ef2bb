"""Iterated actor-critics: a chain of critics, each learning the backup of the one before it (i-SAC, i-TD3).

Vincent et al., Iterated Q-Network, 2024.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxq.agents.actor_critic import ActorCritic, ActorCriticState
from jaxq.agents.iterated import drawn_link, keys_of_links, over_links
from jaxq.errors import require
from jaxq.types import PyTree, Transition


@dataclasses.dataclass(frozen=True, kw_only=True)
class IteratedActorCritic(ActorCritic):
    """An actor-critic with a chain of K critics; `hyper.target` is a `SoftWindow`.

    All learn from one batch with the same next actions. The actor climbs one of them, drawn anew in every update, as
    the discrete agents of the paper act by one drawn for every step; how the authors' continuous agents choose is not
    known to us. With K = 1 it is its base, bit for bit.

    Attributes:
      links: K.
    """

    has_a_chain: ClassVar[bool] = True
    links: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.links >= 1, "links", self.links, "at least 1")

    def init(self, key: jax.Array) -> ActorCriticState:
        """See `OffPolicyAgent.init`."""
        state = super().init(key)
        if self.links == 1:
            chain = jax.tree.map(lambda leaf: leaf[None], state.critic.variables)
        else:
            keys = keys_of_links(key, self.links)
            each = [super(IteratedActorCritic, self).init(k).critic.variables for k in keys]
            chain = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        return state.replace(critic=self._start(chain, self.critic_optimizer or self.optimizer, self.hyper.target))

    def _climbed(self, state: ActorCriticState, key: jax.Array) -> PyTree:
        link = drawn_link(key, self.links)
        return jax.tree.map(lambda leaf: leaf[link], state.critic.variables)

    def _loss(
        self,
        state: ActorCriticState,
        params: PyTree,
        batch: Transition,
        next_action: jax.Array,
        log_densities: jax.Array,
        key: jax.Array,
    ) -> tuple[jax.Array, Any]:
        """The sum of the links' losses, and the means of what there is to log and of priorities."""
        keys = keys_of_links(key, self.links)
        learner = state.critic

        def link(params: PyTree, statistics: PyTree, target: PyTree, key: jax.Array) -> Any:
            variables = {**params, **statistics}
            alone = state.replace(critic=learner.replace(variables=variables, target=target))
            return self._critic_loss(alone, variables, target, batch, next_action, log_densities, key)

        losses, (statistics, *logged) = over_links(link, self.links, params, learner.statistics, learner.target, keys)
        means = jax.tree.map(lambda each: jnp.mean(each, axis=0), logged)
        return jnp.sum(losses), (statistics, *means)
