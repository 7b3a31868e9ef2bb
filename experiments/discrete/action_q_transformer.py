"""Action Q-Transformer (Itaya et al., Action Q-Transformer: Visual Explanation in Deep RL, 2023), for images.

`jaxq attention RUN_DIR` draws where it looks for each action.
"""

import dataclasses
from typing import Any

from jaxq.bellman import Scalar
from jaxq.errors import require
from jaxq.networks import ActionQTransformer
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, q_learning_agent
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of action_q_transformer beside those of all Q-learning."""

    features: int = 64
    """Width of the tokens."""
    heads: int = 4
    """Heads of the attention."""
    layers: int = 1
    """Layers of encoder and of decoder."""
    huber_threshold: float | None = 1.0
    """Where the loss turns from square to linear; None for squared errors."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    shape = training.observation_spec.shape
    require(len(shape) == 3, "env", config.env, f"one that observes images; these are of shape {shape}")
    require(config.features % config.heads == 0, "features", config.features, f"a multiple of heads={config.heads}")
    # Cells of an Atari frame are those of Nature's convolutions; of a small image, its own pixels' neighbourhoods.
    stem: dict[str, Any] = {}
    if min(shape[:2]) >= 36:
        stem = {"channels": (32, 64, 64), "kernels": (8, 4, 3), "strides": (4, 2, 1)}
    network = ActionQTransformer(
        num_actions, features=config.features, heads=config.heads, layers=config.layers, **stem
    )
    agent = q_learning_agent(config, training, network, Scalar(config.huber_threshold))
    return off_policy(config, agent, training, evaluation)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
