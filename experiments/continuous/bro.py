"""BRO (Nauman et al., Bigger, Regularized, Optimistic: Scaling for Compute and Sample-Efficient Control, 2024).

Residual, normalized, decayed critics of quantiles whose plain mean makes targets, ten updates a step, resets of all
that learns, and a second, optimistic actor that explores. Resets are at the authors' numbers of environment steps. The
temperature moves down the slope by its logarithm, theirs by itself, which falls more slowly where it is small.
BRO-fast is `--updates 2 --reset-steps 15001`.
"""

import dataclasses

from jaxq.agents import FullResets, OptimisticActorCritic
from jaxq.bellman import Pessimistic, Quantile
from jaxq.configs import (
    CONTROL,
    ActorCriticLearner,
    Averaging,
    Blocks,
    QuantileHuber,
    Temperature,
    WeightDecay,
    action_size,
    presets,
)
from jaxq.networks import (
    BroNet,
    GaussianPolicyNetwork,
    OptimisticPolicyNetwork,
    after_convolutions,
    by_tanh,
    encoder_maker,
    orthogonal_dense,
)
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(WeightDecay, Temperature, QuantileHuber, Averaging, Blocks, ActorCriticLearner):
    """The axes of bro."""

    batch_size: int = 128
    updates: int = 10
    warmup_steps: int = 2_500
    weight_decay: float = 1e-4
    target_entropy_per_dimension: float = -0.5
    num_quantiles: int = 100
    """Quantiles of a critic."""
    pessimism: float = 0.0
    """Deviations of the critics that are taken off their mean, quantile by quantile."""
    actor_width: int = 256
    reset_steps: tuple[int, ...] = (15_001, 50_001, 250_001, 500_001, 750_001, 1_000_001, 1_500_001, 2_000_001)
    """Environment steps of each seed at which everything that learns begins anew."""


PRESETS = presets(Config, CONTROL, classic={"critic_width": 128, "actor_width": 64, "updates": 2, "reset_steps": ()})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    representation = Quantile(config.num_quantiles, config.huber_threshold)
    actor_sizes, critic_sizes = config.actor_sizes, config.critic_sizes
    spec, size = training.observation_spec, action_size(training)
    head = orthogonal_dense(2.0**0.5)
    actor = GaussianPolicyNetwork(
        lambda mode: after_convolutions(spec, BroNet(*actor_sizes)),
        size,
        bound=by_tanh(-10.0, 2.0),
        make_head=head,
        make_std_head=orthogonal_dense(),
    )
    critics = config.make_critics(training, representation, lambda mode: BroNet(*critic_sizes), head)
    after_warmup = (step - config.warmup_steps for step in config.reset_steps)
    reset_updates = tuple(round(steps * config.updates_per_step) for steps in after_warmup if steps > 0)
    tuning = config.clipped(config.make_adam(b1=0.5))
    agent = config.make_actor_critic(
        training,
        actor,
        critics,
        representation,
        optimizer=config.make_adamw(),
        hyper={"entropy": config.make_entropy(actions).replace(optimizer=tuning)},
        kind=OptimisticActorCritic,
        optimist=OptimisticPolicyNetwork(lambda mode: BroNet(*actor_sizes), size, encoder_maker(spec)),
        scalars=tuning,
        target_reduction=Pessimistic(config.pessimism),
        actor_reduction=Pessimistic(config.pessimism),
        resets=FullResets(reset_updates),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
