"""BBF (Schwarzer et al., Bigger, Better, Faster: Human-level Atari with Human-level Efficiency, 2023).

C51 with dueling streams on a wide IMPALA network that predicts its own future, a high replay ratio, resets, annealed
horizons, weight decay, and images shifted at random. For 100,000 steps of Atari (`--total-steps 100000`), or small
images.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import optax

from jaxq.agents import AnnealedHorizon, ImageAugmentation, SelfPredictiveQLearning
from jaxq.bellman import Categorical
from jaxq.errors import require
from jaxq.networks import DuelingHead, ImpalaEncoder, SelfPredictiveNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import ATOMS, AtomsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

SHARED: dict[str, Any] = {
    "operator": "double",
    "total_steps": 100_000,
    "num_envs": 1,
    "warmup_steps": 2_000,
    "updates": 2,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "priority_exponent": 0.5,
    "epsilon_steps": 2_000,
    "epsilon_final": 0.0,
    "num_evaluations": 5,
}
PRESETS = merged(
    DEFAULTS,
    ATOMS,
    everywhere(**SHARED),
    {
        "minatar": {"channels": (16,), "scale": 1, "hidden": 256, "shift": 0, "intensity": 0.0},
        "atari": {"updates": 8, "replay_capacity": 100_000},
    },
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(AtomsConfig, QLearningConfig):
    """The fields of bbf beside those of c51."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("shift",)

    channels: tuple[int, ...] = (16, 32, 32)
    """Of the sections of the IMPALA network."""
    scale: int = 4
    """Their factor."""
    hidden: int = 2048
    """Units between encoder and head."""
    target_rate: float | None = 0.005
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
    """γ after a reset; `discount` is not used."""
    final_discount: float = 0.997
    """γ later."""
    anneal_updates: int = 10_000
    """Updates until both have reached their later value."""
    reset_period: int = 40_000
    """Updates between resets."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    shape = training.observation_spec.shape
    require(len(shape) == 3, "env", config.env, f"one that observes images; these are of shape {shape}")
    representation = Categorical(config.support)
    network = SelfPredictiveNetwork(
        ImpalaEncoder(config.channels, config.scale),
        DuelingHead(num_actions, representation.width, hidden=0),
        num_actions,
        config.hidden,
    )
    require(config.weight_decay >= 0, "weight_decay", config.weight_decay, "0 or more")
    # The learning rate multiplies the decay too, as in AdamW.
    decay = optax.add_decayed_weights(config.weight_decay, lambda params: jax.tree.map(lambda p: p.ndim > 1, params))
    optimizer = optax.chain(optax.scale_by_adam(eps=1.5e-4), decay)
    base = q_learning_agent(config, training, network, representation, optimizer=optimizer)
    horizon = AnnealedHorizon(
        config.initial_steps,
        config.final_steps,
        config.initial_discount,
        config.final_discount,
        config.anneal_updates,
        config.reset_period,
    )
    augmentation = ImageAugmentation(config.shift, config.intensity)
    agent = SelfPredictiveQLearning(base, horizon, config.jumps, config.prediction_weight, augmentation=augmentation)
    length = max(config.jumps, config.initial_steps)
    return off_policy(config, agent, training, evaluation, sequence_length=length)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
