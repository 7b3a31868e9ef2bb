"""PPO as Brax and MuJoCo Playground configure it (Freeman et al., 2021; Zakka et al., MuJoCo Playground, 2025).

A squashed Gaussian whose deviation depends on the state, swish networks, normalized observations; where observations
have parts, the policy can do without what its critic is told. Defaults are Playground's for the quadruped Go1.
Minibatches are of single steps, where Brax's are of whole unrolls whose advantages are computed anew in each; the
running statistics move after learning and not before it; evaluated is the policy's mode, where Brax draws.

With few environments a Go1, whose rewards are cut off at zero, learns to stand and no more. On one core `--env
envpool/Go1JoystickFlatTerrain-v1 --num-envs 64 --rollout-steps 128 --minibatches 4 --epochs 3 --policy-widths 256 128
--value-widths 256 128 --initial-cost-weight 0.05 --cost-steps 12000000 --total-steps 16000000` has it walk: what its
rewards cost counts little at first.
"""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn

from jaxq.agents import Normalized, SquashedGaussian, generalized_from_next
from jaxq.configs import ContinuousEnvironments, Costs, PPOLearner, Privileged, action_size, presets
from jaxq.networks import Dense, GaussianPolicyNetwork, Mode, PolicyAndValueNetwork, Torso, by_softplus, torso_for
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Privileged, Costs, PPOLearner, ContinuousEnvironments):
    """The axes of brax_ppo."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 200_000_000
    eval_episodes: int = 8
    num_envs: int = 8192
    rollout_steps: int = 20
    minibatches: int = 32
    epochs: int = 4
    discount: float = 0.97
    learning_rate: float = 3e-4
    max_gradient_norm: float = 1.0
    clip: float = 0.3
    entropy_weight: float = 1e-2
    reward_scale: float = 1.0
    """Rewards are multiplied by this before learning."""
    policy_widths: tuple[int, ...] = (512, 256, 128)
    """Hidden layers of the policy."""
    value_widths: tuple[int, ...] = (512, 256, 128)
    """Hidden layers of the value."""


PRESETS = presets(
    Config,
    classic={
        "total_steps": 500_000,
        "num_envs": 64,
        "minibatches": 8,
        "learning_rate": 1e-3,
        "policy_widths": (64, 64),
        "value_widths": (64, 64),
    },
    pendulum={"discount": 0.95, "reward_scale": 0.1},
)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_whole_environments()
    layer = functools.partial(Dense, kernel_init=nn.initializers.lecun_uniform(in_axis=-1, out_axis=-2))

    def layers(widths: tuple[int, ...], sees: tuple[str, ...]) -> Callable[[Mode], Torso]:
        spec = training.observation_spec
        return lambda mode: torso_for(spec, widths, sees=sees, activation=nn.swish, make_layer=layer)

    policy = GaussianPolicyNetwork(
        layers(config.policy_widths, config.seen_by_actor(training)),
        action_size(training),
        bound=by_softplus(0.001),
        make_head=layer,
    )
    agent = config.make_ppo(
        training,
        PolicyAndValueNetwork(policy, layers(config.value_widths, config.seen_by_critic(training)), layer),
        hyper={"reward_scale": config.reward_scale},
        policy=SquashedGaussian(),
        advantage=generalized_from_next,
    )
    return config.make_training(config.weighing_costs(Normalized(agent), training), training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
