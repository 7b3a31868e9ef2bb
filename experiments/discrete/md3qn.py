"""MD3QN (Zhang et al., Distributional RL for Multi-Dimensional Reward Functions, 2021): joint returns by particles.

The dimensions are the environment's own where its rewards are vectors (`tabular/VectorMaze`), else gains and losses.
Kernels are those of the authors' code; of its numbers for Atari there are step size and optimizer, not the schedules.
"""

import dataclasses

from jaxq.bellman import Particles, as_given, gains_and_losses
from jaxq.configs import Q_LEARNING, Discount, Exploration, GreedyOperator, Layers, NStep, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(GreedyOperator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of md3qn."""

    num_particles: int = 64
    """Particles of a return; 200 in the paper."""
    bandwidths: tuple[float, ...] = tuple(2.0**i for i in range(-8, 9))
    """Of the Gaussian kernels, in units of the return squared."""
    kernel_exponent: float = 0.5
    """A kernel counts by its bandwidth to this power."""


PRESETS = presets(Config, Q_LEARNING, atari={"learning_rate": 5e-5, "adam_epsilon": 0.01 / 32})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    channels = as_given if training.reward_shape else gains_and_losses
    count = training.reward_shape[0] if training.reward_shape else 2
    representation = Particles(config.num_particles, count, config.bandwidths, config.kernel_exponent)
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation, channels=channels)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
