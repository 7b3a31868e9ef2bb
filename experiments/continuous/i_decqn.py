"""i-DecQN: a chain of value functions (Vincent et al., Iterated Q-Network, 2024) of the DecQN of Seyde et al. (2023).

Each link is one critic; the other numbers are `decqn`'s, and the chain moves on as often as its target is copied.
"""

import dataclasses

from jaxq.configs import CONTROL, DECQN, Chain, DecQNLearner, Huber, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Chain, DecQNLearner):
    """The axes of i_decqn."""

    links: int = 5
    target_period: int = 100


PRESETS = presets(Config, CONTROL, DECQN)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, bins = config.make_binned_environments()
    representation = config.make_scalar()
    network = config.binned_network(training, bins, representation)()
    exploration = config.make_dimensions_exploration(bins)
    base = config.make_decomposed(training, network, representation, bins, exploration=exploration)
    return config.make_training(
        config.make_chain(base), training, evaluation, config.make_replay(training, config.n_step)
    )


if __name__ == "__main__":
    main(Config, PRESETS, build)
