"""BBF (Schwarzer et al., Bigger, Better, Faster: Human-level Atari with Human-level Efficiency, 2023).

C51 with dueling streams on a wide IMPALA network that predicts its own future, a high replay ratio, resets, annealed
horizons, weight decay, and images shifted at random. For 100,000 steps of Atari (`--total-steps 100000`), or small
images. Priorities are the divergence from the target here, in the authors' code the root of the whole cross-entropy,
whose part of the target's own flattens them; layers begin as all of ours do, theirs by Glorot and Bengio.
"""

import dataclasses
from typing import Any, ClassVar

import jax

from jaxq.agents import AnnealedHorizon, ImageAugmentation, ResetSchedule, SelfPredictiveQLearning
from jaxq.bellman import Categorical
from jaxq.configs import (
    ATOMS,
    BY_LIVES,
    Q_LEARNING,
    Atoms,
    Averaging,
    Exploration,
    Operator,
    QLearner,
    WeightDecay,
    presets,
)
from jaxq.envs import single_spec
from jaxq.errors import require
from jaxq.networks import DuelingHead, ImpalaEncoder, SelfPredictiveNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy

SHARED: dict[str, Any] = {
    "operator": "double",
    "total_steps": 100_000,
    "num_envs": 1,
    "warmup_steps": 2_000,
    "updates": 2,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "adam_epsilon": 1.5e-4,
    "priority_exponent": 0.5,
    "importance_exponent": 0.5,
    "importance_exponent_final": 0.5,
    "epsilon_steps": 2_000,
    "epsilon_final": 0.0,
    "num_evaluations": 5,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Atoms, Operator, Averaging, Exploration, WeightDecay, QLearner):
    """The axes of bbf."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("shift",)

    channels: tuple[int, ...] = (16, 32, 32)
    """Of the sections of the IMPALA network."""
    scale: int = 4
    """Their factor."""
    hidden: int = 2048
    """Units between encoder and head."""
    weight_decay: float = 0.1
    """Of AdamW, for kernels."""
    shift: int = 4
    """Pixels by which images that are learned from are moved at random."""
    intensity: float = 0.05
    """By how much they are made darker or lighter."""
    jumps: int = 5
    """Steps that are foreseen."""
    prediction_weight: float = 5.0
    """Of the foresight's loss."""
    initial_steps: int = 10
    """n of the returns after a reset."""
    final_steps: int = 3
    """n of the returns later."""
    initial_discount: float = 0.97
    """γ after a reset."""
    final_discount: float = 0.997
    """γ later."""
    anneal_updates: int = 10_000
    """Updates until both have reached their later value."""
    reset_period: int = 40_000
    """Updates between resets; none comes that has not as many after it."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    BY_LIVES,
    ATOMS,
    everywhere=SHARED,
    minatar={"channels": (16,), "scale": 1, "hidden": 256, "shift": 0, "intensity": 0.0},
    atari={"updates": 8, "replay_capacity": 100_000},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    shape = single_spec(training.observation_spec, "bbf").shape
    require(len(shape) == 3, "env", config.env, f"one that observes images; these are of shape {shape}")
    representation = Categorical(config.make_support())
    network = SelfPredictiveNetwork(
        ImpalaEncoder(config.channels, config.scale),
        DuelingHead(num_actions, representation.width, hidden=0),
        num_actions,
        config.hidden,
    )
    optimizer = config.decayed(config.make_optimizer(), lambda params: jax.tree.map(lambda p: p.ndim > 1, params))
    base = config.make_q_learner(training, network, representation, optimizer=optimizer, discount=config.final_discount)
    horizon = AnnealedHorizon(
        config.initial_steps,
        config.final_steps,
        config.initial_discount,
        config.final_discount,
        config.anneal_updates,
    )
    period = max(round(config.reset_period / config.updates_per_step), 1)
    resets = ResetSchedule.every(period, config.warmup_steps, config.total_steps, config.updates_per_step)
    augmentation = ImageAugmentation(config.shift, config.intensity)
    agent = SelfPredictiveQLearning(
        base, horizon, resets, config.jumps, config.prediction_weight, augmentation=augmentation
    )
    length = max(config.jumps, config.initial_steps)
    return config.make_training(agent, training, evaluation, config.make_sequences(training, length))


if __name__ == "__main__":
    main(Config, PRESETS, build)
