"""Exact MDPs (`jaxq.tabular`) as environments: observations are one-hot states."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxq.envs.base import ActionSpec, ArraySpec, Discrete
from jaxq.tabular import MDP, MDPS


def names() -> list[str]:
    """All that there are."""
    return list(MDPS)


class TabularEnvironment:
    """One instance of an MDP, as `SingleEnvironment` asks for. Of a game, actions are the pairs of both players."""

    def __init__(self, name: str, mdp: MDP):
        self.name = name
        self.mdp = mdp
        self.observation_spec = ArraySpec((mdp.num_states,))
        self.action_spec: ActionSpec = Discrete(mdp.num_actions)
        self.max_episode_steps = mdp.max_steps
        self.reward_shape = mdp.channels

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `SingleEnvironment.reset`."""
        state = jax.random.categorical(key, jnp.log(jnp.asarray(self.mdp.initial)))
        return state, jax.nn.one_hot(state, self.mdp.num_states)

    def step(self, state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, Any, Any, Any]:
        """See `SingleEnvironment.step`."""
        following = jax.random.categorical(key, jnp.log(jnp.asarray(self.mdp.transition, jnp.float32)[state, action]))
        reward = jnp.asarray(self.mdp.reward, jnp.float32)[state, action, following]
        terminated = jnp.asarray(self.mdp.terminal)[following]
        return following, jax.nn.one_hot(following, self.mdp.num_states), reward, terminated, False


def make_single(name: str, whole: bool = False) -> TabularEnvironment:
    """The environment of an MDP in `jaxq.tabular.MDPS`, whose observation is always the `whole` of it."""
    del whole
    return TabularEnvironment(f"tabular/{name}", MDPS[name]())
