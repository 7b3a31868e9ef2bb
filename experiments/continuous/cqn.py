"""CQN (Seo et al., Continuous Control with Coarse-to-fine Reinforcement Learning, 2024).

Three choices among five parts of an interval in each dimension, each choice with a value of its own. Numbers are those
of the authors' code for states of the DeepMind Control Suite, whose values are scalars: their networks for images have
C51's returns and dueling streams. There the first 2,000 steps are random, and those up to 8,000 are by a network that
has not learned; here all that come before learning are random, and the replay is a tenth of theirs. Drawn are steps,
those of the episode under way and the last of each too; theirs are of whole episodes, each as likely as any other. The
loss is half the squared error, theirs all of it.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import CoarseToFineQLearning
from jaxq.bellman import EachPart, Scalar, operators
from jaxq.configs import CONTROL, Targets, ZoomingQLearner, presets
from jaxq.networks import MLP, CoarseToFineNetwork, orthogonal_dense
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Targets, ZoomingQLearner):
    """The axes of cqn."""

    learning_rate: float = 1e-4
    batch_size: int = 256
    warmup_steps: int = 8_000
    target_period: int = 100


CLASSIC = {"hidden_widths": (128, 128), "batch_size": 128, "learning_rate": 5e-4}
PRESETS = presets(Config, CONTROL, classic=CLASSIC)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, cells = config.make_zoomed_environments()
    layers = MLP(config.hidden_widths, nn.silu, layer_norm=True, make_layer=orthogonal_dense())
    network = CoarseToFineNetwork(layers, cells.levels, cells.bins, encoder=config.make_encoder(training))
    agent = config.make_q_learner(
        training,
        network,
        EachPart(Scalar()),
        optimizer=config.decayed(config.make_optimizer()),
        operator=operators.Double(),
        exploration=config.make_noise(),
        kind=CoarseToFineQLearning,
        choices={"cells": cells},
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
