"""SAC with a tuned temperature (Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018).

Defaults are the paper's for MuJoCo (table 1 of its appendix), on every backend; classic control needs fewer steps. Of
random steps before the first update that table says nothing; 5,000 are taken, in the authors' code (softlearning)
10,000. Actor and targets are of the smaller critic, as there; in that code the actor climbs the mean of both, its
deviation is a softplus and not the exponential of a clipped number, and the temperature is tuned on actions of the
actor just moved. Layers begin by LeCun, as in Stable-Baselines-Jax, by whose code the figures that are published beside
ours were made; theirs by Glorot and Bengio.
"""

import dataclasses

from jaxq.bellman import Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, Averaging, Temperature, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, ActorCriticLayers, ActorCriticLearner):
    """The axes of sac."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation = Scalar()
    actor, critics = config.make_gaussian_actor(training), config.make_critics(training, representation)
    agent = config.make_actor_critic(training, actor, critics, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
