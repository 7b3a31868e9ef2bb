"""SimBaV2 (Lee et al., Hyperspherical Normalization for Scalable Deep Reinforcement Learning, 2025), on SAC.

Weights and features of length one, normalized observations, rewards scaled by the returns seen so that they fit one
support, critics over atoms. One critic and a discount of 0.99, as the authors take for the DeepMind Control Suite and
MyoSuite, whose tasks have no end of their own and steps of two frames; on Gymnasium's MuJoCo, HalfCheetah too, they
take two, of which that with the smaller value makes targets, and 0.995: `--num-critics 2 --discount 0.995`. Step sizes
halve over the updates of a run, theirs over its steps; the temperature moves down the slope by its logarithm, theirs by
itself, which is slower where it is small and falls. Their statistics count what an episode begins with, ours what it
ends with too.
"""

import dataclasses
import functools

from jaxq.agents import Normalized, ScaledRewards
from jaxq.bellman import Categorical, Minimum
from jaxq.configs import CONTROL, ActorCriticLearner, Atoms, Averaging, Blocks, Temperature, action_size, presets
from jaxq.networks import (
    GaussianPolicyNetwork,
    SimBaV2Net,
    UnitHead,
    after_convolutions,
    by_tanh,
    on_spheres,
)
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Atoms, Averaging, Blocks, ActorCriticLearner):
    """The axes of simba_v2."""

    learning_rate: float = 1e-4
    learning_rate_final: float | None = 5e-5
    initial_temperature: float = 0.01
    target_entropy_per_dimension: float = -0.5
    v_min: float = -5.0
    v_max: float = 5.0
    num_atoms: int = 101
    num_critics: int = 1


PRESETS = presets(Config, CONTROL, classic={"critic_width": 128})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation, spec = Categorical(config.make_support()), training.observation_spec
    actor_sizes, critic_sizes = config.actor_sizes, config.critic_sizes
    head = functools.partial(UnitHead, hidden=1)
    actor = GaussianPolicyNetwork(
        lambda mode: after_convolutions(spec, SimBaV2Net(*actor_sizes)),
        action_size(training),
        bound=by_tanh(-10.0, 2.0),
        make_head=head,
    )
    critics = config.make_critics(training, representation, lambda mode: SimBaV2Net(*critic_sizes), head)
    agent = config.make_actor_critic(
        training,
        actor,
        critics,
        representation,
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_first=True,
        constraint=on_spheres,
    )
    scaled = ScaledRewards(agent, config.discount, config.largest_scaled_return())
    return config.make_training(Normalized(scaled), training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
