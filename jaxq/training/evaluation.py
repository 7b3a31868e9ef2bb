"""Evaluation inside the compiled program: the exploiting policy, one full episode in each of its own environments."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.base import Actor
from jaxq.envs.base import Environment
from jaxq.training.population import by_member, flat, over_members
from jaxq.types import PyTree


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Plays one episode in each environment, and averages by member.

    Attributes:
      environment: of N times the episodes of each member.
      max_steps: an episode that is longer counts with its return so far; the environment's own limit unless given.
    """

    environment: Environment
    max_steps: int | None = None

    def __call__(self, agent: Actor, state: PyTree, keys: jax.Array) -> dict[str, jax.Array]:
        """Evaluate all members.

        Args:
          agent: whose `exploit` acts.
          state: agent states, [N, ...].
          keys: [N].

        Returns:
          `eval_return` and `eval_length`, each [N].
        """
        members = keys.shape[0]
        episodes = self.environment.num_envs // members
        reset_keys, act_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        env_state, timestep = self.environment.reset(
            flat(jax.vmap(lambda k: jax.random.split(k, episodes))(reset_keys))
        )
        memory = jax.vmap(lambda _: agent.init_memory(episodes))(jnp.arange(members))
        zeros = jnp.zeros(self.environment.num_envs, jnp.float32)
        max_steps = self.max_steps or self.environment.max_episode_steps
        exploit = over_members(agent.exploit, members)

        def unfinished(carry: Any) -> jax.Array:
            _, _, _, playing, _, _, time = carry
            return playing.any() & (time < max_steps)

        def step(carry: Any) -> Any:
            env_state, timestep, memory, playing, returns, lengths, time = carry
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(act_keys, time)
            action, memory = exploit(state, memory, by_member(timestep, members), step_keys)
            env_state, timestep = self.environment.step(env_state, flat(action))
            returns += jnp.where(playing, timestep.total_reward, 0.0)
            lengths += playing
            return env_state, timestep, memory, playing & ~timestep.last, returns, lengths, time + 1

        start = (env_state, timestep, memory, zeros == 0, zeros, zeros, jnp.int32(0))
        _, _, _, _, returns, lengths, _ = jax.lax.while_loop(unfinished, step, start)
        return {
            "eval_return": by_member(returns, members).mean(axis=1),
            "eval_length": by_member(lengths, members).mean(axis=1),
        }

    def skipped(self, members: int) -> dict[str, jax.Array]:
        """What a chunk without evaluation reports: NaN."""
        return dict.fromkeys(("eval_return", "eval_length"), jnp.full(members, jnp.nan))
