"""EnvPool's HalfCheetah as a Gymnasium environment, so that all sides step the same simulator."""

from typing import Any

import gymnasium
import numpy as np


class HalfCheetah(gymnasium.Env):
    """One EnvPool HalfCheetah-v4."""

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
