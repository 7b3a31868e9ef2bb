"""Stable-Baselines-Jax in the settings of `contenders.py`: DQN, SAC, TD3, TQC and CrossQ.

python -m benchmarks.baselines.sbx sac-halfcheetah
"""

import sys
from typing import Any

import sbx

from benchmarks.baselines.gymnasium_envpool import HalfCheetah
from benchmarks.baselines.protocol import Segment, serve
from benchmarks.baselines.stable_baselines import cart_pole, learning


def half_cheetah(agent: str, **settings: Any) -> Segment:
    """An actor-critic with 256-256 and one update of batch 256 a step; what else it has are its defaults."""
    sizes = {"batch_size": 256, "learning_starts": 1_000, "buffer_size": 100_000, "train_freq": 1, "gradient_steps": 1}
    architecture = {"policy_kwargs": {"net_arch": [256, 256]}}
    return learning(getattr(sbx, agent)("MlpPolicy", HalfCheetah(), **{**sizes, **architecture, **settings}), 1_000)


SETTINGS = {
    "dqn-cartpole-1": lambda: cart_pole(sbx.DQN, 1, 64, 4, 8_000),
    "dqn-cartpole-128": lambda: cart_pole(sbx.DQN, 128, 256, 1, 12_800),
    "sac-halfcheetah": lambda: half_cheetah("SAC"),
    "td3-halfcheetah": lambda: half_cheetah("TD3"),
    "tqc-halfcheetah": lambda: half_cheetah("TQC"),
    "crossq-halfcheetah": lambda: half_cheetah("CrossQ"),
}

if __name__ == "__main__":
    serve(SETTINGS[sys.argv[1]])
