"""DecQN (Seyde et al., Solving Continuous Control via Q-Learning, 2023): a value for each dimension's bins, averaged.

With two bins, as here, it is bang-bang control by Q-learning (`bang_bang` is that of a policy). Each of a pair of
critics backs up the mean of both targets at its own best action, and the larger value is acted on. Numbers are the
authors' code's: an update every eighth step, prioritized replay, and hard copies to the targets. Here the steps before
learning are random, which theirs are by ε, and a new transition has the largest priority so far, where theirs has one.
"""

import dataclasses

from jaxq.agents import MeanTargetQLearning
from jaxq.configs import CONTROL, DECQN, Critics, DecQNLearner, Huber, Targets, presets
from jaxq.networks import Ensemble
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Targets, Critics, DecQNLearner):
    """The axes of decqn."""

    target_period: int = 100


PRESETS = presets(Config, CONTROL, DECQN)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, bins = config.make_binned_environments()
    representation = config.make_scalar()
    critics = Ensemble(config.binned_network(training, bins, representation), config.num_critics)
    exploration = config.make_dimensions_exploration(bins)
    agent = config.make_decomposed(
        training, critics, representation, bins, kind=MeanTargetQLearning, exploration=exploration
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
