"""i-DecQN: a chain of value functions (Vincent et al., Iterated Q-Network, 2024) of the DecQN of Seyde et al. (2023).

Each link is one critic; the other numbers are `decqn`'s, and the chain moves on as often as its target is copied.
"""

import dataclasses

from jaxq.configs import CONTROL, Chain, DecomposedQLearner, EachDimensionEpsilon, Huber, Operator, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Chain, Operator, EachDimensionEpsilon, DecomposedQLearner):
    """The axes of i_decqn."""

    links: int = 5
    target_period: int = 100
    collect_steps: int = 8
    priority_exponent: float | None = 0.6
    importance_exponent: float = 0.2
    importance_exponent_final: float = 0.2


CLASSIC = {"collect_steps": 2, "hidden_width": 128, "batch_size": 128, "learning_rate": 5e-4}
PRESETS = presets(Config, CONTROL, everywhere={"operator": "double"}, classic=CLASSIC)


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
