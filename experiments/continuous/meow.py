"""MEow (Chao et al., Maximum Entropy Reinforcement Learning via Energy-Based Normalizing Flow, 2024).

One flow of four additive couplings is the policy and, with two learned shifts, two soft action values; of their state
values, which are exact, the smaller makes targets. There is no actor's loss. Layers, dropout, step size and clipping
are those of the authors' code; temperature, rate of the target and range of the prior, which they set for each task,
are those for Hopper: HalfCheetah has `--target-rate 0.003 --largest-log-std 2 --warmup-steps 10000`, Walker2d
`--temperature 0.1 --warmup-steps 10000`, Ant `--temperature 0.05 --target-rate 0.0001`, Humanoid `--temperature 0.125
--target-rate 0.0005`. They train for 2 million steps on Hopper and HalfCheetah, 4 on Walker2d and Ant, 5 on Humanoid.
Evaluations take the flow's mode, where the authors' sample. Losses that are not numbers, which they leave out, do not
arise. One mask of dropout is for both values here, in theirs each has its own.
"""

import dataclasses

from jaxq.agents import EnergyFlowHyperparameters, EnergyFlowLearning
from jaxq.configs import CONTROL, ActorCriticLearner, Averaging, action_size, presets
from jaxq.errors import require
from jaxq.networks import AdditiveCoupling, ConditionalFlow, EnergyFlow, encoder_maker
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Averaging, ActorCriticLearner):
    """The axes of meow."""

    learning_rate: float = 1e-3
    max_gradient_norm: float = 30.0
    temperature: float = 0.25
    """α, what entropy is worth."""
    couplings: int = 4
    """Couplings of the flow."""
    flow_widths: tuple[int, ...] = (64, 64)
    """Hidden layers of every coupling and of the prior."""
    dropout: float = 0.1
    """Share of a coupling's hidden units that are dropped when learning."""
    smallest_log_std: float = -5.0
    """Of the prior."""
    largest_log_std: float = -0.3
    """Of the prior."""
    num_shifts: int = 2
    """Shifts of the values, each making one of its own."""
    shift_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of a shift; images go through the convolutions of their size first."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    require(0 <= config.dropout < 1, "dropout", config.dropout, "in [0, 1)")
    low, high = config.smallest_log_std, config.largest_log_std
    require(low < high < float("inf"), "largest_log_std", high, f"finite and above smallest_log_std, which is {low}")
    spec, size, widths, dropout = training.observation_spec, action_size(training), config.flow_widths, config.dropout
    flow = ConditionalFlow(
        size, lambda even: AdditiveCoupling(size, even, widths, dropout), config.couplings, widths, (low, high)
    )
    encoder = encoder_maker(spec)
    agent = EnergyFlowLearning(
        EnergyFlow(flow, config.num_shifts, config.shift_widths, encoder),
        spec,
        actions,
        config.make_optimizer(),
        EnergyFlowHyperparameters(
            learning_rate=config.make_step_sizes(config.total_updates),
            target=config.make_targets(),
            temperature=config.temperature,
            discount=config.discount,
        ),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
