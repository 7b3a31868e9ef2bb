"""PQN (Gallici et al., 2024) with an actor, for continuous actions: a composition of ours, of which none is published.

Its authors have discrete actions alone. What is theirs: no replay, no target network, λ-returns over parallel
environments, layer-normalized networks, RAdam, and their numbers. The maximum over actions is an actor in place: a
squashed Gaussian with a tuned temperature that climbs the critic by pathwise gradients. It is `reppo` without bound on
its steps, without auxiliary task, and with a scalar return.
"""

import dataclasses

from jaxq.agents import Normalized
from jaxq.bellman import Scalar
from jaxq.configs import LambdaActorCriticLearner, Precision, Privileged, RAdam, action_size, presets, seeing, seen_of
from jaxq.networks import ActionCritic, GaussianPolicyNetwork, encoder_maker, torso_for
from jaxq.networks.torsos import MLP
from jaxq.runs import main
from jaxq.training import OnPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Precision, Privileged, RAdam, LambdaActorCriticLearner):
    """The axes of pqn_continuous."""

    total_steps: int = 10_000_000
    learning_rate: float = 5e-4
    learning_rate_final: float | None = 0.0
    max_gradient_norm: float = 10.0
    trace: float = 0.65
    mixed_precision: bool = False
    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of actor and critic; images go through the convolutions of their size first."""


PRESETS = presets(
    Config,
    classic={
        "total_steps": 200_000,
        "num_envs": 32,
        "minibatches": 8,
        "epochs": 4,
        "learning_rate": 1e-3,
        "hidden_widths": (64, 64),
    },
    pendulum={"discount": 0.95, "reward_scale": 0.1},
)


def build(config: Config) -> OnPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_whole_environments()
    by_actor, by_critic = config.seen_by_actor(training), config.seen_by_critic(training)
    spec, widths = training.observation_spec, config.hidden_widths
    actor = GaussianPolicyNetwork(
        lambda mode: torso_for(spec, widths, sees=by_actor, layer_norm=True), action_size(training)
    )
    encoder = encoder_maker(seen_of(spec, by_critic), layer_norm=True)
    critic = seeing(by_critic, ActionCritic(lambda mode: MLP(widths, layer_norm=True), make_encoder=encoder))
    agent = config.make_lambda_actor_critic(training, actor, critic, Scalar())
    return config.make_training(Normalized(config.in_precision(agent)), training, evaluation)


if __name__ == "__main__":
    main(Config, PRESETS, build)
