"""DQN (Mnih et al., Human-level control through deep reinforcement learning, Nature 2015) for discrete actions.

Defaults by domain. atari: the Nature paper's schedule with Adam, as in DQN Zoo and Dopamine. minatar: Young and Tian
(MinAtar, 2019) with Adam, over parallel environments. classic: double targets of ten steps and a step size that falls
to zero, found here: plain one-step DQN does not settle on CartPole.
"""

import dataclasses
from typing import Any

import optax

from jaxq import envs
from jaxq.agents import EpsilonGreedy, HardUpdate, LinearSchedule, QLearning, QLearningHyperparameters, flatten_small
from jaxq.bellman import Scalar, operators
from jaxq.networks import ActionValueHead, ActionValueNetwork, torso_for
from jaxq.runs import OffPolicyConfig, clean_errors, make_environments, off_policy, parse, run
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(OffPolicyConfig):
    """DQN's own fields."""

    learning_rate: float = 1e-3
    """Step size of Adam at the first update."""
    learning_rate_final: float | None = None
    """Step size at the end of the run, falling linearly; None keeps it constant."""
    adam_epsilon: float = 1e-8
    """Added to the root of Adam's second moment."""
    target_period: int = 500
    """Updates between two copies to the target network."""
    epsilon_initial: float = 1.0
    """Exploration after the warm-up."""
    epsilon_final: float = 0.05
    """Exploration in the end."""
    epsilon_steps: int = 10_000
    """Steps of each seed over which exploration falls."""
    reward_clip: float = float("inf")
    """Rewards are clipped to plus or minus this."""
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""
    hidden_widths: tuple[int, ...] = (64, 64)
    """Hidden layers for vector observations; images get the network of their domain's paper."""
    double: bool = False
    """Double DQN: the learner's greedy action, the target network's value."""
    life_loss: bool = False
    """Atari: a lost life ends the episode in training; evaluation always plays full games."""


PRESETS: dict[str, dict[str, Any]] = {
    "classic": {
        "total_steps": 200_000,
        "num_envs": 4,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "learning_rate_final": 0.0,
        "discount": 0.98,
        "n_step": 10,
        "double": True,
        "target_period": 500,
        "epsilon_steps": 40_000,
        "epsilon_final": 0.02,
    },
    "minatar": {
        "total_steps": 2_000_000,
        "num_envs": 16,
        "batch_size": 32,
        "learning_rate": 2.5e-4,
        "warmup_steps": 5_000,
        "target_period": 500,
        "epsilon_steps": 200_000,
        "epsilon_final": 0.02,
    },
    "atari": {
        "total_steps": 10_000_000,
        "num_envs": 4,
        "batch_size": 32,
        "learning_rate": 6.25e-5,
        "adam_epsilon": 1.5e-4,
        "warmup_steps": 20_000,
        "replay_capacity": 1_000_000,
        "target_period": 2_000,
        "epsilon_final": 0.01,
        "epsilon_steps": 250_000,
        "reward_clip": 1.0,
        "eval_episodes": 4,
        "checkpoint_minutes": 60.0,
    },
}


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    atari = envs.domain(config.env) == "atari"
    environment, evaluation = make_environments(config, **({"episodic_life": config.life_loss} if atari else {}))
    representation = Scalar(config.huber_threshold)
    final_rate = config.learning_rate if config.learning_rate_final is None else config.learning_rate_final
    learning_rate = LinearSchedule(config.learning_rate, final_rate, config.total_updates)
    agent = QLearning(
        network=ActionValueNetwork(
            torso_for(environment.observation_spec, config.hidden_widths),
            ActionValueHead(envs.require_discrete(environment).num_actions, representation.width),
        ),
        observation_spec=environment.observation_spec,
        optimizer=flatten_small(optax.scale_by_adam(eps=config.adam_epsilon)),
        hyper=QLearningHyperparameters(
            learning_rate=learning_rate,
            discount=config.discount,
            reward_clip=config.reward_clip,
            exploration=EpsilonGreedy.decaying(config.epsilon_initial, config.epsilon_final, config.epsilon_steps),
            target=HardUpdate.every(config.target_period),
            operator=operators.Double() if config.double else operators.Maximum(),
        ),
        representation=representation,
    )
    return off_policy(config, agent, environment, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
