"""AVG (Vasan et al., Deep Policy Gradient Methods Without Batch Updates, Target Networks, or Replay Buffers, 2024).

Every step is learned from once, as it is taken. Defaults are what the README of the authors' code says of Hopper and
Walker2d; for Ant, HalfCheetah and Humanoid (their avg.py's own) it has 0.0063, 0.0087 and a temperature of 0.07, and
numbers of its own, discount among them, for each task of the control suite. Actions in [-1, 1] are stretched to the
environment's bounds, to which theirs are clipped (Humanoid's are ± 0.4). Evaluations play the policy's mode; returns
that the authors report are those of acting with noise. Several environments are not theirs: gradients are averaged.
"""

import dataclasses
import functools

import flax.linen as nn
import optax

from jaxq.agents import AVG, AVGHyperparameters, LinearSchedule, NormalizedAsSeen, flatten_small
from jaxq.configs import ContinuousEnvironments, Discount, presets
from jaxq.errors import require
from jaxq.networks import (
    MLP,
    ActionCritic,
    GaussianPolicyNetwork,
    UnitFeatures,
    after_convolutions,
    encoder_maker,
    orthogonal_dense,
)
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Discount, ContinuousEnvironments):
    """The axes of avg."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 10_000_000
    eval_episodes: int = 8
    actor_learning_rate: float = 1.1e-5
    """Step size of the actor."""
    critic_learning_rate: float = 7.7e-5
    """Step size of the critic."""
    temperature: float = 0.3
    """Price of entropy."""
    beta1: float = 0.0
    """Decay of Adam's mean of gradients."""
    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of actor and critic; images go through the convolutions of their size first."""


PRESETS = presets(
    Config,
    classic={
        "total_steps": 100_000,
        "actor_learning_rate": 1e-4,
        "critic_learning_rate": 5e-4,
        "temperature": 0.1,
        "hidden_widths": (64, 64),
    },
    pendulum={"discount": 0.95},
)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    require(0 <= config.beta1 < 1, "beta1", config.beta1, "in [0, 1)")
    training, evaluation, actions = config.make_environments()
    spec = training.observation_spec
    layer = orthogonal_dense()
    layers = functools.partial(MLP, config.hidden_widths, activation=nn.leaky_relu, make_layer=layer)
    agent = AVG(
        actor=GaussianPolicyNetwork(
            lambda mode: UnitFeatures(after_convolutions(spec, layers())), actions.size, make_head=layer
        ),
        critic=ActionCritic(lambda mode: UnitFeatures(layers()), make_encoder=encoder_maker(spec), make_head=layer),
        observation_spec=spec,
        action_spec=actions,
        optimizer=flatten_small(optax.scale_by_adam(b1=config.beta1)),
        hyper=AVGHyperparameters(
            actor_learning_rate=LinearSchedule.constant(config.actor_learning_rate),
            critic_learning_rate=LinearSchedule.constant(config.critic_learning_rate),
            temperature=config.temperature,
            discount=config.discount,
        ),
    )
    return OnPolicy(
        agent=NormalizedAsSeen(agent),
        environment=training,
        evaluation=config.make_evaluation(evaluation),
        num_members=config.num_members,
        rollout_steps=1,
    )


if __name__ == "__main__":
    main(Config, PRESETS, build)
