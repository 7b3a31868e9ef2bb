"""A trained policy at play, one step after the other, for whoever looks on: films and pictures of attention."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax

from jaxq.agents.base import Agent
from jaxq.envs import Environment
from jaxq.keys import streams
from jaxq.types import PyTree, TimeStep


def played(environment: Environment, agent: Agent, state: Any, seed: int) -> Iterator[tuple[PyTree, TimeStep]]:
    """What an exploiting policy comes by: the environment's state and what it shows, at first and after every action.

    It has no end: episode follows on episode.

    Args:
      environment: a batch of one.
      agent: whose policy it is.
      state: of the agent.
      seed: of the episodes, and of what the policy draws.
    """

    @jax.jit
    def step(env_state: PyTree, timestep: TimeStep, memory: PyTree, key: jax.Array) -> Any:
        action, memory = agent.exploit(state, memory, timestep, key)
        return *environment.step(env_state, action), memory

    reset_key, act_key = streams(jax.random.key(seed), "reset", "act")
    env_state, timestep = jax.jit(environment.reset)(jax.random.split(reset_key, 1))
    memory = agent.init_memory(1)
    for time in itertools.count():
        yield env_state, timestep
        env_state, timestep, memory = step(env_state, timestep, memory, jax.random.fold_in(act_key, time))
