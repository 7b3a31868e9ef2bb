"""flax.linen networks: torsos, heads, ensembles, and the one convolution."""

from jaxq.networks.convolution import Conv
from jaxq.networks.heads import ActionCritic, ActionValueHead, ActionValueNetwork, Ensemble, GaussianPolicyNetwork
from jaxq.networks.torsos import MLP, MinAtarCNN, NatureCNN, torso_for

__all__ = [
    "MLP",
    "ActionCritic",
    "ActionValueHead",
    "ActionValueNetwork",
    "Conv",
    "Ensemble",
    "GaussianPolicyNetwork",
    "MinAtarCNN",
    "NatureCNN",
    "torso_for",
]
