"""SAC with a tuned temperature (Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018).

Defaults are the paper's for MuJoCo (table 1 of its appendix), on every backend; classic control needs fewer steps.
"""

import dataclasses
from typing import Any

import optax

from jaxq import envs
from jaxq.agents import SAC, PolyakUpdate, SACHyperparameters, flatten_small
from jaxq.bellman import Scalar
from jaxq.networks import ActionCritic, Ensemble, GaussianPolicyNetwork
from jaxq.runs import OffPolicyConfig, clean_errors, make_environments, off_policy, parse, run
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(OffPolicyConfig):
    """SAC's own fields."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    learning_rate: float = 3e-4
    """Step size of Adam, for actor, critics and temperature."""
    target_rate: float = 0.005
    """τ, the share by which the target critics follow in each update."""
    batch_size: int = 256
    warmup_steps: int = 5_000
    replay_capacity: int = 1_000_000
    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of actor and critics."""
    num_critics: int = 2
    """Critics; targets take the one with the smallest value."""
    target_entropy_per_dimension: float = -1.0
    """Target entropy in nats, for each action dimension."""


PRESETS: dict[str, dict[str, Any]] = {
    "classic": {"total_steps": 20_000, "warmup_steps": 1_000, "replay_capacity": 50_000},
    "control": {},
}


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    environment, evaluation = make_environments(config)
    action_spec = envs.require_continuous(environment)
    representation = Scalar()
    agent = SAC(
        actor=GaussianPolicyNetwork(action_spec.size, config.hidden_widths),
        critic=Ensemble(lambda: ActionCritic(config.hidden_widths, representation.width), config.num_critics),
        observation_spec=environment.observation_spec,
        action_spec=action_spec,
        optimizer=flatten_small(optax.scale_by_adam()),
        hyper=SACHyperparameters(
            target_entropy=config.target_entropy_per_dimension * action_spec.size,
            actor_learning_rate=config.learning_rate,
            critic_learning_rate=config.learning_rate,
            temperature_learning_rate=config.learning_rate,
            discount=config.discount,
            target=PolyakUpdate.at_rate(config.target_rate),
        ),
        representation=representation,
    )
    return off_policy(config, agent, environment, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
