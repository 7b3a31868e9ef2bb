"""DSAC (Ma et al., DSAC: Distributional Soft Actor Critic for Risk-Sensitive Reinforcement Learning, 2020).

Critics of quantiles at sampled fractions, the smaller of every two as the target, with a target actor. The temperature
is fixed, 0.2 for the MuJoCo tasks (0.05 for Humanoid). Risk-neutral; risk_averse_sac distorts. Every quantile counts by
the interval of fractions that it stands for. Target networks begin as copies, as the paper has them, where the authors'
code begins them anew. Losses are sums over a critic's quantiles, theirs means, which Adam hardly sees; they act in ten
environments at once, at as many updates a step.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn

from jaxq.agents import FixedTemperature, PolicySample
from jaxq.bellman import IntervalQuantile, Minimum, Pessimistic
from jaxq.configs import CONTROL, ActorCriticLearner, ActorLayers, Averaging, QuantileHuber, action_size, presets
from jaxq.errors import require
from jaxq.networks import Dense, GaussianPolicyNetwork, ImplicitQuantileCritics, encoder_maker
from jaxq.networks.linear import uniform_within
from jaxq.networks.regularized import uniform_fan_out
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QuantileHuber, Averaging, ActorLayers, ActorCriticLearner):
    """The axes of dsac."""

    # Of the actor; what the authors call a fan in is the number of outputs.
    make_layer: ClassVar[Callable[..., Dense]] = staticmethod(
        functools.partial(Dense, kernel_init=uniform_fan_out, bias_init=nn.initializers.constant(0.1))
    )
    warmup_steps: int = 10_000
    temperature: float = 0.2
    """α, the price of entropy."""
    num_fractions: int = 32
    """Quantiles of a critic."""
    critic_width: int = 256
    """Units of a critic's layers."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    require(config.temperature >= 0, "temperature", config.temperature, "0 or more")
    representation, targets = IntervalQuantile(config.huber_threshold), config.make_targets()
    encoder = encoder_maker(training.observation_spec)
    small = functools.partial(Dense, kernel_init=uniform_within(1e-3), bias_init=uniform_within(1e-3))
    actor = GaussianPolicyNetwork(config.actor_torso(training), action_size(training), make_head=small)
    agent = config.make_actor_critic(
        training,
        actor,
        ImplicitQuantileCritics(config.num_critics, config.critic_width, config.num_fractions, make_encoder=encoder),
        representation,
        hyper={
            "target": targets,
            "actor_target": targets,
            "entropy": FixedTemperature(config.temperature),
            "exploration": PolicySample(),
        },
        target_reduction=Pessimistic(1.0),
        actor_reduction=Minimum(),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
