"""FastTD3 (Seo et al., FastTD3: Simple, Fast, and Capable Reinforcement Learning for Humanoid Control, 2025).

TD3 for a thousand environments: large batches, few updates a step, critics over atoms, of which that with the smaller
value makes targets, no target actor, noise of a size for each environment, normalized observations, critics that see
what is privileged. Numbers are those of the authors' code for MuJoCo Playground's humanoids; for its Go1 they take
`--updates 8 --target-noise 0.2 --smallest-noise 0.2 --largest-noise 0.8 --total-steps 51200000`, and for the control
suite `--n-step 3 --v-min -500 --v-max 500 --smallest-noise 0.1 --target-noise 0.1 --total-steps 153600000`. A falling
step size follows a cosine. The warm-up is the policy's own, with its noise, as theirs is, but of a whole batch: the
first update comes after 33 steps of all environments, theirs after 12. Here the actions that were executed are learned
from, which are clipped, where theirs are learned from as they were before; observations are divided by √(variance +
1e-4), where theirs are by the deviation and 0.01; batches are drawn uniformly and not by environment; running
statistics see every step once, where theirs see what is replayed too; their humanoids are not pushed, Playground's are;
and the smaller of two critics is found by their values before they are backed up and not after.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import Deterministic, NoiseByEnvironment, Normalized
from jaxq.bellman import Categorical, Minimum
from jaxq.configs import (
    PARALLEL,
    ActorCriticLearner,
    Atoms,
    Averaging,
    Costs,
    Critics,
    Precision,
    Privileged,
    TargetNoise,
    WeightDecay,
    action_size,
    presets,
    seeing,
)
from jaxq.errors import named
from jaxq.networks import MLP, Dense, PolicyNetwork, pytorch_dense
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Precision, Privileged, Costs, TargetNoise, WeightDecay, Atoms, Averaging, Critics, ActorCriticLearner):
    """The axes of fast_td3."""

    total_steps: int = 102_400_000
    num_envs: int = 1024
    batch_size: int = 32_768
    updates: int = 2
    warmup_steps: int = 32_768
    replay_capacity: int = 10_485_760
    discount: float = 0.97
    target_rate: float = 0.1
    weight_decay: float = 0.1
    target_noise: float = 0.001
    num_atoms: int = 101
    critic_widths: tuple[int, ...] = (1024, 512, 256)
    """Hidden layers of a critic."""
    actor_widths: tuple[int, ...] = (512, 256, 128)
    """Hidden layers of the actor."""
    actor_period: int = 2
    """Updates of the critics to one of the actor."""
    smallest_noise: float = 0.001
    """Standard deviation of an environment's noise on actions is drawn from here ..."""
    largest_noise: float = 0.4
    """... up to here, for each episode."""


PRESETS = presets(Config, PARALLEL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_whole_vector_environments()
    with named(smallest_std="smallest_noise", largest_std="largest_noise"):
        noise = NoiseByEnvironment(config.smallest_noise, config.largest_noise)
    representation = Categorical(config.make_support())
    actor_widths, critic_widths = config.actor_widths, config.critic_widths
    actor = PolicyNetwork(
        lambda mode: MLP(actor_widths, make_layer=pytorch_dense),
        action_size(training),
        make_head=lambda size: Dense(size, nn.initializers.normal(0.01)),
    )
    seen = config.seen_by_critic(training)
    critics = config.make_critics(
        training, representation, lambda mode: MLP(critic_widths, make_layer=pytorch_dense), pytorch_dense, seen
    )
    rate = config.make_cosine_step_sizes(config.total_updates)
    base = config.make_actor_critic(
        training,
        seeing(config.seen_by_actor(training), actor),
        critics,
        representation,
        policy=Deterministic(),
        optimizer=config.make_adamw(),
        hyper={
            "actor_learning_rate": rate,
            "critic_learning_rate": rate,
            "exploration": noise,
        },
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_period=config.actor_period,
    )
    agent = config.weighing_costs(Normalized(config.in_precision(base), epsilon=1e-4), training)
    return config.make_training(
        agent, training, evaluation, config.make_replay(training, config.n_step), acts_from_the_start=True
    )


if __name__ == "__main__":
    main(Config, PRESETS, build)
