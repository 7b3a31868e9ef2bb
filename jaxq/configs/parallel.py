"""What agents have that learn from thousands of environments at once."""

import dataclasses
from typing import Any

import flax.linen as nn

from jaxq.agents import MixedPrecision, OffPolicyAgent, OnPolicyAgent
from jaxq.configs.axis import Axis
from jaxq.envs import Continuous, Environment, ObservationSpec
from jaxq.envs.base import PRIVILEGED, STATE, has_privileged
from jaxq.errors import require
from jaxq.networks import Sees, parts
from jaxq.networks.observations import has_images


@dataclasses.dataclass(frozen=True, kw_only=True)
class Privileged(Axis):
    """Observations of which actor and critics see different parts."""

    actor_sees: tuple[str, ...] = ()
    """Parts of the observation that the actor sees; none given: `state` where there is `privileged_state`, else all."""
    critic_sees: tuple[str, ...] = ()
    """Parts that the critics see; none given: `privileged_state` where there is one, else all."""

    def make_whole_environments(self) -> tuple[Environment, Environment, Continuous]:
        """Environments that show all parts of their observations, as of `make_environments`.

        Raises:
          InputError: for parts that there are not.
        """
        own: Any = self
        training, evaluation, actions = own.make_environments(whole=True)
        for field, names in (("actor_sees", self.actor_sees), ("critic_sees", self.critic_sees)):
            if names:
                parts(training.observation_spec, names, field)
        return training, evaluation, actions

    def make_whole_vector_environments(self) -> tuple[Environment, Environment, Continuous]:
        """The same, for networks whose layers are all dense.

        Raises:
          InputError: for images, or parts that there are not.
        """
        training, evaluation, actions = self.make_whole_environments()
        allowed = "one of whose observations vectors are seen, which is all that these networks can"
        for names in (self.seen_by_actor(training), self.seen_by_critic(training)):
            require(not has_images(seen_of(training.observation_spec, names)), "env", training.name, allowed)
        return training, evaluation, actions

    def seen_by_actor(self, environment: Environment) -> tuple[str, ...]:
        """Names of the parts that the actor sees; empty for all."""
        return self.actor_sees or self._customary(environment, STATE)

    def seen_by_critic(self, environment: Environment) -> tuple[str, ...]:
        """Names of the parts that the critics see; empty for all."""
        return self.critic_sees or self._customary(environment, PRIVILEGED)

    @staticmethod
    def _customary(environment: Environment, name: str) -> tuple[str, ...]:
        return (name,) if has_privileged(environment.observation_spec) else ()


def seen_of(spec: ObservationSpec, names: tuple[str, ...]) -> ObservationSpec:
    """What is seen of observations of a spec: these parts, or, without names, all of them."""
    return parts(spec, names) if names else spec


def seeing(names: tuple[str, ...], network: nn.Module) -> nn.Module:
    """A network that sees these parts of an observation, or, without names, all of it."""
    return Sees(network, names) if names else network


@dataclasses.dataclass(frozen=True, kw_only=True)
class Precision(Axis):
    """Precision of products of matrices."""

    mixed_precision: bool = True
    """On GPUs multiply matrices in bfloat16, summing in float32; elsewhere nothing changes."""

    def in_precision(self, agent: OffPolicyAgent | OnPolicyAgent) -> Any:
        """The agent, in this precision."""
        return MixedPrecision(agent) if self.mixed_precision else agent
