"""MD3QN (Zhang et al., Distributional RL for Multi-Dimensional Reward Functions, 2021): joint returns by particles.

The dimensions are the environment's own where its rewards are vectors (`tabular/VectorMaze`), else gains and losses.
"""

import dataclasses

from jaxq.bellman import Particles, as_given, gains_and_losses
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import clean_errors, merged, off_policy, parse, run
from jaxq.runs.discrete import FINE_STEPS, make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = merged(DEFAULTS, FINE_STEPS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of md3qn beside those of all Q-learning."""

    num_particles: int = 64
    """Particles of a return; 200 in the paper."""
    bandwidths: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
    """Of the Gaussian kernels, in units of the return squared."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    channels = as_given if training.reward_shape else gains_and_losses
    count = training.reward_shape[0] if training.reward_shape else 2
    representation = Particles(config.num_particles, count, config.bandwidths)
    network = ActionValueNetwork(config.torso(training), ActionValueHead(num_actions, representation.width))
    agent = q_learning_agent(config, training, network, representation, channels=channels)
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
