"""Rainbow (Hessel et al., Combining Improvements in Deep Reinforcement Learning, 2018).

C51 with double targets, prioritized replay, n-step returns, dueling streams and noisy layers in place of ε-greedy.
"""

import dataclasses

from jaxq.agents import Greedy
from jaxq.bellman import Categorical, operators
from jaxq.configs import ATOMS, BY_LIVES, Q_LEARNING, Atoms, Discount, Layers, NStep, QLearner, Targets, presets
from jaxq.networks import ActionValueNetwork, DuelingHead
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Atoms, Targets, Layers, NStep, Discount, QLearner):
    """The axes of rainbow; the noise is all its exploration."""


PRESETS = presets(Config, Q_LEARNING, BY_LIVES, ATOMS, everywhere={"n_step": 3, "priority_exponent": 0.5})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = Categorical(config.make_support())
    torso, hidden = config.make_split_torso(training)
    network = ActionValueNetwork(torso, DuelingHead(num_actions, representation.width, hidden, noisy=True))
    agent = config.make_q_learner(training, network, representation, operator=operators.Double(), exploration=Greedy())
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
