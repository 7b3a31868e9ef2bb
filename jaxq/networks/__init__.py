"""flax.linen networks: torsos, heads, and the whole functions joined of them; the one convolution, the one product."""

from jaxq.networks.coarse_to_fine import CoarseToFineNetwork, SequenceCoarseToFineNetwork, UtilityNetwork
from jaxq.networks.convolution import Conv
from jaxq.networks.critics import ActionCritic
from jaxq.networks.ensembles import Ensemble
from jaxq.networks.gradients import scale_gradient
from jaxq.networks.heads import (
    FRACTIONS,
    ActionValueHead,
    DuelingHead,
    FactoredHead,
    FullyParameterizedHead,
    ImplicitQuantileHead,
)
from jaxq.networks.linear import Dense, NoisyDense, product
from jaxq.networks.modes import SAMPLES, Mode
from jaxq.networks.observations import Sees, parts
from jaxq.networks.policies import GaussianPolicyNetwork, PolicyNetwork, QuantileCriticNetwork, by_tanh
from jaxq.networks.recurrent import GRU, LSTM, LSTMState
from jaxq.networks.regularized import BatchNormalizedMLP, BroNet, DropoutMLP, ResidualMLP, SimBaNet
from jaxq.networks.self_predictive import SelfPredictiveNetwork, TransitionModel, renormalized
from jaxq.networks.skill_luck import SkillLuckNetwork
from jaxq.networks.torsos import (
    MLP,
    ImpalaCNN,
    ImpalaEncoder,
    MinAtarCNN,
    NatureCNN,
    RandomFeatures,
    Torso,
    TreeTorso,
    split_torso,
    torso_for,
    unit_range,
)
from jaxq.networks.transformer import ActionQTransformer, attention_maps
from jaxq.networks.values import ActionValueNetwork, RecurrentActionValueNetwork, StockNetwork

__all__ = [
    "FRACTIONS",
    "GRU",
    "LSTM",
    "MLP",
    "SAMPLES",
    "ActionCritic",
    "ActionQTransformer",
    "ActionValueHead",
    "ActionValueNetwork",
    "BatchNormalizedMLP",
    "BroNet",
    "CoarseToFineNetwork",
    "Conv",
    "Dense",
    "DropoutMLP",
    "DuelingHead",
    "Ensemble",
    "FactoredHead",
    "FullyParameterizedHead",
    "GaussianPolicyNetwork",
    "ImpalaCNN",
    "ImpalaEncoder",
    "ImplicitQuantileHead",
    "LSTMState",
    "MinAtarCNN",
    "Mode",
    "NatureCNN",
    "NoisyDense",
    "PolicyNetwork",
    "QuantileCriticNetwork",
    "RandomFeatures",
    "RecurrentActionValueNetwork",
    "ResidualMLP",
    "Sees",
    "SelfPredictiveNetwork",
    "SequenceCoarseToFineNetwork",
    "SimBaNet",
    "SkillLuckNetwork",
    "StockNetwork",
    "Torso",
    "TransitionModel",
    "TreeTorso",
    "UtilityNetwork",
    "attention_maps",
    "by_tanh",
    "parts",
    "product",
    "renormalized",
    "scale_gradient",
    "split_torso",
    "torso_for",
    "unit_range",
]
