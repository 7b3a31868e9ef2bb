"""Ensembles of Q-learners: each environment follows one of them for an episode, which is Thompson sampling.

Bootstrapped DQN (Osband et al., Deep Exploration via Bootstrapped DQN, 2016); with a reward shift for each member, the
exploration by optimism and pessimism of Sun et al. (Exploit Reward Shifting in Value-Based Deep RL, 2022).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq.agents.base import LearnerState, RecordsNothing
from jaxq.agents.q_learning import QLearning
from jaxq.errors import require
from jaxq.hyperparameters import OF_THE_RUN
from jaxq.keys import streams
from jaxq.lanes import over_lanes
from jaxq.types import Metrics, PyTree, TimeStep, Transition


class Followed(struct.PyTreeNode):
    """What acting carries.

    Attributes:
      member: [E] int32, whom each environment follows in this episode; -1 for nobody yet.
      exploring: memory of the exploration.
    """

    member: jax.Array
    exploring: PyTree


class EnsembleState(struct.PyTreeNode):
    """All of the agent that changes, and the key of its masks, which does not.

    Attributes:
      members: of each Q-learner, [K, ...].
      mask_key: by which it is decided who learns from what.
    """

    members: LearnerState
    mask_key: jax.Array = struct.field(metadata=OF_THE_RUN)


@dataclasses.dataclass(frozen=True)
class EnsembleQLearning(RecordsNothing):
    """K Q-learners with networks of their own.

    Attributes:
      base: each member's agent.
      members: K.
      mask_probability: a member learns from a transition with this probability, decided once for each place in the
        replay; 1 in the paper's Atari experiments, where members differ by how they were initialized.
      reward_shifts: of each member, on top of the base's; K numbers.
    """

    base: QLearning
    members: int
    mask_probability: float
    reward_shifts: tuple[float, ...]

    def __post_init__(self) -> None:
        require(self.members >= 1, "members", self.members, "at least 1")
        require(0 < self.mask_probability <= 1, "mask_probability", self.mask_probability, "in (0, 1]")
        count = len(self.reward_shifts)
        require(count == self.members, "reward_shifts", self.reward_shifts, f"{self.members} numbers, one a member")

    def init(self, key: jax.Array) -> EnsembleState:
        """See `Agent.init`."""
        members_key, mask_key = streams(key, "members", "masks")
        members = over_lanes(self.base.init, self.members, heavy=True)(jax.random.split(members_key, self.members))
        shifts = members.hyper.reward_shift + jnp.asarray(self.reward_shifts)
        members = members.replace(hyper=members.hyper.replace(reward_shift=shifts))
        return EnsembleState(members, mask_key)

    def init_memory(self, num_envs: int) -> Followed:
        """See `Agent.init_memory`."""
        return Followed(jnp.full(num_envs, -1, jnp.int32), self.base.init_memory(num_envs))

    def values(self, state: EnsembleState, observation: jax.Array, mode: Any, key: jax.Array) -> jax.Array:
        """Every member's action values, [K, E, A] (or [K, E, *parts, A]).

        A shifted reward shifts all of a member's values alike, in which no choice of an action sees it.
        """

        def member(state: LearnerState, key: jax.Array) -> jax.Array:
            return self.base.representation.value(self.base.predict(state.params, observation, mode, key))

        of_all = over_lanes(member, self.members, heavy=True)
        return of_all(state.members, jax.random.split(key, self.members))

    def act(
        self, state: EnsembleState, memory: Followed, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, Followed, PyTree]:
        """See `OffPolicyAgent.act`: by the member followed, which is drawn anew when acting or an episode begins."""
        draw_key, predict_key, select_key = streams(key, "member", "networks", "explore")
        drawn = jax.random.randint(draw_key, memory.member.shape, 0, self.members)
        # Acting begins, after the warm-up, in the midst of episodes.
        member = jnp.where(timestep.first | (memory.member < 0), drawn, memory.member)
        values = self.values(state, timestep.observation, "act", predict_key)
        own = values[member, jnp.arange(member.shape[0])]
        exploration = jax.tree.map(lambda leaf: leaf[0], state.members.hyper.exploration)
        choice, exploring = exploration.select(memory.exploring, own, timestep, select_key)
        return self.base.actions.action(choice), Followed(member, exploring), ()

    def exploit(
        self, state: EnsembleState, memory: Followed, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, Followed]:
        """See `Agent.exploit`: greedy on the members' mean."""
        values = self.values(state, timestep.observation, "exploit", key)
        return self.base.actions.action(jnp.argmax(values.mean(axis=0), axis=-1).astype(jnp.int32)), memory

    def update(
        self, state: EnsembleState, batch: Transition, key: jax.Array
    ) -> tuple[EnsembleState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`: of every member, each on what its mask lets through."""

        def learn(member: LearnerState, key: jax.Array, index: jax.Array) -> Any:
            own = batch
            if self.mask_probability < 1:
                own_key = jax.random.fold_in(state.mask_key, index)
                keys = jax.vmap(jax.random.fold_in, (None, 0))(own_key, batch.index)
                own = batch.replace(
                    weight=batch.weight * jax.vmap(lambda k: jax.random.bernoulli(k, self.mask_probability))(keys)
                )
            return self.base.update(member, own, key)

        of_all = over_lanes(learn, self.members, heavy=True)
        keys = jax.random.split(key, self.members)
        members, metrics, priority = of_all(state.members, keys, jnp.arange(self.members))
        return state.replace(members=members), jax.tree.map(jnp.mean, metrics), priority.mean(axis=0)
