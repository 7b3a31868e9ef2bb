"""Stable-Baselines-Jax in its own virtual environment, in the settings of `contenders.py` and by its protocol.

python3 -m venv sbx && sbx/bin/pip install sbx-rl envpool
sbx/bin/python benchmarks/sbx_contender.py sac-halfcheetah/sbx
"""

import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import sbx


class EnvPoolAsGymnasium(gymnasium.Env):
    """One EnvPool HalfCheetah as a gymnasium environment, so that both sides step the same simulator."""

    def __init__(self) -> None:
        import envpool

        self.pool = envpool.make("HalfCheetah-v4", env_type="gymnasium", num_envs=1, seed=0)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (17,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (6,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """See gymnasium."""
        del seed, options
        observation, _ = self.pool.reset()
        return observation[0].astype(np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        """See gymnasium."""
        observation, reward, terminated, truncated, _ = self.pool.step(action[None].astype(np.float64))
        return observation[0].astype(np.float32), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}


def dqn_cart_pole() -> tuple[Any, int]:
    """DQN on CartPole: 64-64, one update of batch 64 every 4 steps."""
    model = sbx.DQN(
        "MlpPolicy",
        gymnasium.make("CartPole-v1"),
        policy_kwargs={"net_arch": [64, 64]},
        batch_size=64,
        train_freq=4,
        gradient_steps=1,
        buffer_size=10_000,
        learning_starts=1_000,
        learning_rate=2.5e-4,
    )
    return model, 8_000


def sac_half_cheetah() -> tuple[Any, int]:
    """SAC with its defaults: 256-256, one update of batch 256 a step."""
    return sbx.SAC("MlpPolicy", EnvPoolAsGymnasium(), learning_starts=1_000, buffer_size=100_000), 1_000


if __name__ == "__main__":
    prepare = {"dqn-cartpole-1/sbx": dqn_cart_pole, "sac-halfcheetah/sbx": sac_half_cheetah}[sys.argv[1]]
    model, steps = prepare()
    model.learn(2_000)
    print("ready", flush=True)
    for _ in sys.stdin:
        before, begun = model.num_timesteps, time.perf_counter()
        model.learn(steps, reset_num_timesteps=False)
        seconds = time.perf_counter() - begun
        print(json.dumps({"steps": model.num_timesteps - before, "seconds": seconds}), flush=True)
