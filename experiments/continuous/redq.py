"""REDQ (Chen et al., Randomized Ensembled Double Q-Learning, 2021).

Ten critics, targets of the smallest of two drawn anew, twenty updates a step, and one of the actor, on the mean of all,
at the last of them. It follows the critics' step, as the paper has it; in the authors' code its gradient precedes that.
The target entropy is that of SAC; the authors have -1 for Hopper, -3 for HalfCheetah and Walker2d, -4 for Ant, and -2
for Humanoid. Their temperature is 0.2 in the critics' updates before it is first tuned.
"""

import dataclasses

from jaxq.bellman import Mean, RandomSubset, Scalar
from jaxq.configs import CONTROL, ActorCriticLearner, Averaging, GlorotLayers, Temperature, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, GlorotLayers, ActorCriticLearner):
    """The axes of redq."""

    num_critics: int = 10
    updates: int = 20
    subset: int = 2
    """Critics of which the smallest makes a target."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation = Scalar()
    agent = config.make_actor_critic(
        training,
        config.make_gaussian_actor(training),
        config.make_critics(training, representation),
        representation,
        target_reduction=RandomSubset(config.subset),
        actor_reduction=Mean(),
        actor_period=config.updates,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
