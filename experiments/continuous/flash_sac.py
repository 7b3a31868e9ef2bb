"""FlashSAC (2026, arXiv:2604.04539), as its authors' code has it.

SAC for a thousand environments with few updates: residual networks of unit weights, batch normalization over what is
and what follows together, critics over atoms on one support, to which rewards are scaled by the returns seen, a target
entropy that is that of a small Gaussian, and noise that is held for some steps. Numbers are those for MuJoCo
Playground; for one environment on a CPU they take `--num-envs 1 --updates 1 --batch-size 512 --discount 0.99
--replay-capacity 1000000 --warmup-steps 10000 --total-steps 1000000` and no mixed precision. The target entropy is `½
log 2πe σ²` a dimension with σ = 0.15. Actor and temperature are learned with the last of every two updates of the
critics, theirs with the first; a loss is the sum over the critics, theirs the mean; the temperature moves down the
slope by its logarithm, theirs by itself, which falls more slowly; a window that a time limit cuts short is discounted
by the steps it has, theirs by all that it should have; on a GPU products are of bfloat16 numbers, in acting too, where
theirs are of float16 and in learning alone; and their humanoids are not pushed, Playground's are. A later version of
theirs, which is not followed here, begins at the robot's own pose.

On one core, with small networks, a Go1 walks by `--env envpool/Go1JoystickFlatTerrain-v1 --num-envs 64 --batch-size 256
--updates 2 --n-step 3 --learning-rate 1e-3 --learning-rate-final 1e-4 --target-rate 0.02 --warmup-steps 12800
--replay-capacity 1000000 --critic-width 128 --critic-blocks 1 --actor-width 64 --actor-blocks 1 --initial-cost-weight
0.05 --cost-steps 3500000 --total-steps 4000000`: what its rewards cost counts little at first.
"""

import dataclasses

from jaxq.agents import RepeatedNoise, ScaledRewards
from jaxq.bellman import Categorical, Minimum
from jaxq.configs import (
    PARALLEL,
    ActorCriticLearner,
    Atoms,
    Averaging,
    Blocks,
    Costs,
    Precision,
    Privileged,
    Temperature,
    action_size,
    presets,
    seeing,
)
from jaxq.networks import FlashNet, GaussianPolicyNetwork, UnitHead, by_tanh, on_spheres
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Precision, Privileged, Costs, Temperature, Atoms, Averaging, Blocks, ActorCriticLearner):
    """The axes of flash_sac."""

    total_steps: int = 50_000_000
    num_envs: int = 1024
    batch_size: int = 2_048
    updates: int = 2
    warmup_steps: int = 100_000
    replay_capacity: int = 10_000_000
    learning_rate_final: float | None = 1.5e-4
    discount: float = 0.97
    target_rate: float = 0.01
    initial_temperature: float = 0.01
    target_entropy_per_dimension: float = -0.478
    v_min: float = -5.0
    v_max: float = 5.0
    num_atoms: int = 101
    critic_width: int = 256
    actor_blocks: int = 2
    actor_period: int = 2
    """Updates of the critics to one of actor and temperature."""
    longest_noise: int = 16
    """Steps for which noise is held at most."""


PRESETS = presets(Config, PARALLEL, everywhere={"v_min": -5.0, "v_max": 5.0})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_whole_vector_environments()
    representation = Categorical(config.make_support())
    actor_sizes, critic_sizes = config.actor_sizes, config.critic_sizes
    size = action_size(training)
    actor = GaussianPolicyNetwork(
        lambda mode: FlashNet(mode, *actor_sizes), size, bound=by_tanh(-10.0, 2.0), make_head=UnitHead
    )
    seen = config.seen_by_critic(training)
    critics = config.make_critics(training, representation, lambda mode: FlashNet(mode, *critic_sizes), UnitHead, seen)
    rate = config.make_cosine_step_sizes(config.total_updates)
    # Theirs of actor and temperature goes on with these, and so only as far along the cosine as they are updated.
    slower = config.make_cosine_step_sizes(config.total_updates * config.actor_period)
    agent = config.make_actor_critic(
        training,
        seeing(config.seen_by_actor(training), actor),
        critics,
        representation,
        hyper={
            "actor_learning_rate": slower,
            "critic_learning_rate": rate,
            "entropy": config.make_entropy(actions).replace(learning_rate=slower),
            "exploration": RepeatedNoise(size, longest=config.longest_noise),
        },
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_period=config.actor_period,
        actor_first=True,
        joint=True,
        actor_joint=True,
        constraint=on_spheres,
    )
    # Scaled by what it is with all costs, which is what it comes to.
    weighing = config.weighing_costs(config.in_precision(agent), training)
    scaled = ScaledRewards(weighing, config.discount, config.largest_scaled_return())
    return config.make_training(scaled, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
