"""R2D2 (Kapturowski et al., Recurrent Experience Replay in Distributed Reinforcement Learning, 2019).

One machine in place of 256 actors, and so fewer environments; the numbers for Atari are the paper's (table 2), but for
a replay of a million steps in place of four, with Ape-X's bound on gradients. Sequences begin at every step and may go
on into the next episode, where the paper's overlap by half and end with it; a new one has the largest priority so far,
theirs one by its errors. With an update for every step of all environments each step is learned from about eighty
times, in the paper about once: `--collect-steps 80` is that.
"""

import dataclasses
from typing import ClassVar

from jaxq.agents import RecurrentQLearning
from jaxq.bellman import Mapped, Scalar, SignedHyperbolic
from jaxq.configs import (
    Q_LEARNING,
    Discount,
    Exploration,
    Layers,
    NStep,
    Operator,
    QLearner,
    Sequences,
    Targets,
    presets,
)
from jaxq.networks import LSTM, DuelingHead, RecurrentActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Sequences, Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of r2d2."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("burn_in",)

    burn_in: int = 8
    """Steps at the start of a sequence that only bring the memory up to date."""
    recurrent_width: int = 128
    """Units of the LSTM, and of the hidden layer of either stream."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    everywhere={
        "operator": "double",
        "n_step": 5,
        "discount": 0.997,
        "priority_exponent": 0.9,
        "importance_exponent": 0.6,
        "importance_exponent_final": 0.6,
        "exploration": "ladder",
        "sequence_length": 24,
        "reward_clip": float("inf"),
        "max_gradient_norm": 40.0,
    },
    atari={
        "learning_rate": 1e-4,
        "adam_epsilon": 1e-3,
        "batch_size": 64,
        "target_period": 2_500,
        "sequence_length": 120,
        "burn_in": 40,
        "recurrent_width": 512,
        "num_envs": 64,
    },
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    agent = RecurrentQLearning(
        network=RecurrentActionValueNetwork(
            config.make_torso(training),
            DuelingHead(num_actions, hidden=config.recurrent_width),
            LSTM(config.recurrent_width),
            num_actions,
        ),
        observation_spec=training.observation_spec,
        optimizer=config.make_optimizer(),
        hyper=config.make_hyperparameters(),
        representation=Mapped(Scalar(), SignedHyperbolic()),
        burn_in=config.burn_in,
        n_step=config.n_step,
    )
    return config.make_training(agent, training, evaluation, config.make_sequences(training, config.sequence_length))


if __name__ == "__main__":
    main(Config, PRESETS, build)
