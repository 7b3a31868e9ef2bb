"""TD3 (Fujimoto et al., Addressing Function Approximation Error in Actor-Critic Methods, 2018).

The smaller of two critics as the target, noise on its actions, and actor and targets that move once in two updates.
Sizes are those of the authors' code, which differ from the paper's; of its 25,000 random steps 5,000 are taken here,
1,000 in classic control; on MuJoCo's InvertedPendulum, InvertedDoublePendulum and Reacher theirs are 1,000 too
(`--warmup-steps 1000`).
"""

import dataclasses

from jaxq.agents import Deterministic
from jaxq.bellman import First, Minimum, Scalar
from jaxq.configs import (
    CONTROL,
    ActorCriticLearner,
    DelayedActor,
    Noise,
    PyTorchLayers,
    TargetNoise,
    presets,
)
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TargetNoise, Noise, DelayedActor, PyTorchLayers, ActorCriticLearner):
    """The axes of td3."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation = Scalar()
    agent = config.make_actor_critic(
        training,
        config.make_deterministic_actor(training),
        config.make_critics(training, representation),
        representation,
        policy=Deterministic(),
        hyper={"actor_target": config.make_targets()},
        target_reduction=Minimum(),
        actor_reduction=First(),
        actor_period=config.actor_period,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
