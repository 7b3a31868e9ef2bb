"""A quantile DecQN: the decomposition of Seyde et al. (DecQN, 2023) with the returns of QR-DQN (Dabney et al., 2018).

The quantile function of an action is the mean of its dimensions'. All else is `decqn`'s.
"""

import dataclasses

from jaxq.agents import MeanTargetQLearning
from jaxq.bellman import Quantile
from jaxq.configs import CONTROL, DecomposedQLearner, EachDimensionEpsilon, Operator, QuantileHuber, Targets, presets
from jaxq.networks import Ensemble
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QuantileHuber, Operator, Targets, EachDimensionEpsilon, DecomposedQLearner):
    """The axes of qr_decqn."""

    target_period: int = 100
    collect_steps: int = 8
    priority_exponent: float | None = 0.6
    importance_exponent: float = 0.2
    importance_exponent_final: float = 0.2
    num_critics: int = 2
    """Critics, each a network of its own."""
    num_quantiles: int = 32
    """Quantiles of the return."""


CLASSIC = {"collect_steps": 2, "hidden_width": 128, "batch_size": 128, "learning_rate": 5e-4}
PRESETS = presets(Config, CONTROL, everywhere={"operator": "double"}, classic=CLASSIC)


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
