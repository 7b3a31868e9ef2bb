"""Agents: `init`, `act`, `update`, written for one member of a population."""

from jaxq.agents.actor_critic import ActorCritic, ActorCriticHyperparameters, ActorCriticState
from jaxq.agents.augmentation import ImageAugmentation, random_intensity, random_shift
from jaxq.agents.auto_regressive import AutoRegressiveHyperparameters, AutoRegressiveSoftQLearning
from jaxq.agents.auxiliary import AuxiliaryQLearning, random_indicators, random_rewards
from jaxq.agents.avg import AVG, AVGHyperparameters
from jaxq.agents.base import Agent, AgentWrapper, Epochs, OffPolicyAgent, OnPolicyAgent, except_for, flatten_small
from jaxq.agents.causality import CausalActorCritic
from jaxq.agents.coarse_to_fine import CoarseToFineQLearning, SequenceCoarseToFineQLearning
from jaxq.agents.decompositions import MeanOfParts, Undivided
from jaxq.agents.direct_advantage import DirectAdvantage, DirectAdvantageHyperparameters
from jaxq.agents.energy_flow import EnergyFlowHyperparameters, EnergyFlowLearning
from jaxq.agents.ensemble import EnsembleQLearning
from jaxq.agents.entropy import FixedTemperature, TunedTemperature, WeightedTemperature
from jaxq.agents.exploration import (
    Boltzmann,
    EachDimension,
    EpsilonByUse,
    EpsilonGreedy,
    EpsilonLadder,
    EpsilonUntil,
    EpsilonZGreedy,
    Greedy,
)
from jaxq.agents.information_gain import CuriousActorCritic, InformationGain
from jaxq.agents.iterated import IteratedQLearning, WindowShift
from jaxq.agents.iterated_actor_critic import IteratedActorCritic
from jaxq.agents.lambda_actor_critic import (
    KLBound,
    LambdaActorCritic,
    LambdaActorCriticHyperparameters,
    SelfPrediction,
)
from jaxq.agents.lambda_q_learning import LambdaQHyperparameters, LambdaQLearning
from jaxq.agents.mean_target import MeanTargetQLearning, REValueD
from jaxq.agents.model_based import ModelBasedActorCritic, ModelBasedHyperparameters
from jaxq.agents.noise import (
    GaussianNoise,
    NoiseByEnvironment,
    OrnsteinUhlenbeckNoise,
    PolicySample,
    RepeatedNoise,
    Smoothing,
)
from jaxq.agents.normalized import InputWrapper, Normalized, NormalizedAsSeen, RunningStatistics, ScaledRewards
from jaxq.agents.optimistic import Optimism, OptimisticActorCritic
from jaxq.agents.policies import (
    Bernoulli,
    CategoricalPolicy,
    ClippedGaussian,
    Deterministic,
    FlowPolicy,
    SquashedGaussian,
)
from jaxq.agents.ppo import PPO, PGRainbow, PPOHyperparameters, clipped_squared, generalized, generalized_from_next
from jaxq.agents.precision import MixedPrecision
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.agents.recurrent import RecurrentLambdaQLearning, RecurrentQLearning
from jaxq.agents.regularizers import BellmanRank
from jaxq.agents.resets import DormancyResets, FullResets
from jaxq.agents.retrace import RetraceHyperparameters, RetraceQLearning
from jaxq.agents.rising_costs import RisingCosts
from jaxq.agents.saddle_point import SaddlePointQLearning
from jaxq.agents.self_predictive import AnnealedHorizon, ResetSchedule, SelfPredictiveQLearning
from jaxq.agents.targets import DelayedPolyakUpdate, HardUpdate, PolyakUpdate, SoftWindow
from jaxq.agents.variance_weighted import VarianceWeightedQLearning
from jaxq.schedules import LinearSchedule

__all__ = [
    "AVG",
    "PPO",
    "AVGHyperparameters",
    "ActorCritic",
    "ActorCriticHyperparameters",
    "ActorCriticState",
    "Agent",
    "AgentWrapper",
    "AnnealedHorizon",
    "AutoRegressiveHyperparameters",
    "AutoRegressiveSoftQLearning",
    "AuxiliaryQLearning",
    "BellmanRank",
    "Bernoulli",
    "Boltzmann",
    "CategoricalPolicy",
    "CausalActorCritic",
    "ClippedGaussian",
    "CoarseToFineQLearning",
    "CuriousActorCritic",
    "DelayedPolyakUpdate",
    "Deterministic",
    "DirectAdvantage",
    "DirectAdvantageHyperparameters",
    "DormancyResets",
    "EachDimension",
    "EnergyFlowHyperparameters",
    "EnergyFlowLearning",
    "EnsembleQLearning",
    "Epochs",
    "EpsilonByUse",
    "EpsilonGreedy",
    "EpsilonLadder",
    "EpsilonUntil",
    "EpsilonZGreedy",
    "FixedTemperature",
    "FlowPolicy",
    "FullResets",
    "GaussianNoise",
    "Greedy",
    "HardUpdate",
    "ImageAugmentation",
    "InformationGain",
    "InputWrapper",
    "IteratedActorCritic",
    "IteratedQLearning",
    "KLBound",
    "LambdaActorCritic",
    "LambdaActorCriticHyperparameters",
    "LambdaQHyperparameters",
    "LambdaQLearning",
    "LinearSchedule",
    "MeanOfParts",
    "MeanTargetQLearning",
    "MixedPrecision",
    "ModelBasedActorCritic",
    "ModelBasedHyperparameters",
    "NoiseByEnvironment",
    "Normalized",
    "NormalizedAsSeen",
    "OffPolicyAgent",
    "OnPolicyAgent",
    "Optimism",
    "OptimisticActorCritic",
    "OrnsteinUhlenbeckNoise",
    "PGRainbow",
    "PPOHyperparameters",
    "PolicySample",
    "PolyakUpdate",
    "QLearning",
    "QLearningHyperparameters",
    "REValueD",
    "RecurrentLambdaQLearning",
    "RecurrentQLearning",
    "RepeatedNoise",
    "ResetSchedule",
    "RetraceHyperparameters",
    "RetraceQLearning",
    "RisingCosts",
    "RunningStatistics",
    "SaddlePointQLearning",
    "ScaledRewards",
    "SelfPrediction",
    "SelfPredictiveQLearning",
    "SequenceCoarseToFineQLearning",
    "Smoothing",
    "SoftWindow",
    "SquashedGaussian",
    "TunedTemperature",
    "Undivided",
    "VarianceWeightedQLearning",
    "WeightedTemperature",
    "WindowShift",
    "clipped_squared",
    "except_for",
    "flatten_small",
    "generalized",
    "generalized_from_next",
    "random_indicators",
    "random_intensity",
    "random_rewards",
    "random_shift",
]
