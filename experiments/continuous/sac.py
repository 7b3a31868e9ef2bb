"""SAC with a tuned temperature (Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018).

Defaults are the paper's for MuJoCo (table 1 of its appendix), on every backend; classic control needs fewer steps.
"""

import dataclasses

from jaxq.agents import SAC, SACHyperparameters
from jaxq.bellman import Scalar
from jaxq.configs import Adam, Averaging, ContinuousEnvironments, Discount, FromReplay, NStep, presets
from jaxq.networks import ActionCritic, Ensemble, GaussianPolicyNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Averaging, NStep, Discount, Adam, FromReplay, ContinuousEnvironments):
    """The axes of sac."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    learning_rate: float = 3e-4
    """Step size of Adam, for actor, critics and temperature."""
    batch_size: int = 256
    warmup_steps: int = 5_000
    replay_capacity: int = 1_000_000
    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of actor and critics."""
    num_critics: int = 2
    """Critics; targets take the one with the smallest value."""
    target_entropy_per_dimension: float = -1.0
    """Target entropy in nats, for each action dimension."""


PRESETS = presets(Config, classic={"total_steps": 20_000, "warmup_steps": 1_000, "replay_capacity": 50_000})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    representation = Scalar()
    rate = config.make_step_sizes(config.total_updates)
    agent = SAC(
        actor=GaussianPolicyNetwork(actions.size, config.hidden_widths),
        critic=Ensemble(lambda: ActionCritic(config.hidden_widths, representation.width), config.num_critics),
        observation_spec=training.observation_spec,
        action_spec=actions,
        optimizer=config.make_optimizer(),
        hyper=SACHyperparameters(
            target_entropy=config.target_entropy_per_dimension * actions.size,
            actor_learning_rate=rate,
            critic_learning_rate=rate,
            temperature_learning_rate=rate,
            discount=config.discount,
            target=config.make_targets(),
        ),
        representation=representation,
    )
    return config.make_training(agent, training, evaluation, n_step=config.n_step)


if __name__ == "__main__":
    main(Config, PRESETS, build)
