"""SAC with a normalizing flow as its policy (Ward et al., Improving Exploration in SAC with Flow Policies, 2019).

Everything but the policy is SAC's. The flow is a Real NVP given features of the observation; its sizes are ours.
"""

import dataclasses

from jaxq.agents import FlowPolicy
from jaxq.bellman import Scalar
from jaxq.configs import CONTROL, ActorCriticLayers, ActorCriticLearner, Averaging, Temperature, action_size, presets
from jaxq.networks import AffineCoupling, ConditionalFlow, FlowPolicyNetwork
from jaxq.runs import main
from jaxq.training import OffPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Temperature, Averaging, ActorCriticLayers, ActorCriticLearner):
    """The axes of flow_sac."""

    couplings: int = 4
    """Couplings of the flow."""
    flow_widths: tuple[int, ...] = (64, 64)
    """Hidden layers of every coupling and of the prior."""


PRESETS = presets(Config, CONTROL)


def build(config: Config) -> OffPolicy:
    """Put the agent and its training together."""
    training, evaluation, _ = config.make_environments()
    representation, size, widths = Scalar(), action_size(training), config.flow_widths
    flow = ConditionalFlow(
        size, lambda even: AffineCoupling(size, even, widths), config.couplings, widths, log_std_range=(-5.0, 2.0)
    )
    agent = config.make_actor_critic(
        training,
        FlowPolicyNetwork(config.actor_torso(training), flow),
        config.make_critics(training, representation),
        representation,
        policy=FlowPolicy(flow),
    )
    return config.make_training(agent, training, evaluation, config.make_replay(training, config.n_step))


if __name__ == "__main__":
    main(Config, PRESETS, build)
