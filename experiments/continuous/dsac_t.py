"""DSAC-T (Duan et al., Distributional Soft Actor-Critic with Three Refinements, 2025).

Two critics of a Gaussian return: the mean learns from the mean of the one whose mean is smaller, the deviation from a
sample of it, and gradients are scaled by the running deviation. Actor, temperature and all targets move once in two
updates, the actor by the critics before their step. Sizes are those of the authors' code, which takes 20 environment
steps to an update; here there is one to an update, and the warm-up is random, as of the other scripts. Targets have the
temperature just tuned, theirs the one before. Entropies are of actions in [-1, 1], theirs of the environment's, which
differs where bounds are others: on Humanoid (± 0.4) their target of -17 is one of -1.4. GELUs are approximated by tanh.
"""

import dataclasses
import functools
import math

import flax.linen as nn

from jaxq.agents import LinearSchedule
from jaxq.bellman import Minimum, ScaledGaussian
from jaxq.configs import CONTROL, ActorCriticLearner, Critics, DelayedActor, Temperature, action_size, presets
from jaxq.errors import require
from jaxq.networks import (
    MLP,
    Ensemble,
    GaussianCritic,
    GaussianPolicyNetwork,
    clipped,
    encoder_maker,
    pytorch_dense,
    torso_for,
)
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, DelayedActor, Critics, ActorCriticLearner):
    """The axes of dsac_t."""

    learning_rate: float = 1e-4
    temperature_learning_rate: float = 3e-4
    """Step size of the temperature."""
    initial_temperature: float = math.e
    warmup_steps: int = 10_000
    hidden_widths: tuple[int, ...] = (256, 256, 256)
    """Hidden layers of actor and critics; images go through the convolutions of their size first."""


PRESETS = presets(Config, CONTROL, classic={"learning_rate": 3e-4})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    representation, targets, widths = ScaledGaussian(), config.make_targets(), config.hidden_widths
    rate = config.temperature_learning_rate
    require(rate >= 0, "temperature_learning_rate", rate, "0 or more")
    entropy = config.make_entropy(actions).replace(learning_rate=LinearSchedule.constant(rate))
    spec, follow = training.observation_spec, config.target_rate
    torso = functools.partial(torso_for, spec, activation=nn.gelu, make_layer=pytorch_dense)
    layers = functools.partial(MLP, activation=nn.gelu, make_layer=pytorch_dense)
    actor = GaussianPolicyNetwork(
        lambda mode: torso(widths), action_size(training), clipped(-20.0, 0.5), make_head=pytorch_dense
    )
    encoder = encoder_maker(spec)
    critics = Ensemble(
        lambda: GaussianCritic(lambda mode: layers(widths), follow, encoder, make_head=pytorch_dense),
        config.num_critics,
    )
    agent = config.make_actor_critic(
        training,
        actor,
        critics,
        representation,
        hyper={
            "target": targets,
            "actor_target": targets,
            "entropy": entropy,
        },
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_period=config.actor_period,
        actor_first=True,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
