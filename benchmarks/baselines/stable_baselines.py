"""What the returns of Stable-Baselines3 and Stable-Baselines-Jax have alike."""

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.baselines.protocol import tested

# DQN on CartPole as the authors' collection of tuned settings (RL Baselines3 Zoo) has it.
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
