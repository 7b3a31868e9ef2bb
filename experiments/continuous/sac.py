"""SAC with a tuned temperature (Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018).

Defaults are the paper's for MuJoCo (appendix, table 1), on every backend; classic control needs fewer steps. The table
does not say how many random steps precede the first update: here 5,000, in the authors' code (softlearning) 10,000.
Actor and targets take the smaller critic, as in the paper; in that code the actor climbs the mean of both, its
deviation is a softplus instead of the exponential of a clipped number, and the temperature is tuned on actions of the
actor just moved. Layers begin by LeCun, as in Stable-Baselines-Jax, by whose code the figures that are published beside
ours were made; theirs begin by Glorot and Bengio.
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
