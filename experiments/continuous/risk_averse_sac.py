"""Risk-averse SAC: quantile critics, an actor that climbs a measure of risk (after Ma et al., DSAC, 2020).

The critics learn the distribution of the return as it is; what the actor thinks of it is distorted. Else it is SAC:
quantiles are at fixed fractions, where the paper samples them, targets are of the critic whose mean is smaller, where
theirs are of the smaller quantiles, the temperature is tuned, and the actor has no target; `dsac.py` is theirs.
Measures distort the fractions that are looked at, as in the IQN paper, and theirs the probabilities: so their cpw
magnifies both tails, which ours plays down, and their wang of 0.75 is `--risk wang --risk-level -0.75`. Weights of
quantiles, which they cut off at 5, are not.
"""

import dataclasses

from jaxq.bellman import Minimum, Quantile
from jaxq.configs import (
    CONTROL,
    ActorCriticLayers,
    ActorCriticLearner,
    Averaging,
    QuantileHuber,
    Risk,
    Temperature,
    presets,
)
from jaxq.configs.returns import RiskName
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Risk, Temperature, Averaging, QuantileHuber, ActorCriticLayers, ActorCriticLearner):
    """The axes of risk_averse_sac."""

    num_quantiles: int = 32
    """Quantiles of a critic."""
    risk: RiskName = "cvar"


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation = Quantile(config.num_quantiles, config.huber_threshold)
    agent = config.make_actor_critic(
        training,
        config.make_gaussian_actor(training),
        config.make_critics(training, representation),
        representation,
        target_reduction=Minimum(),
        actor_reduction=Minimum(),
        actor_value=config.valued(representation),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
