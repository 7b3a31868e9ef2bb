"""A quantile DecQN: the decomposition of Seyde et al. (DecQN, 2023) with the returns of QR-DQN (Dabney et al., 2018).

The quantile function of an action is the mean of its dimensions'. All else is `decqn`'s.
"""

import dataclasses

from jaxq.agents import MeanTargetQLearning
from jaxq.bellman import Quantile
from jaxq.configs import CONTROL, DECQN, Critics, DecQNLearner, QuantileHuber, Targets, presets
from jaxq.networks import Ensemble
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QuantileHuber, Targets, Critics, DecQNLearner):
    """The axes of qr_decqn."""

    target_period: int = 100
    num_quantiles: int = 32
    """Quantiles of the return."""


PRESETS = presets(Config, CONTROL, DECQN)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, bins = config.make_binned_environments()
    representation = Quantile(config.num_quantiles, config.huber_threshold)
    critics = Ensemble(config.binned_network(training, bins, representation), config.num_critics)
    exploration = config.make_dimensions_exploration(bins)
    agent = config.make_decomposed(
        training, critics, representation, bins, kind=MeanTargetQLearning, exploration=exploration
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
