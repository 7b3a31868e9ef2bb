"""ACE (Ji et al., Off-Policy Actor-Critic with Causality-Aware Entropy Regularization, 2024), on SAC.

Dimensions of the action count towards the entropy by their effect on the reward, and networks move towards fresh ones
by how many of the actor's units are dormant. Actor, temperature and targets move once in two updates. The first layers
have ELUs, the others ReLUs, and all begin uniformly by Glorot and Bengio (2010), as in the authors' code. Theirs learns
during the random steps too, and estimates effects for the first time after 10,000 of them and not of its own; what its
networks move towards begins orthogonally, ours as the networks began. Entropies are of actions in [-1, 1], theirs of
the environment's, which differs where bounds are others.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import CausalActorCritic, DormancyResets, WeightedTemperature
from jaxq.bellman import Minimum, Scalar
from jaxq.configs import (
    CONTROL,
    ActorCriticLearner,
    DelayedActor,
    GlorotLayers,
    Temperature,
    action_size,
    presets,
)
from jaxq.errors import require
from jaxq.networks import MLP, GaussianPolicyNetwork, Mode
from jaxq.networks.observations import size_of
from jaxq.runs import main
from jaxq.training import OffPolicy

MOST_VARIABLES = 128  # of which an estimate takes some minutes of a processor; of Humanoid's 394 it would take hours


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, DelayedActor, GlorotLayers, ActorCriticLearner):
    """The axes of ace."""

    batch_size: int = 512
    warmup_steps: int = 10_000
    hidden_widths: tuple[int, ...] = (1024, 1024, 1024)
    causal_samples: int = 10_000
    """Transitions from which effects are estimated."""
    causal_period: int = 10_000
    """Updates between two estimates."""
    reset_period: int = 100_000
    """Updates between two resets."""
    dormancy_threshold: float = 0.05
    """A unit is dormant below this share of the mean gradient of its layer."""


PRESETS = presets(
    Config,
    CONTROL,
    classic={
        "hidden_widths": (256, 256),
        "batch_size": 256,
        "causal_samples": 1_000,
        "causal_period": 1_000,
        "reset_period": 5_000,
    },
)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    representation, size, widths = Scalar(), action_size(training), config.hidden_widths
    variables = size_of(training.observation_spec) + size + 1
    allowed = f"one of at most {MOST_VARIABLES} numbers, with action and reward (it has {variables}): causes among them"
    require(variables <= MOST_VARIABLES, "env", config.env, f"{allowed} are told apart in the cube of that")
    make_layer = config.make_layer

    def layers(mode: Mode) -> nn.Module:
        del mode
        return nn.Sequential([MLP(widths[:1], nn.elu, make_layer=make_layer), MLP(widths[1:], make_layer=make_layer)])

    agent = config.make_actor_critic(
        training,
        GaussianPolicyNetwork(config.actor_torso(training, layers), size, make_head=make_layer),
        config.make_critics(training, representation, layers),
        representation,
        hyper={"entropy": WeightedTemperature(config.make_entropy(actions), size)},
        kind=CausalActorCritic,
        samples=config.causal_samples,
        period=config.causal_period,
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_period=config.actor_period,
        resets=DormancyResets(config.reset_period, config.dormancy_threshold),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
