"""BEER (He et al., Adaptive Regularization of Representation Rank as an Implicit Constraint of Bellman Equation, 2024).

DDPG as TD3's authors re-tuned it, whose critic is charged for features of consecutive states that are more alike than
the Bellman equation allows. As in the authors' code there is one critic, and everything moves in every update. Random
steps are 5,000 of their 25,000, as of td3.
"""

import dataclasses

from jaxq.agents import BellmanRank, Deterministic
from jaxq.bellman import First, Scalar
from jaxq.configs import CONTROL, ActorCriticLearner, Averaging, Noise, PyTorchLayers, presets
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Noise, Averaging, PyTorchLayers, ActorCriticLearner):
    """The axes of beer."""

    num_critics: int = 1
    rank_weight: float = 1e-3
    """Of what is charged for features too much alike, beside the squared error."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation, targets = Scalar(), config.make_targets()
    agent = config.make_actor_critic(
        training,
        config.make_deterministic_actor(training),
        config.make_critics(training, representation),
        representation,
        policy=Deterministic(),
        hyper={"target": targets, "actor_target": targets},
        target_reduction=First(),
        actor_reduction=First(),
        regularizer=BellmanRank(config.rank_weight),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
