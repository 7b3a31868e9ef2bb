"""MaxInfoRL (Sukhija et al., Boosting Exploration through Information Gain Maximization, 2025), on SAC.

An ensemble models what actions do, and what it does not know is worth something to actor and critics, at a price that
is tuned. Layers begin orthogonally, as in the authors' code. Where that in JAX acts and learns from the first step,
random steps precede; and where both prices are held between 1e-8 and 1e8, which takes tens of thousands of updates in
one direction, they are free. Sizes are theirs of small tasks; on dm_control's larger ones they have widths of 1,024,
and on all of dm_control actions are repeated once.
"""

import dataclasses

from jaxq.agents import CuriousActorCritic, InformationGain
from jaxq.bellman import Minimum, Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, Averaging, Temperature, action_size, presets
from jaxq.errors import require
from jaxq.networks import MLP, DynamicsModel, Ensemble, GaussianPolicyNetwork, Mode, clipped, orthogonal_dense
from jaxq.networks.observations import size_of
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, ActorCriticLayers, ActorCriticLearner):
    """The axes of maxinforl."""

    model_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of a model of the environment."""
    num_models: int = 5
    """Models, whose disagreement is the information gained."""
    model_noise: float = 1e-3
    """Standard deviation of what no model can know, in units of the deviation of what is predicted."""


PRESETS = presets(Config, CONTROL, classic={"model_widths": (64, 64)})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    require(config.num_models >= 2, "num_models", config.num_models, "at least 2, which can disagree")
    require(0 < config.model_noise < float("inf"), "model_noise", config.model_noise, "positive and finite")
    representation, widths, model_widths = Scalar(), config.hidden_widths, config.model_widths
    outputs = size_of(training.observation_spec) + 1
    gain, unit = orthogonal_dense(2.0**0.5), orthogonal_dense()

    def layers(mode: Mode) -> MLP:
        del mode
        return MLP(widths, make_layer=gain)

    actor = GaussianPolicyNetwork(
        config.actor_torso(training, layers),
        action_size(training),
        bound=clipped(-10.0, 2.0),
        make_head=unit,
    )
    agent = config.make_actor_critic(
        training,
        actor,
        config.make_critics(training, representation, layers, gain),
        representation,
        kind=CuriousActorCritic,
        model=Ensemble(lambda: DynamicsModel(model_widths, outputs), config.num_models),
        information=InformationGain(
            noise=config.model_noise,
            learning_rate=config.make_step_sizes(config.total_updates),
            target=config.make_average(),
        ),
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
