"""i-DQN: a chain of value functions (Vincent et al., Iterated Q-Network, 2024).

D = 10 is the authors' code's where T = 200; on Atari theirs are of 6,000 and 30 steps, an update coming every fourth.
Errors are Huber's, as in the other scripts; in the code that is public they are squared (`--huber-threshold None`). The
loss is the sum over the chain, in that code their mean, of which Adam sees little but by its ε.
"""

import dataclasses

from jaxq.configs import Q_LEARNING, Chain, Discount, Exploration, Huber, Layers, NStep, Operator, QLearner, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Chain, Operator, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of i_dqn."""

    links: int = 5


PRESETS = presets(Config, Q_LEARNING, atari={"target_period": 1_500, "sync_period": 8})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = config.make_scalar()
    torso, hidden = config.make_split_torso(training)
    network = ActionValueNetwork(torso, ActionValueHead(num_actions, representation.width, hidden=hidden))
    agent = config.make_chain(config.make_q_learner(training, network, representation))
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
