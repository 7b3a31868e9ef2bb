"""Stable-Baselines-Jax to a return: Gymnasium's HalfCheetah, or DQN on CartPole, tested every 5,000 steps.

python -m benchmarks.baselines.sbx_returns --agent SAC --seed 0
"""

import argparse

import gymnasium
import sbx

from benchmarks.baselines.stable_baselines import CART_POLE, Tested

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", choices=["DQN", "SAC", "TD3", "CrossQ"], required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--env", default="HalfCheetah-v4")
    args = parser.parse_args()
    # Each with its defaults; 10,000 random steps first, as the authors of SAC take (CrossQ's take 5,000, TD3's 25,000).
    settings = CART_POLE if args.agent == "DQN" else {"learning_starts": 10_000}
    model = getattr(sbx, args.agent)("MlpPolicy", gymnasium.make(args.env), seed=args.seed, **settings)
    model.learn(1_000_000, callback=Tested(gymnasium.make(args.env), 5_000))
