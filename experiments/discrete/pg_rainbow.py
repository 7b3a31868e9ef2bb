"""PG-Rainbow (Using Distributional Reinforcement Learning in Policy Gradient Methods, 2024).

PPO whose critic is told the quantiles of every action's return, which an IQN head on the same torso learns. In the
paper IQN is a network of its own that learns from a replay, and the critic is one on the product of PPO's value and its
quantiles; here both learn from the rollout, and quantiles of several actions are averaged by the policy.
"""

import dataclasses

from jaxq.agents import PGRainbow
from jaxq.bellman import ImplicitQuantile
from jaxq.configs import DiscreteEnvironments, Fractions, Layers, PPOLearner, RewardClip, presets
from jaxq.networks import QuantileCriticNetwork
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Fractions, Layers, RewardClip, PPOLearner, DiscreteEnvironments):
    """The axes of pg_rainbow, which explores by its policy."""

    learning_rate: float = 2.5e-4
    learning_rate_final: float | None = 0.0
    adam_epsilon: float = 1e-5
    max_gradient_norm: float = 0.5
    num_fractions: int = 8
    num_act_fractions: int = 16
    """Fractions, evenly spaced, whose quantiles the critic is told."""
    clip: float = 0.1
    entropy_weight: float = 0.01
    quantile_weight: float = 1.0
    """Of the quantiles' loss."""


PRESETS = presets(
    Config,
    everywhere={"rollout_steps": 128, "minibatches": 4, "epochs": 4, "num_envs": 8, "total_steps": 10_000_000},
    tabular={"total_steps": 100_000},
    classic={"total_steps": 500_000},
    minatar={"num_envs": 64, "minibatches": 8},
    atari={"reward_clip": 1.0, "life_loss": True},
)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    agent = config.make_ppo(
        training,
        QuantileCriticNetwork(config.make_torso(training), num_actions, config.make_head(num_actions, 128)),
        PGRainbow,
        hyper={"quantile_weight": config.quantile_weight, "reward_clip": config.reward_clip},
        representation=ImplicitQuantile(config.huber_threshold),
    )
    return config.make_training(agent, training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
