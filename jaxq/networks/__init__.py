"""flax.linen networks: torsos, heads, ensembles, and the one convolution."""

from jaxq.networks.convolution import Conv
from jaxq.networks.heads import (
    SAMPLES,
    ActionCritic,
    ActionValueHead,
    ActionValueNetwork,
    DuelingHead,
    Ensemble,
    GaussianPolicyNetwork,
    ImplicitQuantileHead,
    Mode,
    NoisyDense,
)
from jaxq.networks.torsos import MLP, MinAtarCNN, NatureCNN, torso_for

__all__ = [
    "MLP",
    "SAMPLES",
    "ActionCritic",
    "ActionValueHead",
    "ActionValueNetwork",
    "Conv",
    "DuelingHead",
    "Ensemble",
    "GaussianPolicyNetwork",
    "ImplicitQuantileHead",
    "MinAtarCNN",
    "Mode",
    "NatureCNN",
    "NoisyDense",
    "torso_for",
]
