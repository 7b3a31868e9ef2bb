"""FastSAC (Seo et al., Learning Sim-to-Real Humanoid Locomotion in 15 Minutes, 2025).

SAC for thousands of environments: large batches, layer-normalized networks, critics over atoms, each of which makes its
own targets and whose mean the actor climbs, a temperature that is tuned with every update of the critics, normalized
observations, critics that see what is privileged. Numbers are those of the authors' code for locomotion (holosoma),
where the target entropy is zero and a step is worth up to 0.4. For MuJoCo Playground's Go1, whose steps are worth a
tenth of that, its first author takes a narrower support and four times the updates: `--num-envs 1024 --batch-size 32768
--warmup-steps 32768 --v-min -10 --v-max 10 --actor-period 2 --target-rate 0.1 --weight-decay 0.1
--target-entropy-per-dimension -1 --replay-capacity 10485760 --total-steps 51200000`, and for its humanoids `--updates 2
--total-steps 102400000` in their places (FastTD3's code and its branch of FastSAC, which has scalar critics, their
minimum, a warm-up of fewer steps than a batch, and other networks, noise and optimizers: critics of 1024, 512 and 256
units, ReLUs without layer normalization, log-deviations up to 2, a drawn head for the mean, Adam's usual β₂, and a
temperature that is tuned on fresh actions of the actor just moved).

Their actions are scaled to the joints' limits, of which their log-density and first noise know; here those of the
environment stand, so that a policy begins with less noise in the joints. The warm-up is the policy's own and of as many
steps as theirs: the first update comes after twelve of all environments. Batches are not doubled by symmetry; they are
drawn uniformly and not by environment; running statistics are of every step once, where theirs are of what is replayed,
and observations are divided by √(variance + 1e-4), theirs by the deviation and 0.01; layers begin by LeCun, with biases
of zero, and not as PyTorch's, with which the half-cheetah is learned far more slowly in the small recipe of
`benchmarks.time_to_return`; the temperature moves down the slope by its logarithm, theirs by itself; the actor is
learned with the last of every four updates, theirs with the second.
"""

import dataclasses
import functools

import flax.linen as nn
import optax

from jaxq.agents import Normalized
from jaxq.bellman import Categorical, Mean, Own
from jaxq.configs import (
    PARALLEL,
    ActorCriticLearner,
    Atoms,
    Averaging,
    Costs,
    Critics,
    Precision,
    Privileged,
    Temperature,
    WeightDecay,
    action_size,
    presets,
    seeing,
)
from jaxq.errors import require
from jaxq.networks import MLP, Dense, GaussianPolicyNetwork, by_tanh
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Precision, Privileged, Costs, WeightDecay, Temperature, Atoms, Averaging, Critics, ActorCriticLearner):
    """The axes of fast_sac."""

    total_steps: int = 204_800_000
    num_envs: int = 4096
    batch_size: int = 8_192
    updates: int = 8
    warmup_steps: int = 45_056
    replay_capacity: int = 4_194_304
    discount: float = 0.97
    target_rate: float = 0.125
    weight_decay: float = 0.001
    initial_temperature: float = 0.001
    target_entropy_per_dimension: float = 0.0
    v_min: float = -20.0
    v_max: float = 20.0
    num_atoms: int = 101
    critic_widths: tuple[int, ...] = (768, 384, 192)
    """Hidden layers of a critic."""
    actor_widths: tuple[int, ...] = (512, 256, 128)
    """Hidden layers of the actor."""
    actor_period: int = 4
    """Updates of the critics to one of the actor."""
    second_momentum: float = 0.95
    """β2 of Adam."""


PRESETS = presets(Config, PARALLEL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_whole_vector_environments()
    representation = Categorical(config.make_support())
    actor_widths, critic_widths = config.actor_widths, config.critic_widths
    layers = functools.partial(MLP, activation=nn.silu, layer_norm=True)
    actor = GaussianPolicyNetwork(
        lambda mode: layers(actor_widths),
        action_size(training),
        bound=by_tanh(-5.0, 0.0),
        make_head=lambda size: Dense(size, nn.initializers.zeros),
    )
    seen = config.seen_by_critic(training)
    critics = config.make_critics(training, representation, lambda mode: layers(critic_widths), sees=seen)
    require(0 <= config.second_momentum < 1, "second_momentum", config.second_momentum, "in [0, 1)")
    optimizer = config.make_adamw(b2=config.second_momentum)
    # Of the temperature they say nothing of decay, and PyTorch's own is in force.
    adam = config.make_adam(b2=config.second_momentum)
    tuning = config.clipped(optax.chain(adam, optax.add_decayed_weights(1e-2)))
    entropy = config.make_entropy(actions).replace(optimizer=tuning)
    base = config.make_actor_critic(
        training,
        seeing(config.seen_by_actor(training), actor),
        critics,
        representation,
        optimizer=optimizer,
        hyper={"entropy": entropy},
        target_reduction=Own(),
        actor_reduction=Mean(),
        actor_period=config.actor_period,
        tuned_by_targets=True,
    )
    # Theirs is (x - mean) / (std + 0.01).
    agent = config.weighing_costs(Normalized(config.in_precision(base), epsilon=1e-4), training)
    return config.make_training(
        agent, training, evaluation, config.make_replay(training, config.n_step), acts_from_the_start=True
    )


if __name__ == "__main__":
    main(Config, PRESETS, build)
