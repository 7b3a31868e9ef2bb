"""REValueD (Ireland and Montana, Regularised Ensemble Value-Decomposition for Factorisable MDPs, 2024).

DecQN's decomposition with ten critics, whose mean makes the target, and a regularization that keeps what one dimension
explores from moving the values of the others. The regularization is the paper's; the authors' released code has none.
Their other numbers: three bins, an update every fifth step, uniform replay, targets that follow as an average, and ε
that falls with every random action, of which all dimensions are random. Steps whose n steps a time limit cuts short are
learned from, in their code they are not. Their critics have scale and shift of layer normalization in common. Losses
are summed over the critics, as in the paper, which in their code are a mean: so their clip of the gradient, 40, is ten
times that here.
"""

import dataclasses

import flax.linen as nn

from jaxq.agents import EpsilonByUse, REValueD
from jaxq.bellman import operators
from jaxq.configs import CONTROL, Averaging, Critics, DecomposedQLearner, Huber, presets
from jaxq.errors import named
from jaxq.networks import Ensemble, pytorch_dense
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Huber, Averaging, Critics, DecomposedQLearner):
    """The axes of revalued."""

    num_bins: int = 3
    collect_steps: int = 5
    warmup_steps: int = 10_000
    replay_capacity: int = 500_000
    max_gradient_norm: float = 400.0
    num_critics: int = 10
    regularization: float = 0.5
    """β, the weight of the regularization."""
    epsilon_initial: float = 1.0
    """Exploration after the warm-up."""
    epsilon_decay: float = 0.999
    """What a random action leaves of exploration."""
    epsilon_final: float = 0.05
    """Exploration in the end."""


CLASSIC = {
    "collect_steps": 2,
    "hidden_width": 64,
    "batch_size": 128,
    "learning_rate": 5e-4,
    "num_critics": 5,
    "max_gradient_norm": 200.0,
}
PRESETS = presets(Config, CONTROL, classic=CLASSIC)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, bins = config.make_binned_environments()
    representation = config.make_scalar()
    with named(initial="epsilon_initial", decay="epsilon_decay", final="epsilon_final"):
        exploration = EpsilonByUse(config.epsilon_initial, config.epsilon_decay, config.epsilon_final)
    layers = {"block_activation": nn.relu, "activation": lambda x: x, "make_layer": pytorch_dense}
    critic = config.binned_network(training, bins, representation, **layers)
    agent = config.make_decomposed(
        training,
        Ensemble(critic, config.num_critics),
        representation,
        bins,
        operator=operators.Maximum(),
        exploration=exploration,
        kind=REValueD,
        choices={"regularization": config.regularization},
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
