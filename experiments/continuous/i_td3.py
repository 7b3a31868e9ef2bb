"""i-TD3: TD3 with a chain of K pairs of critics (Vincent et al., Iterated Q-Network, 2024; Fujimoto et al., 2018).

With one link it is TD3, but that the targets of critics and actor follow at every update by half as much, whatever the
actor's period is.
"""

import dataclasses

from jaxq.agents import Deterministic, IteratedActorCritic
from jaxq.bellman import First, Minimum, Scalar
from jaxq.configs import (
    CONTROL,
    ActorCriticLearner,
    Noise,
    PyTorchLayers,
    SoftChain,
    TargetNoise,
    presets,
)
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TargetNoise, Noise, SoftChain, PyTorchLayers, ActorCriticLearner):
    """The axes of i_td3."""

    target_rate: float = 0.0025
    actor_period: int = 2
    """Updates of the critics to one of the actor."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation = Scalar()
    agent = config.make_actor_critic(
        training,
        config.make_deterministic_actor(training),
        config.make_critics(training, representation),
        representation,
        policy=Deterministic(),
        hyper={
            "actor_target": config.make_average(),
        },
        target_reduction=Minimum(),
        actor_reduction=First(),
        actor_period=config.actor_period,
        kind=IteratedActorCritic,
        links=config.links,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
