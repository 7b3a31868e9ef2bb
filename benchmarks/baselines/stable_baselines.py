"""What Stable-Baselines3 and Stable-Baselines-Jax have alike."""

from typing import Any

import gymnasium
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.baselines.protocol import Segment, tested

# DQN on CartPole as the authors' collection of tuned settings has it: RL Baselines3 Zoo, hyperparams/dqn.yml@ce95481.
CART_POLE: dict[str, Any] = {
    "learning_rate": 2.3e-3,
    "batch_size": 64,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "gamma": 0.99,
    "target_update_interval": 10,
    "train_freq": 256,
    "gradient_steps": 128,
    "exploration_fraction": 0.16 * 50_000 / 1_000_000,  # of its 50,000 steps, which are more here
    "exploration_final_eps": 0.04,
    "policy_kwargs": {"net_arch": [256, 256]},
}


class Tested(BaseCallback):
    """Plays five episodes now and then and prints their mean return."""

    def __init__(self, environment: Any, every: int):
        super().__init__()
        self.environment, self.every = environment, every

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            mean, _ = evaluate_policy(self.model, self.environment, n_eval_episodes=5, warn=False)
            tested(self.num_timesteps, float(mean))
        return True


def learning(model: Any, steps: int) -> Segment:
    """A segment of so many steps, after 2,000 to fill the replay and compile."""
    model.learn(2_000)

    def segment() -> int:
        before = model.num_timesteps
        model.learn(steps, reset_num_timesteps=False)
        return model.num_timesteps - before

    return segment


def cart_pole(
    agent: Any,
    num_envs: int,
    batch_size: int,
    train_freq: int,
    steps: int,
    policy: dict[str, Any] | None = None,
    **settings: Any,
) -> Segment:
    """A value-based agent on CartPole: 64-64, one update for each `train_freq` steps of the batch of environments."""
    model = agent(
        "MlpPolicy",
        DummyVecEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(num_envs)]),
        policy_kwargs={"net_arch": [64, 64], **(policy or {})},
        batch_size=batch_size,
        train_freq=train_freq,
        gradient_steps=1,
        buffer_size=10_000,
        learning_starts=1_000,
        learning_rate=2.5e-4,
        **settings,
    )
    return learning(model, steps)
