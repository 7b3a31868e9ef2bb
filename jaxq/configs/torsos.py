"""Torsos by observation, or as they are asked for."""

import dataclasses
from typing import Literal

from jaxq.configs.axis import Axis
from jaxq.envs import Environment
from jaxq.networks import MLP, Torso, split_torso, torso_for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers(Axis):
    """A torso for an environment's observations."""

    torso: Literal["by_observation", "mlp"] = "by_observation"
    """Images get the network of their domain's paper; or dense layers alone, as vectors do: faster for small images."""
    hidden_widths: tuple[int, ...] = (64, 64)
    """Of the dense layers."""
    layer_norm: bool = False
    """Normalize every layer of the torso before its activation."""

    def make_torso(self, environment: Environment) -> Torso:
        """The torso."""
        if self.torso == "mlp":
            return MLP(self.hidden_widths, layer_norm=self.layer_norm)
        return torso_for(environment.observation_spec, self.hidden_widths, self.layer_norm)

    def make_split_torso(self, environment: Environment) -> tuple[Torso, int]:
        """The torso without its last dense layer, and that layer's units for the head; 0 where it has none.

        Where a method's streams, noise or quantile embedding begin after the convolutions, or a chain of heads has
        the rest in common.
        """
        return split_torso(self.make_torso(environment))
