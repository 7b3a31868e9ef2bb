"""Bang-bang control (Seyde et al., Is Bang-Bang Control All You Need?, 2021) as a policy: SAC with Bernoulli actions.

Every dimension is at one of its ends, by a coin whose logit is the actor's output; the actor learns at relaxed samples
between them. As Q-learning it is `decqn`. The paper's numbers are those of its baselines, SAC's among them; no code of
the authors is known to us, and the target entropy, which must be below that of a fair coin, is our own.
"""

import dataclasses
import math

from jaxq import envs
from jaxq.agents import Bernoulli
from jaxq.bellman import Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, Averaging, Temperature, presets
from jaxq.envs import Bins
from jaxq.errors import require
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, ActorCriticLayers, ActorCriticLearner):
    """The axes of bang_bang."""

    target_entropy_per_dimension: float = 0.2
    """Target entropy in nats, for each action dimension; a fair coin has 0.69."""

    def check_target_entropy(self) -> None:
        """Raise `InputError` for a target that no coin's entropy can have."""
        target, allowed = self.target_entropy_per_dimension, "between 0 and log 2, that of a fair coin"
        require(0 < target < math.log(2), "target_entropy_per_dimension", target, allowed)


PRESETS = presets(Config, CONTROL, classic={"hidden_widths": (128, 128), "batch_size": 128})


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, actions = config.make_environments()
    training = envs.with_actions(training, Bins(actions.size, 2))
    representation = Scalar()
    actor, critics = config.make_deterministic_actor(training), config.make_critics(training, representation)
    agent = config.make_actor_critic(training, actor, critics, representation, policy=Bernoulli())
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
