"""Itakura-Saito loss (Udovichenko et al., Risk-Averse Reinforcement Learning with Itakura-Saito Loss, 2025)."""

import dataclasses

from jaxq.bellman import ItakuraSaito
from jaxq.configs import Q_LEARNING, Discount, Exploration, Layers, NStep, Operator, QLearner, Targets, presets
from jaxq.networks import ActionValueHead, ActionValueNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Operator, Targets, Exploration, Layers, NStep, Discount, QLearner):
    """The axes of itakura_saito."""

    risk_aversion: float = 0.5
    """β of the exponential utility; negative seeks risk."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    representation = ItakuraSaito(config.risk_aversion)
    network = ActionValueNetwork(config.make_torso(training), ActionValueHead(num_actions, representation.width))
    agent = config.make_q_learner(training, network, representation)
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
