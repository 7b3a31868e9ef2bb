"""BTR (Clark et al., Beyond the Rainbow: High Performance Deep RL on a Desktop PC, 2024).

IQN with Munchausen targets, an IMPALA network with spectral normalization and adaptive pooling, dueling noisy streams,
prioritized replay and three-step returns. The Munchausen bonus is that of the first action, by the target network; in
the authors' code it is the learner's. ε falls linearly, where in the code every step takes from it its distance from
the end divided by `epsilon_steps`, so exponentially. Importance weights have that of priorities, 0.2, for an exponent
from first to last, as the code has it, which says that this was an accident and did better.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import EpsilonUntil
from jaxq.bellman import ImplicitQuantile
from jaxq.configs import (
    Q_LEARNING,
    DenseLayers,
    Discount,
    Epsilon,
    Fractions,
    NStep,
    Operator,
    QLearner,
    Targets,
    presets,
)
from jaxq.envs import single_spec
from jaxq.errors import require
from jaxq.networks import ActionValueNetwork, ImpalaCNN
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Fractions, Operator, Targets, Epsilon, DenseLayers, NStep, Discount, QLearner):
    """The axes of btr; its ε falls and then ends, which leaves exploring to the noise."""

    scale: int = 2
    """Factor of the channels of the IMPALA network."""
    stream_width: int = 512
    """Units of the hidden layer of either stream."""
    epsilon_end: float = 0.5
    """Share of the run after which only the noise explores."""


PRESETS = presets(
    Config,
    Q_LEARNING,
    everywhere={
        "operator": "munchausen",
        "n_step": 3,
        "priority_exponent": 0.2,
        "importance_exponent": 0.2,
        "importance_exponent_final": 0.2,
        "num_fractions": 8,
        "num_act_fractions": 8,
        "max_gradient_norm": 10.0,
        "epsilon_final": 0.01,
    },
    atari={
        "total_steps": 50_000_000,
        "num_envs": 64,
        "batch_size": 256,
        "learning_rate": 1e-4,
        "adam_epsilon": 0.005 / 256,
        "target_period": 500,
        "warmup_steps": 200_000,
        "replay_capacity": 2**20,
        "discount": 0.997,
        "epsilon_steps": 2_000_000,
    },
    images={"replay_capacity": 100_000, "warmup_steps": 20_000},
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    shape = single_spec(training.observation_spec, "btr").shape
    torso: nn.Module
    if len(shape) == 3:
        pooled = 6 if min(shape[:2]) >= 36 else 0
        torso = ImpalaCNN(scale=config.scale, width=0, pooled=pooled, spectral_norm=True)
    else:
        torso = config.make_torso(training)
    head = config.make_head(num_actions, config.stream_width, dueling=True, noisy=True)
    require(0 <= config.epsilon_end <= 1, "epsilon_end", config.epsilon_end, "in [0, 1]")
    end = config.epsilon_end * (config.total_steps - config.warmup_steps)
    exploration = config.make_falling(EpsilonUntil, end=end)
    agent = config.make_q_learner(
        training, ActionValueNetwork(torso, head), ImplicitQuantile(config.huber_threshold), exploration=exploration
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
