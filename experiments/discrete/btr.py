"""BTR (Clark et al., Beyond the Rainbow: High Performance Deep RL on a Desktop PC, 2024).

IQN with Munchausen targets, an IMPALA network with spectral normalization and adaptive pooling, dueling noisy streams,
prioritized replay and three-step returns.
"""

import dataclasses

import flax.linen as nn

from jaxq.bellman import ImplicitQuantile
from jaxq.networks import ActionValueNetwork, ImpalaCNN, ImplicitQuantileHead
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import FractionsConfig, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

ATARI = {
    "total_steps": 50_000_000,
    "num_envs": 64,
    "batch_size": 256,
    "learning_rate": 1e-4,
    "adam_epsilon": 0.005 / 256,
    "target_period": 500,
    "warmup_steps": 200_000,
    "discount": 0.997,
    "epsilon_steps": 2_000_000,
}
PRESETS = merged(
    DEFAULTS,
    everywhere(operator="munchausen", n_step=3, priority_exponent=0.2, num_fractions=8, num_act_fractions=8),
    {"atari": ATARI},
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FractionsConfig, QLearningConfig):
    """The fields of btr beside those of iqn."""

    scale: int = 2
    """Factor of the channels of the IMPALA network."""
    stream_width: int = 512
    """Units of the hidden layer of either stream."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    shape = training.observation_spec.shape
    torso: nn.Module = config.torso(training)
    if len(shape) == 3:
        pooled = 6 if min(shape[:2]) >= 36 else 0
        torso = ImpalaCNN(scale=config.scale, width=0, pooled=pooled, spectral_norm=True)
    head = ImplicitQuantileHead(
        num_actions, config.stream_width, config.num_fractions, config.num_act_fractions, dueling=True, noisy=True
    )
    agent = q_learning_agent(
        config, training, ActionValueNetwork(torso, head), ImplicitQuantile(config.huber_threshold)
    )
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
