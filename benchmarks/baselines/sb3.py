"""Stable-Baselines3 and its contrib (QR-DQN) in the settings of `contenders.py`, on the CPU with one thread of PyTorch.

python -m benchmarks.baselines.sb3 dqn-cartpole-1
"""

import functools
import sys

import sb3_contrib
import stable_baselines3
import torch

from benchmarks.baselines.protocol import serve
from benchmarks.baselines.stable_baselines import cart_pole

on_the_cpu = functools.partial(cart_pole, device="cpu")
SETTINGS = {
    "dqn-cartpole-1": lambda: on_the_cpu(stable_baselines3.DQN, 1, 64, 4, 4_000),
    "dqn-cartpole-128": lambda: on_the_cpu(stable_baselines3.DQN, 128, 256, 1, 6_400),
    "qr-dqn-cartpole": lambda: on_the_cpu(sb3_contrib.QRDQN, 1, 64, 4, 4_000, {"n_quantiles": 50}),
}

if __name__ == "__main__":
    torch.set_num_threads(1)  # products this small are slower on two threads than on one
    serve(SETTINGS[sys.argv[1]])
