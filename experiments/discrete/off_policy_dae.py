"""Off-policy DAE (Pan and Schölkopf, Skill or Luck? Return Decomposition via Advantage Functions, 2024)."""

import dataclasses
from math import prod

from jaxq.agents import DirectAdvantage, DirectAdvantageHyperparameters
from jaxq.configs import (
    Q_LEARNING,
    Adam,
    Discount,
    DiscreteEnvironments,
    Exploration,
    FromReplay,
    Layers,
    RewardClip,
    Sequences,
    Targets,
    presets,
)
from jaxq.envs import single_spec
from jaxq.errors import named
from jaxq.networks import SkillLuckNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Sequences, Targets, Exploration, Layers, Discount, RewardClip, Adam, FromReplay, DiscreteEnvironments):
    """The axes of off_policy_dae; each suffix of a sequence is learned from too."""

    num_latents: int = 16
    """Values of the latent variable that stands for where nature went."""
    policy_temperature: float = 0.1
    """Of the softmax of advantages that is the policy."""


PRESETS = presets(Config, Q_LEARNING)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = config.make_environments()
    size = prod(single_spec(training.observation_spec, "off_policy_dae").shape)
    network = SkillLuckNetwork(config.make_torso(training), num_actions, config.num_latents, decoded_size=size)
    with named(temperature="policy_temperature"):
        hyper = DirectAdvantageHyperparameters(
            learning_rate=config.make_step_sizes(config.total_updates),
            exploration=config.make_exploration(),
            target=config.make_targets(),
            discount=config.discount,
            temperature=config.policy_temperature,
            reward_clip=config.reward_clip,
        )
    agent = DirectAdvantage(
        network=network,
        observation_spec=training.observation_spec,
        optimizer=config.make_optimizer(),
        hyper=hyper,
    )
    return config.make_training(agent, training, evaluation, config.make_sequences(training, config.sequence_length))


if __name__ == "__main__":
    main(Config, PRESETS, build)
