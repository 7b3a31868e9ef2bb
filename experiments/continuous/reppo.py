"""REPPO (Voelcker et al., Relative Entropy Pathwise Policy Optimization, 2025).

On-policy and without target networks: soft λ-returns, an HL-Gauss critic that foresees its own embedding, a policy that
climbs it by pathwise gradients and turns back where it has gone too far from the one that acted. Networks and numbers
are those of the authors' code (reppo.py) for Brax; for MuJoCo Playground's humanoids they take `--reward-scale 1
--critic-width 1024 --discount 0.97 --v-min -10 --v-max 10 --rollout-steps 32 --minibatches 4 --epochs 8`, for its
control suite `--reward-scale 1 --minibatches 64 --epochs 8`; all for thousands of environments on an accelerator.
Classic control has a preset for two cores. Observations are normalized by the statistics of all rollouts before the one
that is learned from, of which the first has none, where theirs begin with the first observations and move with every
step; their environments begin in the midst of an episode, which these do not; and their humanoids are not pushed,
Playground's are. What looks like oversight in that code is left out: the policy's next action has the noise of the one
before, one key is for all minibatches of an epoch, and a rollout's last step goes on into the next episode where it
ends one.
"""

import dataclasses
import math

import jax.numpy as jnp

from jaxq.agents import KLBound, Normalized, SelfPrediction
from jaxq.bellman import HLGauss
from jaxq.configs import (
    Adam,
    Atoms,
    Costs,
    LambdaActorCriticLearner,
    Precision,
    Privileged,
    action_size,
    presets,
    seeing,
)
from jaxq.errors import require
from jaxq.networks import GaussianPolicyNetwork, RMSNormMLP, SelfPredictiveCritic, by_sum
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Precision, Privileged, Costs, Adam, Atoms, LambdaActorCriticLearner):
    """The axes of reppo."""

    total_steps: int = 50_000_000
    num_envs: int = 1024
    rollout_steps: int = 128
    minibatches: int = 128
    epochs: int = 4
    learning_rate: float = 3e-4
    max_gradient_norm: float = 0.5
    reward_scale: float = 0.1
    v_min: float = 0.0
    v_max: float = 150.0
    num_atoms: int = 151
    mixed_precision: bool = False
    kl_bound: float = 0.1
    """Bound on the divergence of the policy from the one that acted, in nats."""
    kl_price: float = 0.01
    """Price of that divergence before tuning."""
    auxiliary_weight: float = 1.0
    """Of the loss of what the critic foresees."""
    actor_width: int = 512
    """Units of the actor's layers."""
    critic_width: int = 512
    """Units of the critic's layers."""
    smallest_std: float = 0.1
    """Added to the policy's standard deviation before squashing."""


PRESETS = presets(
    Config,
    classic={
        "total_steps": 200_000,
        "num_envs": 32,
        "rollout_steps": 32,
        "minibatches": 8,
        "actor_width": 64,
        "critic_width": 64,
        "learning_rate": 1e-3,
        "v_min": -10.0,
        "v_max": 10.0,
    },
    pendulum={"discount": 0.95, "v_min": -40.0},
)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    require(config.smallest_std > 0, "smallest_std", config.smallest_std, "positive")
    uncut = config.initial_cost_weight is not None
    require(config.v_min < 0 or not uncut, "v_min", config.v_min, "below zero, where costs are weighed and not cut off")
    for name, value in (("kl_bound", config.kl_bound), ("kl_price", config.kl_price)):
        require(0 < value < math.inf, name, value, "positive and finite")
    weight = config.auxiliary_weight
    require(0 <= weight < math.inf, "auxiliary_weight", weight, "0 or more and finite")
    training, evaluation, _ = config.make_whole_vector_environments()
    representation = HLGauss(config.make_support())
    layers = (config.actor_width,) * 2
    actor = GaussianPolicyNetwork(
        lambda mode: RMSNormMLP(layers),
        action_size(training),
        bound=by_sum(config.smallest_std),
    )
    critic = SelfPredictiveCritic(
        representation.width,
        config.critic_width,
        prior=lambda: representation.encode(jnp.zeros(1))[0],
        sees=config.seen_by_critic(training),
    )
    agent = config.make_lambda_actor_critic(
        training,
        seeing(config.seen_by_actor(training), actor),
        critic,
        representation,
        constraint=KLBound(config.kl_bound, config.kl_price),
        auxiliary=SelfPrediction(config.auxiliary_weight),
    )
    return config.make_training(
        config.weighing_costs(Normalized(config.in_precision(agent), epsilon=1e-2), training), training, evaluation
    )


if __name__ == "__main__":
    main(Config, PRESETS, build)
