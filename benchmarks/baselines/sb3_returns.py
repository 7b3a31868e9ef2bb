"""Stable-Baselines3's DQN on Gymnasium's CartPole to a return, tested every 5,000 steps.

python -m benchmarks.baselines.sb3_returns --agent DQN --env CartPole-v1 --seed 0
"""

import argparse

import gymnasium
import stable_baselines3
import torch

from benchmarks.baselines.stable_baselines import CART_POLE, Tested

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", choices=["DQN"], required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--env", default="CartPole-v1")
    args = parser.parse_args()
    torch.set_num_threads(1)  # products this small are slower on two
    model = stable_baselines3.DQN("MlpPolicy", gymnasium.make(args.env), seed=args.seed, device="cpu", **CART_POLE)
    model.learn(1_000_000, callback=Tested(gymnasium.make(args.env), 5_000))
