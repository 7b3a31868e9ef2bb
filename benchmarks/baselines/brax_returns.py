"""Brax's own SAC and PPO on its halfcheetah, in the settings of its authors' notebook, tested now and then.

python -m benchmarks.baselines.brax_returns --agent sac --seed 0
"""

import argparse
import functools
from typing import Any

from brax import envs
from brax.training.agents.ppo import train as ppo
from brax.training.agents.sac import train as sac

from benchmarks.baselines.protocol import tested


def report(step: int, metrics: Any) -> None:
    """Print a test."""
    if step:
        tested(step, metrics["eval/episode_reward"])


# Those of Brax's training notebook for halfcheetah, of which two cores cannot carry the thousands of environments that
# PPO has there: `num_envs`, `batch_size` and `num_minibatches` are smaller in proportion.
TRAIN = {
    "sac": functools.partial(
        sac.train,
        num_timesteps=1_000_000,
        num_evals=200,
        reward_scaling=30,
        episode_length=1000,
        normalize_observations=True,
        action_repeat=1,
        discounting=0.997,
        learning_rate=6e-4,
        num_envs=128,
        batch_size=512,
        grad_updates_per_step=64,
        max_devices_per_host=1,
        max_replay_size=1_048_576,
        min_replay_size=8_192,
        num_eval_envs=5,
    ),
    "ppo": functools.partial(
        ppo.train,
        num_timesteps=50_000_000,
        num_evals=100,
        reward_scaling=1,
        episode_length=1000,
        normalize_observations=True,
        action_repeat=1,
        unroll_length=20,
        num_minibatches=8,
        num_updates_per_batch=8,
        discounting=0.95,
        learning_rate=3e-4,
        entropy_cost=0.001,
        num_envs=512,
        batch_size=128,
        num_eval_envs=5,
    ),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", choices=list(TRAIN), required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    TRAIN[args.agent](environment=envs.get_environment("halfcheetah"), seed=args.seed, progress_fn=report)
