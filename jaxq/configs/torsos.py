"""Torsos by observation."""

import dataclasses

import flax.linen as nn

from jaxq.configs.axis import Axis
from jaxq.envs import Environment
from jaxq.networks import Torso, split_torso, torso_for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers(Axis):
    """A torso for an environment's observations."""

    hidden_widths: tuple[int, ...] = (64, 64)
    """Hidden layers for vector observations; images get the network of their domain's paper."""
    layer_norm: bool = False
    """Normalize every layer of the torso before its activation."""

    def make_torso(self, environment: Environment) -> Torso:
        """The torso."""
        return torso_for(environment.observation_spec, self.hidden_widths, self.layer_norm)

    def make_split_torso(self, environment: Environment) -> tuple[nn.Module, int]:
        """The torso without its last dense layer, and that layer's units for the head; 0 where it has none.

        Where a method's streams, noise or quantile embedding begin after the convolutions, or a chain of heads has
        the rest in common.
        """
        return split_torso(self.make_torso(environment))
