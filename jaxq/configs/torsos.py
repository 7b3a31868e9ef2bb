"""Torsos by observation, or as they are asked for."""

import dataclasses
from typing import Literal

from jaxq.configs.axis import Axis
from jaxq.envs import Environment
from jaxq.networks import MLP, Torso, split_torso, torso_for
from jaxq.networks.observations import has_images


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseLayers(Axis):
    """The customary torso of an environment's observations."""

    hidden_widths: tuple[int, ...] = (64, 64)
    """Of the dense layers of vectors; the networks of images have their own."""
    layer_norm: bool = False
    """Normalize every layer of the torso before its activation."""

    def make_torso(self, environment: Environment) -> Torso:
        """The torso. Widths are read where they have an effect, so that they are refused everywhere else."""
        spec = environment.observation_spec
        widths = () if has_images(spec) else self.hidden_widths
        return torso_for(spec, widths, self.layer_norm)

    def make_split_torso(self, environment: Environment) -> tuple[Torso, int]:
        """The torso without its last dense layer, and that layer's units for the head; 0 where it has none.

        Where a method's streams, noise or quantile embedding begin after the convolutions, or a chain of heads has
        the rest in common.
        """
        return split_torso(self.make_torso(environment))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers(DenseLayers):
    """A choice of torsos, where there are images."""

    torso: Literal["by_observation", "mlp"] = "by_observation"
    """Images get the network of their domain's paper; or dense layers alone, as vectors do: faster for small images."""
    hidden_widths: tuple[int, ...] = (64, 64)
    """Of the dense layers, of vectors or with `--torso mlp`; the networks of images have their own."""

    def make_torso(self, environment: Environment) -> Torso:
        """The torso; see `DenseLayers.make_torso`."""
        if has_images(environment.observation_spec) and self.torso == "mlp":
            return MLP(self.hidden_widths, layer_norm=self.layer_norm)
        return super().make_torso(environment)
