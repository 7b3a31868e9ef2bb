"""Hypernetwork critics (Sarafian et al., Recomposing RL Building Blocks with Hypernetworks, 2021), on TD3.

The state makes the weights of a small network on the action, so that the value's slope in the action, which the actor
climbs, is made for each state. Sizes, step sizes and the 1,000 random steps are those of the authors' code for TD3. The
critics' step size stays; a final one is of the actor's, where theirs has none.
"""

import dataclasses

from jaxq.agents import Deterministic, LinearSchedule
from jaxq.bellman import First, Minimum, Scalar
from jaxq.configs import (
    CONTROL,
    ActorCriticLearner,
    ActorLayers,
    DelayedActor,
    Noise,
    PyTorchLayers,
    TargetNoise,
    presets,
)
from jaxq.networks import Ensemble, HyperCritic, encoder_maker
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TargetNoise, Noise, DelayedActor, PyTorchLayers, ActorLayers, ActorCriticLearner):
    """The axes of hyper_critic."""

    batch_size: int = 100
    warmup_steps: int = 1_000
    critic_learning_rate: float = 5e-5
    """Step size of the critics' optimizer."""
    primary_widths: tuple[int, ...] = (256, 512, 1024)
    """Stages of the network on the state."""
    primary_blocks: int = 2
    """Residual blocks of each stage."""
    dynamic_width: int = 256
    """Units of the layer between action and value, whose weights the state makes."""


PRESETS = presets(
    Config, CONTROL, classic={"primary_widths": (32, 64, 128), "dynamic_width": 64, "critic_learning_rate": 3e-4}
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation, targets = Scalar(), config.make_targets()
    sizes = (config.primary_widths, config.primary_blocks, config.dynamic_width)
    encoder = encoder_maker(training.observation_spec)
    agent = config.make_actor_critic(
        training,
        config.make_deterministic_actor(training),
        Ensemble(lambda: HyperCritic(representation.width, *sizes, encoder), config.num_critics),
        representation,
        policy=Deterministic(),
        hyper={
            "target": targets,
            "actor_target": targets,
            "critic_learning_rate": LinearSchedule.constant(config.critic_learning_rate),
        },
        target_reduction=Minimum(),
        actor_reduction=First(),
        actor_period=config.actor_period,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
