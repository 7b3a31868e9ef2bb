"""flax.linen networks: torsos, heads, and the whole functions joined of them; the one convolution, the one product."""

from jaxq.networks.coarse_to_fine import CoarseToFineNetwork, SequenceCoarseToFineNetwork, UtilityNetwork
from jaxq.networks.convolution import Conv
from jaxq.networks.critics import ActionCritic, GaussianCritic, ImplicitQuantileCritics, LowPass, SelfPredictiveCritic
from jaxq.networks.dynamics import DynamicsModel
from jaxq.networks.ensembles import Ensemble
from jaxq.networks.flows import (
    AdditiveCoupling,
    AffineCoupling,
    ConditionalFlow,
    EnergyFlow,
    FlowOutputs,
    FlowPolicyNetwork,
)
from jaxq.networks.gradients import scale_gradient
from jaxq.networks.heads import (
    FRACTIONS,
    ActionValueHead,
    DuelingHead,
    FactoredHead,
    FullyParameterizedHead,
    ImplicitQuantileHead,
)
from jaxq.networks.hyper import HyperCritic
from jaxq.networks.hyperspherical import FlashNet, SimBaV2Net, UnitHead, on_spheres
from jaxq.networks.linear import Dense, NoisyDense, glorot_dense, orthogonal_dense, product, pytorch_dense
from jaxq.networks.model_based import Foresight, LatentCritic, ModelBasedEncoder, NormalizedLayers
from jaxq.networks.modes import SAMPLES, Mode
from jaxq.networks.observations import Sees, parts
from jaxq.networks.policies import (
    GaussianPolicyNetwork,
    OptimisticPolicyNetwork,
    PolicyAndValueNetwork,
    PolicyNetwork,
    QuantileCriticNetwork,
    SharedStdPolicyNetwork,
    by_softplus,
    by_sum,
    by_tanh,
    clipped,
)
from jaxq.networks.recurrent import GRU, LSTM, LSTMState
from jaxq.networks.regularized import BatchNormalizedMLP, BroNet, DropoutMLP, ResidualMLP, RMSNormMLP, SimBaNet
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
    UnitFeatures,
    after_convolutions,
    encoder_maker,
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
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNormalizedMLP",
    "BroNet",
    "CoarseToFineNetwork",
    "ConditionalFlow",
    "Conv",
    "Dense",
    "DropoutMLP",
    "DuelingHead",
    "DynamicsModel",
    "EnergyFlow",
    "Ensemble",
    "FactoredHead",
    "FlashNet",
    "FlowOutputs",
    "FlowPolicyNetwork",
    "Foresight",
    "FullyParameterizedHead",
    "GaussianCritic",
    "GaussianPolicyNetwork",
    "HyperCritic",
    "ImpalaCNN",
    "ImpalaEncoder",
    "ImplicitQuantileCritics",
    "ImplicitQuantileHead",
    "LSTMState",
    "LatentCritic",
    "LowPass",
    "MinAtarCNN",
    "Mode",
    "ModelBasedEncoder",
    "NatureCNN",
    "NoisyDense",
    "NormalizedLayers",
    "OptimisticPolicyNetwork",
    "PolicyAndValueNetwork",
    "PolicyNetwork",
    "QuantileCriticNetwork",
    "RMSNormMLP",
    "RandomFeatures",
    "RecurrentActionValueNetwork",
    "ResidualMLP",
    "Sees",
    "SelfPredictiveCritic",
    "SelfPredictiveNetwork",
    "SequenceCoarseToFineNetwork",
    "SharedStdPolicyNetwork",
    "SimBaNet",
    "SimBaV2Net",
    "SkillLuckNetwork",
    "StockNetwork",
    "Torso",
    "TransitionModel",
    "TreeTorso",
    "UnitFeatures",
    "UnitHead",
    "UtilityNetwork",
    "after_convolutions",
    "attention_maps",
    "by_softplus",
    "by_sum",
    "by_tanh",
    "clipped",
    "encoder_maker",
    "glorot_dense",
    "on_spheres",
    "orthogonal_dense",
    "parts",
    "product",
    "pytorch_dense",
    "renormalized",
    "scale_gradient",
    "split_torso",
    "torso_for",
    "unit_range",
]
