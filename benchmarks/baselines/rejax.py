"""rejax's DQN on gymnax's CartPole, compiled whole, in the settings of `contenders.py`.

    python -m benchmarks.baselines.rejax dqn-cartpole-1

rejax updates after every step of its batch of environments, so that an update every four steps of one environment
becomes one every step of four. `seeds` of a setting are trained by `jax.vmap`, as its authors do.
"""

import sys

import jax
from rejax import get_algo

from benchmarks.baselines.protocol import Segment, serve


def dqn_cart_pole(num_envs: int, batch_size: int, iterations: int, seeds: int = 1) -> Segment:
    """DQN: 64-64, one update of a batch for each step of all environments."""
    algorithm = get_algo("dqn").create(
        env="CartPole-v1",
        num_envs=num_envs,
        batch_size=batch_size,
        buffer_size=10_000 // num_envs * num_envs,
        fill_buffer=1_000,
        learning_rate=2.5e-4,
        gamma=0.99,
        ddqn=False,
        agent_kwargs={"activation": "relu"},
        target_update_freq=2_000,
        total_timesteps=100_000,
    )

    def chunk(state: object) -> object:
        def scan(state: object) -> object:
            return jax.lax.fori_loop(0, iterations, lambda _, s: algorithm.train_iteration(s), state)

        return jax.vmap(scan)(state) if seeds > 1 else scan(state)

    keys = jax.random.split(jax.random.PRNGKey(0), seeds)
    state = jax.jit(jax.vmap(algorithm.init_state) if seeds > 1 else algorithm.init_state)(
        keys if seeds > 1 else keys[0]
    )
    # Not donated: some of its leaves are the same buffer, online and target parameters among them.
    compiled = jax.jit(chunk).lower(state).compile()
    held = [compiled(state)]

    def segment() -> int:
        held[0] = jax.block_until_ready(compiled(held[0]))
        return iterations * num_envs * seeds

    return segment


SETTINGS = {
    "dqn-cartpole-1": lambda: dqn_cart_pole(4, 64, 5_000),
    "dqn-cartpole-128": lambda: dqn_cart_pole(128, 256, 1_000),
}


def prepare(setting: str) -> Segment:
    """One of `SETTINGS`, or `growth-KIND/SIZE` of `benchmarks.growth`."""
    kind, _, size = setting.partition("/")
    if kind == "growth-environments":
        return dqn_cart_pole(int(size), 256, 1_000)
    if kind == "growth-seeds":
        return dqn_cart_pole(4, 64, max(50, 2_000 // int(size)), int(size))
    return SETTINGS[setting]()


if __name__ == "__main__":
    serve(lambda: prepare(sys.argv[1]))
