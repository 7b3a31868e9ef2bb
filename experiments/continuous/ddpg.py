"""DDPG (Lillicrap et al., 2016, Continuous Control with Deep RL), as re-tuned by Fujimoto et al. (2018).

One critic, a target actor, an update of all at every step. Sizes and step sizes are those of the latter's authors' code
(`OurDDPG`), which differs from the paper in them, in Gaussian noise for correlated noise and in no normalization; of
its 25,000 random steps 5,000 are taken here, 1,000 in classic control.
"""

import dataclasses

from jaxq.agents import Deterministic
from jaxq.bellman import First, Scalar
from jaxq.configs import CONTROL, ActorCriticLearner, Averaging, Noise, PyTorchLayers, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Noise, Averaging, PyTorchLayers, ActorCriticLearner):
    """The axes of ddpg."""

    num_critics: int = 1


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
        hyper={"actor_target": config.make_targets()},
        actor_reduction=First(),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
