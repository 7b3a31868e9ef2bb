"""Off-policy DAE (Pan and Schölkopf, Skill or Luck? Return Decomposition via Advantage Functions, 2024)."""

import dataclasses
from math import prod

from jaxq.agents import DirectAdvantage, DirectAdvantageHyperparameters
from jaxq.networks import SkillLuckNetwork
from jaxq.runs import clean_errors, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, adam, hyperparameters
from jaxq.training import OffPolicy

PRESETS = DEFAULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of off_policy_dae beside those of all Q-learning, whose operator and n-step it does not use."""

    sequence_length: int = 8
    """Steps of a window; each of its suffixes is learned from too."""
    num_latents: int = 16
    """Values of the latent variable that stands for where nature went."""
    policy_temperature: float = 0.1
    """Of the softmax of advantages that is the policy."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    shared = hyperparameters(config)
    agent = DirectAdvantage(
        network=SkillLuckNetwork(
            config.torso(training), num_actions, config.num_latents, decoded_size=prod(training.observation_spec.shape)
        ),
        observation_spec=training.observation_spec,
        optimizer=adam(config),
        hyper=DirectAdvantageHyperparameters(
            learning_rate=shared.learning_rate,
            exploration=shared.exploration,
            target=shared.target,
            discount=config.discount,
            temperature=config.policy_temperature,
            reward_clip=config.reward_clip,
        ),
    )
    return off_policy(config, agent, training, evaluation, sequence_length=config.sequence_length)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
