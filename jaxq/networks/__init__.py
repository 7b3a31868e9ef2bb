"""flax.linen networks: torsos, heads, ensembles, recurrence, attention; the one convolution, the one product."""

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
    StockNetwork,
)
from jaxq.networks.linear import Dense, product
from jaxq.networks.policies import QuantileCriticNetwork
from jaxq.networks.recurrent import GRU, RecurrentActionValueNetwork
from jaxq.networks.torsos import (
    MLP,
    ImpalaCNN,
    ImpalaEncoder,
    MinAtarCNN,
    NatureCNN,
    RandomFeatures,
    Torso,
    torso_for,
    unit_range,
)
from jaxq.networks.transformer import ActionQTransformer, attention_maps

__all__ = [
    "FRACTIONS",
    "GRU",
    "MLP",
    "SAMPLES",
    "ActionCritic",
    "ActionQTransformer",
    "ActionValueHead",
    "ActionValueNetwork",
    "Conv",
    "Dense",
    "DuelingHead",
    "Ensemble",
    "FullyParameterizedHead",
    "GaussianPolicyNetwork",
    "ImpalaCNN",
    "ImpalaEncoder",
    "ImplicitQuantileHead",
    "MinAtarCNN",
    "Mode",
    "NatureCNN",
    "NoisyDense",
    "QuantileCriticNetwork",
    "RandomFeatures",
    "RecurrentActionValueNetwork",
    "StockNetwork",
    "Torso",
    "attention_maps",
    "product",
    "torso_for",
    "unit_range",
]
