"""Band-limited SAC (Campo et al., Band-limited Soft Actor Critic Model, 2020).

SAC whose target critics are low-pass filtered, so that the critics learn low frequencies first. The filter here is a
Gaussian over actions, by samples, before the smaller critic is taken; the paper's kernel, its width and its schedule
were not at hand, nor any code of its authors, so these are ours. Without width it is SAC.
"""

import dataclasses

from jaxq.bellman import Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, Averaging, Temperature, presets
from jaxq.errors import require
from jaxq.networks import Ensemble, LowPass
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, ActorCriticLayers, ActorCriticLearner):
    """The axes of bandlimited_sac."""

    filter_width: float = 0.1
    """Standard deviation of the filter over actions, which are in [-1, 1]."""
    filter_pairs: int = 2
    """Pairs of opposite samples by which the filter is applied."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    require(0 <= config.filter_width < float("inf"), "filter_width", config.filter_width, "0 or more")
    training, evaluation, _ = config.make_environments()
    representation = Scalar()
    plain, width, pairs = config.make_critics(training, representation), config.filter_width, config.filter_pairs
    critics = Ensemble(lambda: LowPass(plain.make(), width, pairs), plain.size)
    agent = config.make_actor_critic(training, config.make_gaussian_actor(training), critics, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
