"""DroQ (Hiraoka et al., Dropout Q-Functions for Doubly Efficient Reinforcement Learning, 2022).

Two critics with dropout and layer normalization, in targets too, twenty updates a step, and one of the actor, on their
mean, at the last of them. The authors have two codes, both with target entropies by task as of REDQ, where here it is
SAC's. One drops 0.01 on all tasks, as here, and gives the actor a batch of its own; the other drops 0.0001 to 0.1 by
task, and its actor learns from the last batch of the critics, as here.
"""

import dataclasses

from jaxq.bellman import Mean, Minimum, Scalar
from jaxq.configs import CONTROL, ActorCriticLearner, Averaging, GlorotLayers, Temperature, presets
from jaxq.errors import require
from jaxq.networks import DropoutMLP
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, GlorotLayers, ActorCriticLearner):
    """The axes of droq."""

    updates: int = 20
    dropout: float = 0.01
    """Share of a critic's hidden units that are dropped."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    require(0 <= config.dropout < 1, "dropout", config.dropout, "in [0, 1)")
    representation, sizes = Scalar(), (config.hidden_widths, config.dropout, config.make_layer)
    critics = config.make_critics(training, representation, lambda mode: DropoutMLP(mode, *sizes))
    agent = config.make_actor_critic(
        training,
        config.make_gaussian_actor(training),
        critics,
        representation,
        target_reduction=Minimum(),
        actor_reduction=Mean(),
        actor_period=config.updates,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
