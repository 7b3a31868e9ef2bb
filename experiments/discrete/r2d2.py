"""R2D2 (Kapturowski et al., Recurrent Experience Replay in Distributed Reinforcement Learning, 2019)."""

import dataclasses
from typing import ClassVar

from jaxq.agents import RecurrentQLearning
from jaxq.bellman import Mapped, Scalar, SignedHyperbolic
from jaxq.networks import GRU, DuelingHead, RecurrentActionValueNetwork
from jaxq.runs import clean_errors, everywhere, merged, off_policy, parse, run
from jaxq.runs.discrete import make_discrete_environments
from jaxq.runs.q_learning import DEFAULTS, QLearningConfig, adam, hyperparameters
from jaxq.training import OffPolicy

PRESETS = merged(
    DEFAULTS,
    everywhere(operator="double", n_step=5, priority_exponent=0.9, importance_exponent=0.6, exploration="ladder"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(QLearningConfig):
    """The fields of r2d2 beside those of all Q-learning."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("burn_in",)

    sequence_length: int = 24
    """Steps of a sequence; 80 in the paper, after a burn-in of 40."""
    burn_in: int = 8
    """Steps at its start that only warm up the memory."""
    recurrent_width: int = 128
    """Units of the GRU."""


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, num_actions = make_discrete_environments(config)
    agent = RecurrentQLearning(
        network=RecurrentActionValueNetwork(
            config.torso(training), DuelingHead(num_actions), GRU(config.recurrent_width)
        ),
        observation_spec=training.observation_spec,
        optimizer=adam(config),
        hyper=hyperparameters(config),
        representation=Mapped(Scalar(), SignedHyperbolic()),
        burn_in=config.burn_in,
        n_step=config.n_step,
    )
    return off_policy(config, agent, training, evaluation, sequence_length=config.sequence_length)


if __name__ == "__main__":
    with clean_errors():
        run(build, parse(Config, PRESETS))
