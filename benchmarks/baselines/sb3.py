"""Stable-Baselines3 and its contrib (QR-DQN) in the settings of `contenders.py`, on the CPU with one thread of PyTorch.

python -m benchmarks.baselines.sb3 dqn-cartpole-1
"""

import sys
from typing import Any

import gymnasium
import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.baselines.protocol import Segment, serve


def cart_pole(agent: Any, num_envs: int, batch_size: int, train_freq: int, steps: int, **policy: Any) -> Segment:
    """A value-based agent on CartPole: 64-64, one update for each `train_freq` steps of the batch of environments."""
    # Products this small are slower on two threads than on one.
    torch.set_num_threads(1)
    model = agent(
        "MlpPolicy",
        DummyVecEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(num_envs)]),
        policy_kwargs={"net_arch": [64, 64], **policy},
        batch_size=batch_size,
        train_freq=train_freq,
        gradient_steps=1,
        buffer_size=10_000,
        learning_starts=1_000,
        learning_rate=2.5e-4,
        device="cpu",
    )
    model.learn(2_000)

    def segment() -> int:
        before = model.num_timesteps
        model.learn(steps, reset_num_timesteps=False)
        return model.num_timesteps - before

    return segment


SETTINGS = {
    "dqn-cartpole-1": lambda: cart_pole(stable_baselines3.DQN, 1, 64, 4, 4_000),
    "dqn-cartpole-128": lambda: cart_pole(stable_baselines3.DQN, 128, 256, 1, 6_400),
    "qr-dqn-cartpole": lambda: cart_pole(sb3_contrib.QRDQN, 1, 64, 4, 4_000, n_quantiles=50),
}

if __name__ == "__main__":
    serve(SETTINGS[sys.argv[1]])
