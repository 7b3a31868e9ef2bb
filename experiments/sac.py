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
from jaxq.replay import UniformReplay
from jaxq.runs import RunConfig, clean_errors, parse, run
from jaxq.training import Evaluation, OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    """SAC's own fields."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    learning_rate: float = 3e-4
    """Step size of Adam, for actor, critics and temperature."""
    discount: float = 0.99
    """γ."""
    target_rate: float = 0.005
    """τ, the share by which the target critics follow in each update."""
    batch_size: int = 256
    """Transitions in an update."""
    collect_steps: int = 1
    """Steps of every environment between updates."""
    updates: int = 1
    """Updates after each collection."""
    warmup_steps: int = 5_000
    """Steps of each seed with random actions before the first update."""
    replay_capacity: int = 1_000_000
    """Transitions that the replay of each seed holds."""
    n_step: int = 1
    """Rewards in a return before it bootstraps."""
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
    members = config.num_seeds
    environment = envs.make(config.env, config.num_envs * members, seed=config.seed)
    evaluation = envs.make(config.env, config.eval_episodes * members, seed=config.seed + 10_000)
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
    return OffPolicy(
        agent=agent,
        replay=UniformReplay.for_environment(
            environment, members, capacity=config.replay_capacity, batch_size=config.batch_size, n_step=config.n_step
        ),
        environment=environment,
        evaluation=Evaluation(evaluation),
        num_members=members,
        collect_steps=config.collect_steps,
        updates=config.updates,
        warmup_steps=config.warmup_steps,
    )


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
