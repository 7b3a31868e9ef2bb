"""ARSQ (Liu et al., Learning from Suboptimal Data in Continuous Control via Auto-Regressive Soft Q-Network, 2025).

Online and without demonstrations: the authors' term for these, and the half of a batch that is drawn from them, are
left out, as there are none; their replay begins with them, and the policy acts from the first step, where here 5,000
random steps precede. Numbers are those of their code for D4RL's cheetah and walker: one level of 41 bins. An update
comes with every step, where theirs come after every episode, as many as it had steps.
"""

import dataclasses
import math

import flax.linen as nn

from jaxq.agents import AutoRegressiveHyperparameters, AutoRegressiveSoftQLearning
from jaxq.configs import CONTROL, Adam, Averaging, ContinuousEnvironments, Discount, FromReplay, NStep, presets
from jaxq.configs.discretized import encoder_of
from jaxq.envs import Cells, with_actions
from jaxq.networks import MLP, ActionValueHead, ActionValueNetwork, Ensemble, UtilityNetwork, orthogonal_dense
from jaxq.runs import main
from jaxq.training import OffPolicy

hidden_layer, last_layer = orthogonal_dense(math.sqrt(2.0)), orthogonal_dense(0.01)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Averaging, NStep, Discount, Adam, FromReplay, ContinuousEnvironments):
    """The axes of arsq."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 500_000
    eval_episodes: int = 8
    learning_rate: float = 3e-4
    batch_size: int = 512
    warmup_steps: int = 5_000
    replay_capacity: int = 1_000_000
    hidden_widths: tuple[int, ...] = (512, 512, 512)
    """Hidden layers; images go through the convolutions of their size first."""
    levels: int = 1
    """Choices in each dimension, each in the interval of the one before."""
    num_bins: int = 41
    """Parts of an interval."""
    num_critics: int = 2
    """Critics, each with networks of its own for values and advantages."""
    temperature: float = 0.01
    """α, the price of entropy."""


CLASSIC = {"hidden_widths": (128, 128), "batch_size": 128, "temperature": 0.1, "learning_rate": 1e-3}
PRESETS = presets(Config, CONTROL, classic=CLASSIC)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    cells = Cells(actions.size, config.levels, config.num_bins)
    layers = MLP(config.hidden_widths, nn.tanh, make_layer=hidden_layer)

    def value() -> nn.Module:
        torso = encoder_of(training) or layers.clone()
        return ActionValueNetwork(torso, ActionValueHead(1, make_layer=last_layer))

    def utility() -> nn.Module:
        encoder = encoder_of(training)
        return UtilityNetwork(layers.clone(), cells.levels * cells.size, cells.bins, encoder, last_layer)

    agent = AutoRegressiveSoftQLearning(
        value=Ensemble(value, config.num_critics),
        utility=Ensemble(utility, config.num_critics),
        observation_spec=training.observation_spec,
        optimizer=config.make_optimizer(),
        hyper=AutoRegressiveHyperparameters(
            learning_rate=config.make_step_sizes(config.total_updates),
            target=config.make_targets(),
            temperature=config.temperature,
            discount=config.discount,
        ),
        cells=cells,
    )
    divided = with_actions(training, cells)
    return config.make_training(agent, divided, evaluation, config.make_replay(divided, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
