"""Agents: `init`, `act`, `update`, written for one member of a population."""

from jaxq.agents.actor_critic import ActorCritic, ActorCriticHyperparameters, ActorCriticState
from jaxq.agents.augmentation import ImageAugmentation, random_intensity, random_shift
from jaxq.agents.auxiliary import AuxiliaryQLearning, random_indicators, random_rewards
from jaxq.agents.avg import AVG, AVGHyperparameters
from jaxq.agents.base import Agent, OnPolicyAgent, except_for, flatten_small
from jaxq.agents.direct_advantage import DirectAdvantage, DirectAdvantageHyperparameters
from jaxq.agents.ensemble import EnsembleQLearning
from jaxq.agents.entropy import FixedTemperature, TunedTemperature
from jaxq.agents.exploration import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonUntil, EpsilonZGreedy, Greedy
from jaxq.agents.iterated import IteratedQLearning, WindowShift
from jaxq.agents.iterated_actor_critic import IteratedActorCritic, SoftWindow
from jaxq.agents.lambda_actor_critic import (
    KLBound,
    LambdaActorCritic,
    LambdaActorCriticHyperparameters,
    SelfPrediction,
)
from jaxq.agents.lambda_q_learning import LambdaQHyperparameters, LambdaQLearning
from jaxq.agents.noise import GaussianNoise, NoiseByEnvironment, OrnsteinUhlenbeckNoise, PolicySample, Smoothing
from jaxq.agents.normalized import AgentAround, Normalized, RunningStatistics, ScaledRewards
from jaxq.agents.policies import CategoricalPolicy, ClippedGaussian, Deterministic, SquashedGaussian
from jaxq.agents.ppo import PPO, PGRainbow, PPOHyperparameters, clipped_squared
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.agents.recurrent import RecurrentLambdaQLearning, RecurrentQLearning
from jaxq.agents.retrace import RetraceHyperparameters, RetraceQLearning
from jaxq.agents.saddle_point import SaddlePointQLearning
from jaxq.agents.self_predictive import AnnealedHorizon, Resets, SelfPredictiveQLearning
from jaxq.agents.targets import DelayedPolyakUpdate, HardUpdate, PolyakUpdate
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
    "AgentAround",
    "AnnealedHorizon",
    "AuxiliaryQLearning",
    "Boltzmann",
    "CategoricalPolicy",
    "ClippedGaussian",
    "DelayedPolyakUpdate",
    "Deterministic",
    "DirectAdvantage",
    "DirectAdvantageHyperparameters",
    "EnsembleQLearning",
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
    "KLBound",
    "LambdaActorCritic",
    "LambdaActorCriticHyperparameters",
    "LambdaQHyperparameters",
    "LambdaQLearning",
    "LinearSchedule",
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
    "RecurrentLambdaQLearning",
    "RecurrentQLearning",
    "Resets",
    "RetraceHyperparameters",
    "RetraceQLearning",
    "RunningStatistics",
    "SaddlePointQLearning",
    "ScaledRewards",
    "SelfPrediction",
    "SelfPredictiveQLearning",
    "Smoothing",
    "SoftWindow",
    "SquashedGaussian",
    "TunedTemperature",
    "VarianceWeightedQLearning",
    "WindowShift",
    "clipped_squared",
    "except_for",
    "flatten_small",
    "random_indicators",
    "random_intensity",
    "random_rewards",
    "random_shift",
]
