"""i-SAC (Vincent et al., Iterated Q-Network: Beyond One-Step Bellman Updates in Deep Reinforcement Learning, 2024).

SAC with a chain of K pairs of critics. With one link it is SAC. How many links, how their targets follow and which one
the actor climbs are choices of ours (`SoftWindow`, `IteratedActorCritic`): the authors' code has discrete agents alone.
"""

import dataclasses

from jaxq.agents import IteratedActorCritic
from jaxq.bellman import Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, SoftChain, Temperature, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, SoftChain, ActorCriticLayers, ActorCriticLearner):
    """The axes of i_sac."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation = Scalar()
    actor, critics = config.make_gaussian_actor(training), config.make_critics(training, representation)
    agent = config.make_actor_critic(
        training,
        actor,
        critics,
        representation,
        kind=IteratedActorCritic,
        links=config.links,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
