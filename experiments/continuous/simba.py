"""SimBa (Lee et al., SimBa: Simplicity Bias for Scaling Up Parameters in Deep Reinforcement Learning, 2025), on SAC.

Normalized observations and residual networks with layer normalization; the actor goes before the critic. One critic, as
the authors take for tasks without an end of their own; on Gymnasium's MuJoCo, where most have one, they take two, of
which the smaller makes targets: `--num-critics 2`. Their updates are one to a frame, two to a step of
two frames, and their discount follows from an episode's length: 0.99 for 1,000 steps of two frames, 0.995 of one. Their
statistics count what an episode begins with, ours what it ends with too.
"""

import dataclasses

from jaxq.agents import Normalized
from jaxq.bellman import Minimum, Scalar
from jaxq.configs import CONTROL, ActorCriticLearner, Averaging, Blocks, Temperature, WeightDecay, action_size, presets
from jaxq.networks import (
    GaussianPolicyNetwork,
    SimBaNet,
    after_convolutions,
    by_tanh,
    orthogonal_dense,
)
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, WeightDecay, Blocks, ActorCriticLearner):
    """The axes of simba."""

    learning_rate: float = 1e-4
    initial_temperature: float = 0.01
    target_entropy_per_dimension: float = -0.5
    num_critics: int = 1


PRESETS = presets(Config, CONTROL, classic={"critic_width": 128})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation, spec, head = Scalar(), training.observation_spec, orthogonal_dense()
    actor_sizes, critic_sizes = config.actor_sizes, config.critic_sizes
    actor = GaussianPolicyNetwork(
        lambda mode: after_convolutions(spec, SimBaNet(*actor_sizes)),
        action_size(training),
        bound=by_tanh(-10.0, 2.0),
        make_head=head,
    )
    critics = config.make_critics(training, representation, lambda mode: SimBaNet(*critic_sizes), head)
    agent = config.make_actor_critic(
        training,
        actor,
        critics,
        representation,
        optimizer=config.make_adamw(),
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_first=True,
    )
    return config.make_training(Normalized(agent), training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
