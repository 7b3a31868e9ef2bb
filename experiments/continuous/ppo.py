"""PPO (Schulman et al., Proximal Policy Optimization Algorithms, 2017) for continuous actions.

Defaults are those of CleanRL (ppo_continuous_action.py) for MuJoCo: a Gaussian whose deviation is the same in all
states and whose numbers are clipped to [-1, 1], which is stretched to the environment's bounds, to which CleanRL clips
them (Humanoid's are ± 0.4); observations normalized and rewards scaled by running statistics. Here these move after
each rollout and not within it, the discounted sums that scale rewards are forgotten at every end and not at terminal
states alone, and returns that are cut off end in a value. The step size falls with every minibatch, theirs with every
rollout. Evaluations take the policy's mean; CleanRL has none.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import ClippedGaussian, Normalized, ScaledRewards, clipped_squared
from jaxq.configs import ContinuousEnvironments, PPOLearner, RewardClip, action_size, presets
from jaxq.errors import named
from jaxq.networks import Mode, PolicyAndValueNetwork, SharedStdPolicyNetwork, Torso, orthogonal_dense, torso_for
from jaxq.networks.observations import has_images
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RewardClip, PPOLearner, ContinuousEnvironments):
    """The axes of ppo."""

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    num_envs: int = 1
    rollout_steps: int = 2048
    epochs: int = 10
    learning_rate: float = 3e-4
    learning_rate_final: float | None = 0.0
    adam_epsilon: float = 1e-5
    max_gradient_norm: float = 0.5
    reward_clip: float = 10.0
    value_clip: float = 0.2
    """How far from what it was a value counts as learned; infinity for no bound."""
    observation_clip: float = 10.0
    """Normalized observations are clipped to plus or minus this."""
    hidden_widths: tuple[int, ...] = (64, 64)
    """Hidden layers of policy and value; the networks of images have their own."""


PRESETS = presets(
    Config,
    classic={"total_steps": 200_000, "num_envs": 8, "rollout_steps": 256, "learning_rate": 1e-3},
    pendulum={"discount": 0.9},
)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    spec = training.observation_spec
    widths = () if has_images(spec) else config.hidden_widths

    def torso(mode: Mode) -> Torso:
        del mode
        return torso_for(spec, widths, activation=nn.tanh, make_layer=orthogonal_dense(2.0**0.5))

    policy = SharedStdPolicyNetwork(torso, action_size(training), orthogonal_dense(0.01))
    ppo = config.make_ppo(
        training,
        PolicyAndValueNetwork(policy, torso, orthogonal_dense()),
        hyper={"reward_clip": config.reward_clip},
        policy=ClippedGaussian(),
        value_loss=clipped_squared(config.value_clip),
    )
    with named(largest="observation_clip"):
        agent = Normalized(ScaledRewards(ppo, config.discount), largest=config.observation_clip)
    return config.make_training(agent, training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
