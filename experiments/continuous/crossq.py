"""CrossQ (Bhatt et al., CrossQ: Batch Normalization in Deep Reinforcement Learning, 2024).

Batch renormalization in actor and critics, wide critics, no target networks: a critic sees what is and what follows in
one pass. The actor moves once in three updates. Adam's first momentum is 0.5, but for the temperature's. Its loss is in
log α, in the authors' code in α, which Adam hardly sees. Renormalization is that of its paper (Ioffe, 2017); in their
code its ε comes after the statistics were moved, which tells where a feature hardly varies. On Swimmer they discount by
0.9999, and on dm_control their step size is 8e-4.
"""

import dataclasses

from jaxq.bellman import Minimum, Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, Temperature, action_size, presets
from jaxq.errors import require
from jaxq.networks import BatchNormalizedMLP, GaussianPolicyNetwork, after_convolutions
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, ActorCriticLayers, ActorCriticLearner):
    """The axes of crossq."""

    learning_rate: float = 1e-3
    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of the actor; images go through the convolutions of their size first."""
    critic_widths: tuple[int, ...] = (2048, 2048)
    """Hidden layers of a critic."""
    actor_period: int = 3
    """Updates of the critics to one of actor and temperature."""
    adam_momentum: float = 0.5
    """β1 of Adam, for actor and critics."""


PRESETS = presets(Config, CONTROL, classic={"critic_widths": (256, 256)})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    require(0 <= config.adam_momentum < 1, "adam_momentum", config.adam_momentum, "in [0, 1)")
    representation, widths, critic_widths = Scalar(), config.hidden_widths, config.critic_widths
    spec = training.observation_spec
    actor = GaussianPolicyNetwork(
        lambda mode: after_convolutions(spec, BatchNormalizedMLP(mode, widths)), action_size(training)
    )
    critics = config.make_critics(training, representation, lambda mode: BatchNormalizedMLP(mode, critic_widths))
    agent = config.make_actor_critic(
        training,
        actor,
        critics,
        representation,
        optimizer=config.clipped(config.make_adam(b1=config.adam_momentum)),
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_period=config.actor_period,
        joint=True,
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
