"""Action Q-Transformer (Itaya et al., Action Q-Transformer: Visual Explanation in Deep RL, 2023), for images.

`jaxq attention RUN_DIR` draws where it looks for each action. Here it is DQN with that network in small; the authors'
code is Rainbow, whose queries attend to each other first, whose values see all cells and not their mean, with noisy
hidden layers after both, layers normalized after what they add, and dropout.
"""

import dataclasses
from typing import Any

from jaxq.configs import Q_LEARNING, Discount, Exploration, Huber, NStep, Operator, QLearner, Targets, presets
from jaxq.envs import single_spec
from jaxq.errors import require
from jaxq.networks import ActionQTransformer
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Operator, Targets, Exploration, NStep, Discount, QLearner):
    """The axes of action_q_transformer."""

    features: int = 64
    """Width of the tokens."""
    heads: int = 4
    """Heads of the attention."""
    layers: int = 1
    """Layers of encoder and of decoder."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    shape = single_spec(training.observation_spec, "action_q_transformer").shape
    require(len(shape) == 3, "env", config.env, f"one that observes images; these are of shape {shape}")
    require(config.features % config.heads == 0, "features", config.features, f"a multiple of heads={config.heads}")
    # Cells of an Atari frame are those of Nature's convolutions; of a small image, its own pixels' neighbourhoods.
    stem: dict[str, Any] = {}
    if min(shape[:2]) >= 36:
        stem = {"channels": (32, 64, 64), "kernels": (8, 4, 3), "strides": (4, 2, 1)}
    network = ActionQTransformer(
        num_actions, features=config.features, heads=config.heads, layers=config.layers, **stem
    )
    agent = config.make_q_learner(training, network, config.make_scalar())
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
