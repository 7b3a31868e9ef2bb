"""Agents: `init`, `act`, `update`, written for one member of a population."""

from jaxq.agents.actor_critic import ActorCritic, ActorCriticHyperparameters, ActorCriticState
from jaxq.agents.augmentation import ImageAugmentation, random_intensity, random_shift
from jaxq.agents.auto_regressive import AutoRegressiveHyperparameters, AutoRegressiveSoftQLearning
from jaxq.agents.auxiliary import AuxiliaryQLearning, random_indicators, random_rewards
from jaxq.agents.base import Agent, OnPolicyAgent, except_for, flatten_small
from jaxq.agents.coarse_to_fine import CoarseToFineQLearning, SequenceCoarseToFineQLearning
from jaxq.agents.common_target import CommonTargetQLearning, REValueD
from jaxq.agents.decompositions import MeanOfParts, Undivided
from jaxq.agents.direct_advantage import DirectAdvantage, DirectAdvantageHyperparameters
from jaxq.agents.ensemble import EnsembleQLearning
from jaxq.agents.entropy import FixedTemperature, TunedTemperature
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
from jaxq.agents.iterated import IteratedQLearning, WindowShift
from jaxq.agents.iterated_actor_critic import IteratedActorCritic, SoftWindow
from jaxq.agents.lambda_q_learning import LambdaQHyperparameters, LambdaQLearning
from jaxq.agents.noise import GaussianNoise, NoiseByEnvironment, OrnsteinUhlenbeckNoise, PolicySample, Smoothing
from jaxq.agents.normalized import Normalized, RunningStatistics
from jaxq.agents.policies import Bernoulli, Deterministic, SquashedGaussian
from jaxq.agents.ppo import PPO, PGRainbow, PPOHyperparameters
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.agents.recurrent import RecurrentLambdaQLearning, RecurrentQLearning
from jaxq.agents.retrace import RetraceHyperparameters, RetraceQLearning
from jaxq.agents.saddle_point import SaddlePointQLearning
from jaxq.agents.self_predictive import AnnealedHorizon, Resets, SelfPredictiveQLearning
from jaxq.agents.targets import DelayedPolyakUpdate, HardUpdate, PolyakUpdate
from jaxq.agents.variance_weighted import VarianceWeightedQLearning
from jaxq.schedules import LinearSchedule

__all__ = [
    "PPO",
    "ActorCritic",
    "ActorCriticHyperparameters",
    "ActorCriticState",
    "Agent",
    "AnnealedHorizon",
    "AutoRegressiveHyperparameters",
    "AutoRegressiveSoftQLearning",
    "AuxiliaryQLearning",
    "Bernoulli",
    "Boltzmann",
    "CoarseToFineQLearning",
    "CommonTargetQLearning",
    "DelayedPolyakUpdate",
    "Deterministic",
    "DirectAdvantage",
    "DirectAdvantageHyperparameters",
    "EachDimension",
    "EnsembleQLearning",
    "EpsilonByUse",
    "EpsilonGreedy",
    "EpsilonLadder",
    "EpsilonUntil",
    "EpsilonZGreedy",
    "FixedTemperature",
    "GaussianNoise",
    "Greedy",
    "HardUpdate",
    "ImageAugmentation",
    "IteratedActorCritic",
    "IteratedQLearning",
    "LambdaQHyperparameters",
    "LambdaQLearning",
    "LinearSchedule",
    "MeanOfParts",
    "NoiseByEnvironment",
    "Normalized",
    "OnPolicyAgent",
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
    "Resets",
    "RetraceHyperparameters",
    "RetraceQLearning",
    "RunningStatistics",
    "SaddlePointQLearning",
    "SelfPredictiveQLearning",
    "SequenceCoarseToFineQLearning",
    "Smoothing",
    "SoftWindow",
    "SquashedGaussian",
    "TunedTemperature",
    "Undivided",
    "VarianceWeightedQLearning",
    "WindowShift",
    "except_for",
    "flatten_small",
    "random_indicators",
    "random_intensity",
    "random_rewards",
    "random_shift",
]
