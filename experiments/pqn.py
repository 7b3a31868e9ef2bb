"""PQN (Gallici et al., Simplifying Deep Temporal Difference Learning, 2024).

Q-learning without replay or target network: λ-returns over parallel environments, and a layer-normalized network.
Defaults are those of the authors' code for each domain.
"""

import dataclasses
from typing import Any

import optax

from jaxq.agents import LambdaQHyperparameters, LambdaQLearning, LinearSchedule
from jaxq.bellman import Scalar
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import OnPolicyConfig, clean_errors, on_policy, parse, run
from jaxq.runs.discrete import DiscreteConfig, exploration, make_discrete_environments
from jaxq.training import OnPolicy

PRESETS: dict[str, dict[str, Any]] = {
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
class Config(OnPolicyConfig, DiscreteConfig):
    """The fields of pqn."""

    learning_rate: float = 5e-4
    """Step size of RAdam at the first update; it falls linearly to zero over the run."""
    trace: float = 0.65
    """λ of the returns."""
    layer_norm: bool = True
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this global norm."""


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    representation = Scalar()
    torso = config.torso(training)
    agent = LambdaQLearning(
        network=ActionValueNetwork(torso, ActionValueHead(num_actions, representation.width)),
        observation_spec=training.observation_spec,
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
    )
    return on_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
