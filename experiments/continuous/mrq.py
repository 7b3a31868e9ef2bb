"""MR.Q (Fujimoto et al., Towards General-Purpose Model-Free Reinforcement Learning, 2025), for continuous actions.

Embeddings learned by foreseeing rewards, the next embedding and the episode's end five steps ahead; critics and actor
on top of them; returns of three steps, in units of the rewards' mean magnitude; priorities by LAP. Numbers are those
of the authors' code, where a step of the control suite is two frames, and one here. Updates are two to a step, 250 of
the encoder and 250 of the others in turn: theirs makes the first 250 between two steps, here the 125 steps that they
take are acted by an encoder that moves and an actor that does not. Draws are one from each of as many equal shares of
the priorities as there are samples, theirs from the whole. Images go through the convolutions of their size here, from
0 to 1 and not from -1/2 to 1/2, and are not shifted at random, as theirs are.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import HardUpdate, LinearSchedule, ModelBasedActorCritic, ModelBasedHyperparameters
from jaxq.bellman import Scalar, SymexpSupport, TwoHot
from jaxq.configs import CONTROL, ActorCriticLearner, Critics, Noise, TargetNoise, WeightDecay, action_size, presets
from jaxq.errors import named, require
from jaxq.networks import Ensemble, LatentCritic, ModelBasedEncoder, NormalizedLayers, split_torso, torso_for
from jaxq.networks.observations import has_images
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TargetNoise, Noise, WeightDecay, Critics, ActorCriticLearner):
    """The axes of mrq."""

    n_step: int = 3
    updates: int = 2
    warmup_steps: int = 10_000
    max_gradient_norm: float = 20.0
    """Gradients of the critics are scaled down to this global norm."""
    priority_exponent: float | None = 0.4
    importance_exponent: float = 0.0
    importance_exponent_final: float = 0.0
    noise: float = 0.2
    largest_target_noise: float = 0.3
    weight_decay: float = 1e-4
    encoder_learning_rate: float = 1e-4
    """Step size of the encoder's optimizer."""
    latent_size: int = 512
    """Units of embeddings and of all hidden layers."""
    action_latent_size: int = 256
    """Units of the embedding of an action."""
    horizon: int = 5
    """Steps that the encoder's model foresees."""
    target_period: int = 250
    """Updates in a row of encoder, and then of critics and actor; every twice as many, targets are copied."""
    num_bins: int = 65
    """Bins of a foreseen reward, evenly spaced in its symmetric logarithm from -10 to 10."""
    dynamics_weight: float = 1.0
    """Of the next embedding in the encoder's loss."""
    reward_weight: float = 0.1
    """Of the reward in the encoder's loss."""
    termination_weight: float = 0.1
    """Of the episode's end in the encoder's loss."""
    action_penalty: float = 1e-5
    """Of the squares of actions before squashing."""


PRESETS = presets(Config, CONTROL, classic={"latent_size": 64, "action_latent_size": 32})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    require(config.num_bins >= 2, "num_bins", config.num_bins, "at least 2")
    spec, size, units = training.observation_spec, action_size(training), config.latent_size
    representation, reward = Scalar(huber_threshold=1.0), TwoHot(SymexpSupport(-10.0, 10.0, config.num_bins))
    torso = (lambda: split_torso(torso_for(spec))[0]) if has_images(spec) else None
    encoder = ModelBasedEncoder(reward.width, units, config.action_latent_size, (units, units), torso)
    adam = config.make_adam()
    with named(period="target_period"):
        copies = HardUpdate(2 * config.target_period)
    agent = ModelBasedActorCritic(
        encoder,
        Ensemble(lambda: LatentCritic(representation.width, units), config.num_critics),
        NormalizedLayers(size, (units, units), nn.relu),
        spec,
        actions,
        optimizer=config.decayed(adam),
        critic_optimizer=config.decayed(config.clipped(adam)),
        hyper=ModelBasedHyperparameters(
            encoder_learning_rate=LinearSchedule.constant(config.encoder_learning_rate),
            learning_rate=config.make_step_sizes(config.total_updates),
            target=copies,
            exploration=config.make_noise(),
            smoothing=config.make_smoothing(),
            discount=config.discount,
            dynamics_weight=config.dynamics_weight,
            reward_weight=config.reward_weight,
            termination_weight=config.termination_weight,
            action_penalty=config.action_penalty,
        ),
        representation=representation,
        reward=reward,
        horizon=config.horizon,
        n_step=config.n_step,
    )
    length = max(config.horizon, config.n_step)
    return config.make_training(agent, training, evaluation, config.make_sequences(training, length))


if __name__ == "__main__":
    main(Config, PRESETS, build)
