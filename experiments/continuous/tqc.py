"""TQC (Kuznetsov et al., Controlling Overestimation Bias with Truncated Mixture of Distributional Critics, 2020).

Five critics of 25 quantiles; targets are their atoms together without the largest ones, 2 for each critic (the authors
drop 0 on HalfCheetah, 5 on Hopper). The actor climbs the mean of all. The loss is summed over the quantiles of a
critic, where the authors take the mean, which Adam does not see; random steps precede, where theirs begins at once; the
actor climbs the critics after their step, where theirs climbs them before it.
"""

import dataclasses
from typing import ClassVar

from jaxq.bellman import Mean, Quantile, Truncated
from jaxq.configs import (
    CONTROL,
    ActorCriticLearner,
    ActorLayers,
    Averaging,
    PyTorchLayers,
    QuantileHuber,
    Temperature,
    presets,
)
from jaxq.networks import MLP
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, QuantileHuber, PyTorchLayers, ActorLayers, ActorCriticLearner):
    """The axes of tqc."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("dropped_atoms",)

    num_critics: int = 5
    critic_widths: tuple[int, ...] = (512, 512, 512)
    """Hidden layers of a critic."""
    num_quantiles: int = 25
    """Quantiles of a critic."""
    dropped_atoms: int = 2
    """The largest atoms, for each critic, that targets go without; 0 for none."""


PRESETS = presets(Config, CONTROL, classic={"critic_widths": (256, 256)})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    widths, make_layer = config.critic_widths, config.make_layer
    representation = Quantile(config.num_quantiles, config.huber_threshold)
    critics = config.make_critics(training, representation, lambda mode: MLP(widths, make_layer=make_layer))
    agent = config.make_actor_critic(
        training,
        config.make_gaussian_actor(training),
        critics,
        representation,
        target_reduction=Truncated(config.dropped_atoms),
        actor_reduction=Mean(),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
