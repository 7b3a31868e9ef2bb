"""Stable-Baselines-Jax on Gymnasium's HalfCheetah, tested every 5,000 steps.

python -m benchmarks.baselines.sbx_returns --agent SAC --seed 0
"""

import argparse
from typing import Any

import gymnasium
import sbx
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.baselines.protocol import tested


class Tested(BaseCallback):
    """Plays five episodes now and then and prints their mean return."""

    def __init__(self, environment: Any, every: int):
        super().__init__()
        self.environment, self.every = environment, every

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            mean, _ = evaluate_policy(self.model, self.environment, n_eval_episodes=5, warn=False)
            tested(self.num_timesteps, mean)
        return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", choices=["SAC", "TD3", "CrossQ"], required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--env", default="HalfCheetah-v4")
    args = parser.parse_args()
    # Each with its defaults; 10,000 random steps first, as the authors of SAC, TD3 and CrossQ take on this task.
    model = getattr(sbx, args.agent)("MlpPolicy", gymnasium.make(args.env), seed=args.seed, learning_starts=10_000)
    model.learn(1_000_000, callback=Tested(gymnasium.make(args.env), 5_000))
