"""PG-Rainbow (Using Distributional Reinforcement Learning in Policy Gradient Methods, 2024).

PPO whose critic is told the quantiles of every action's return, which an IQN head on the same torso learns.
"""

import dataclasses
from typing import Any

import optax

from jaxq.agents import LinearSchedule, PGRainbow, PPOHyperparameters
from jaxq.bellman import ImplicitQuantile
from jaxq.networks import QuantileCriticNetwork
from jaxq.runs import OnPolicyConfig, clean_errors, on_policy, parse, run
from jaxq.runs.discrete import DiscreteConfig, FractionsConfig, make_discrete_environments
from jaxq.training import OnPolicy

PRESETS: dict[str, dict[str, Any]] = {
    "classic": {"num_envs": 8, "rollout_steps": 128, "minibatches": 4, "epochs": 4, "total_steps": 500_000},
    "minatar": {"num_envs": 64, "rollout_steps": 128, "minibatches": 8, "epochs": 4, "total_steps": 10_000_000},
    "atari": {"num_envs": 8, "rollout_steps": 128, "minibatches": 4, "epochs": 4, "total_steps": 10_000_000},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FractionsConfig, OnPolicyConfig, DiscreteConfig):
    """The fields of pg_rainbow; it explores by its policy and needs none of the exploration's."""

    learning_rate: float = 2.5e-4
    """Step size of Adam at the first update; it falls linearly to zero over the run."""
    num_fractions: int = 8
    num_act_fractions: int = 16
    trace: float = 0.95
    """λ of the generalized advantages."""
    clip: float = 0.1
    """How far a ratio of probabilities counts."""
    entropy_weight: float = 0.01
    """Of the entropy bonus."""
    value_weight: float = 0.5
    """Of the values' loss."""
    quantile_weight: float = 1.0
    """Of the quantiles' loss."""
    max_gradient_norm: float = 0.5


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    network = QuantileCriticNetwork(config.torso(training), num_actions, config.head(num_actions, 128))
    agent = PGRainbow(
        network=network,
        observation_spec=training.observation_spec,
        optimizer=optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam(eps=1e-5)),
        hyper=PPOHyperparameters(
            learning_rate=LinearSchedule(config.learning_rate, 0.0, config.total_updates),
            discount=config.discount,
            trace=config.trace,
            clip=config.clip,
            entropy_weight=config.entropy_weight,
            value_weight=config.value_weight,
            quantile_weight=config.quantile_weight,
        ),
        minibatches=config.minibatches,
        epochs=config.epochs,
        representation=ImplicitQuantile(config.huber_threshold),
    )
    return on_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
