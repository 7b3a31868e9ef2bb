"""Bring an environment of your own: a corridor, trained by a script, and the trained policy walking it.

python examples/own_environment.py
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import jaxq
from jaxq import envs

LENGTH = 5


class Corridor:
    """Walk right to the end, where the reward is. In gymnax's style, with the least that this asks for."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        """The first observation and state."""
        state = jnp.int32(0)
        return self._seen(state), state

    def step_env(self, key: jax.Array, state: jax.Array, action: jax.Array, params: Any) -> tuple[Any, ...]:
        """Observation, state, reward, whether it is over, and nothing more to say."""
        state = jnp.maximum(state + 2 * action - 1, 0)
        done = state == LENGTH
        return self._seen(state), state, jnp.float32(done), done, {}

    def action_space(self, params: Any) -> Any:
        """Left and right."""
        return type("Space", (), {"n": 2})()

    def _seen(self, state: jax.Array) -> jax.Array:
        return jnp.float32(state)[None] / LENGTH


def main() -> None:
    """Train, load, walk."""
    envs.register("Corridor", Corridor)
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory) / "corridor"
        flags = ["--env", "own/Corridor", "--total-steps", "6000", "--epsilon-steps", "3000", "--eval-max-steps", "50"]
        jaxq.train("dqn", [*flags, "--num-evaluations", "2", "--run-dir", str(run_dir)])
        policy = jaxq.load(run_dir)
    corridor, key = Corridor(), jax.random.key(0)
    observation, state = corridor.reset_env(key, None)
    for step in range(1, 3 * LENGTH):
        observation, state, _, done, _ = corridor.step_env(key, state, jnp.asarray(policy(observation)), None)
        if done:
            print(f"the end after {step} steps, of at least {LENGTH}")
            break


if __name__ == "__main__":
    main()
