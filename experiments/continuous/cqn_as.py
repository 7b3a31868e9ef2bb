"""CQN-AS (Seo and Abbeel, Coarse-to-fine Q-Network with Action Sequence, 2024).

CQN with values of sequences of four actions, a recurrent core along them, and a temporal ensemble of what past plans
have for now. Numbers are those of the authors' code for HumanoidBench's states, but for a tenth of their steps, 10
million frames, and of their replay. Random actions are cells' centres, theirs any, and are part of no plan.
Layers before the core have biases here, and the core begins as other recurrent networks of this library do. Drawn are
steps, those of the episode under way and the last of each too; theirs are of whole episodes, each as likely as any
other, so that in a short one a step counts for more.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import SequenceCoarseToFineQLearning
from jaxq.bellman import EachPart, Scalar, operators
from jaxq.configs import CONTROL, Targets, ZoomingQLearner, presets
from jaxq.networks import MLP, SequenceCoarseToFineNetwork, orthogonal_dense
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Targets, ZoomingQLearner):
    """The axes of cqn_as."""

    learning_rate: float = 5e-5
    batch_size: int = 128
    collect_steps: int = 2
    warmup_steps: int = 10_000
    target_period: int = 100
    hidden_widths: tuple[int, ...] = (1024, 1024)
    noise: float = 0.01
    action_steps: int = 4
    """T, actions of a sequence."""
    recurrent_width: int = 1024
    """Units of the recurrent core."""
    ensemble_decay: float = 0.01
    """Of the temporal ensemble's weights: a plan weighs exp(-this) times the one before it."""
    indifference: float = 1e-4
    """Where the values of a choice differ by less than this, it is made at random."""


CLASSIC = {"hidden_widths": (128, 128), "recurrent_width": 64, "learning_rate": 5e-4, "noise": 0.1}
PRESETS = presets(Config, CONTROL, classic=CLASSIC)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, cells = config.make_zoomed_environments()
    network = SequenceCoarseToFineNetwork(
        MLP(config.hidden_widths, nn.silu, layer_norm=True, make_layer=orthogonal_dense()),
        cells.levels,
        cells.bins,
        encoder=config.make_encoder(training),
        recurrent_width=config.recurrent_width,
    )
    agent = config.make_q_learner(
        training,
        network,
        EachPart(Scalar()),
        optimizer=config.decayed(config.make_optimizer()),
        operator=operators.Double(),
        exploration=config.make_noise(),
        kind=SequenceCoarseToFineQLearning,
        choices={
            "cells": cells,
            "indifference": config.indifference,
            "steps": config.action_steps,
            "ensemble_decay": config.ensemble_decay,
        },
    )
    return config.make_training(
        agent, training, evaluation, config.make_action_sequences(training, config.n_step, config.action_steps)
    )


if __name__ == "__main__":
    main(Config, PRESETS, build)
