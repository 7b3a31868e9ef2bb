"""flax.linen networks: torsos, heads, ensembles, and the one convolution."""

from jaxq.networks.convolution import Conv
from jaxq.networks.heads import (
    FRACTIONS,
    SAMPLES,
    ActionCritic,
    ActionValueHead,
    ActionValueNetwork,
    DuelingHead,
    Ensemble,
    FullyParameterizedHead,
    GaussianPolicyNetwork,
    ImplicitQuantileHead,
    Mode,
    NoisyDense,
)
from jaxq.networks.torsos import MLP, ImpalaCNN, MinAtarCNN, NatureCNN, torso_for

__all__ = [
    "FRACTIONS",
    "MLP",
    "SAMPLES",
    "ActionCritic",
    "ActionValueHead",
    "ActionValueNetwork",
    "Conv",
    "DuelingHead",
    "Ensemble",
    "FullyParameterizedHead",
    "GaussianPolicyNetwork",
    "ImpalaCNN",
    "ImplicitQuantileHead",
    "MinAtarCNN",
    "Mode",
    "NatureCNN",
    "NoisyDense",
    "torso_for",
]
