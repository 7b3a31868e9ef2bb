"""Stable-Baselines-Jax in the settings of `contenders.py`: DQN, SAC, TD3, TQC and CrossQ.

python -m benchmarks.baselines.sbx sac-halfcheetah
"""

import sys
from typing import Any

import gymnasium
import sbx
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.baselines.gymnasium_envpool import HalfCheetah
from benchmarks.baselines.protocol import Segment, serve


def learning(model: Any, steps: int) -> Segment:
    """A segment of so many steps, after 2,000 to fill the replay and compile."""
    model.learn(2_000)

    def segment() -> int:
        before = model.num_timesteps
        model.learn(steps, reset_num_timesteps=False)
        return model.num_timesteps - before

    return segment


def dqn_cart_pole(num_envs: int, batch_size: int, train_freq: int, steps: int) -> Segment:
    """DQN on CartPole: 64-64, one update for each `train_freq` steps of the batch of environments."""
    model = sbx.DQN(
        "MlpPolicy",
        DummyVecEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(num_envs)]),
        policy_kwargs={"net_arch": [64, 64]},
        batch_size=batch_size,
        train_freq=train_freq,
        gradient_steps=1,
        buffer_size=10_000,
        learning_starts=1_000,
        learning_rate=2.5e-4,
    )
    return learning(model, steps)


def half_cheetah(agent: str, **settings: Any) -> Segment:
    """An actor-critic with 256-256 and one update of batch 256 a step; what else it has are its defaults."""
    sizes = {"batch_size": 256, "learning_starts": 1_000, "buffer_size": 100_000, "train_freq": 1, "gradient_steps": 1}
    architecture = {"policy_kwargs": {"net_arch": [256, 256]}}
    return learning(getattr(sbx, agent)("MlpPolicy", HalfCheetah(), **{**sizes, **architecture, **settings}), 1_000)


SETTINGS = {
    "dqn-cartpole-1": lambda: dqn_cart_pole(1, 64, 4, 8_000),
    "dqn-cartpole-128": lambda: dqn_cart_pole(128, 256, 1, 12_800),
    "sac-halfcheetah": lambda: half_cheetah("SAC"),
    "td3-halfcheetah": lambda: half_cheetah("TD3"),
    "tqc-halfcheetah": lambda: half_cheetah("TQC"),
    "crossq-halfcheetah": lambda: half_cheetah("CrossQ"),
}

if __name__ == "__main__":
    serve(SETTINGS[sys.argv[1]])
