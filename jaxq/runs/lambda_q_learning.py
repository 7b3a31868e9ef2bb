"""What the experiments that learn by Q-learning from λ-returns share; defaults are those of PQN's authors' code."""

import dataclasses
from typing import Any

import optax

from jaxq.agents import LambdaQHyperparameters, LambdaQLearning, LinearSchedule
from jaxq.bellman import ScalarTarget
from jaxq.envs import Environment
from jaxq.runs.discrete import DiscreteConfig, exploration
from jaxq.runs.on_policy import OnPolicyConfig
from jaxq.types import Network

DEFAULTS: dict[str, dict[str, Any]] = {
    "classic": {
        "total_steps": 500_000,
        "num_envs": 32,
        "rollout_steps": 64,
        "minibatches": 16,
        "epochs": 4,
        "learning_rate": 1e-4,
        "trace": 0.95,
        "epsilon_final": 0.2,
        "epsilon_steps": 100_000,
        "hidden_widths": (128, 128),
    },
    "minatar": {"total_steps": 10_000_000, "epsilon_steps": 1_000_000},
    "atari": {
        "total_steps": 50_000_000,
        "learning_rate": 2.5e-4,
        "epsilon_final": 0.001,
        "epsilon_steps": 5_000_000,
        "reward_clip": 1.0,
        "life_loss": True,
        "eval_episodes": 4,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LambdaQConfig(OnPolicyConfig, DiscreteConfig):
    """The fields of Q-learning from λ-returns."""

    learning_rate: float = 5e-4
    """Step size of RAdam at the first update; it falls linearly to zero over the run."""
    trace: float = 0.65
    """λ of the returns."""


def lambda_q_agent(
    config: LambdaQConfig,
    environment: Environment,
    network: Network,
    representation: ScalarTarget,
    kind: type[LambdaQLearning] = LambdaQLearning,
    **settings: Any,
) -> LambdaQLearning:
    """The agent of these objects, with the optimizer and the numbers that the configuration asks for.

    `settings` are further fields of its `kind`.
    """
    return kind(
        network=network,
        observation_spec=environment.observation_spec,
        optimizer=optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_radam()),
        hyper=LambdaQHyperparameters(
            learning_rate=LinearSchedule(config.learning_rate, 0.0, config.total_updates),
            exploration=exploration(config),
            discount=config.discount,
            trace=config.trace,
            reward_clip=config.reward_clip,
        ),
        representation=representation,
        minibatches=config.minibatches,
        epochs=config.epochs,
        **settings,
    )
