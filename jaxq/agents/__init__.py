"""Agents: `init`, `act`, `update`, written for one member of a population."""

from jaxq.agents.augmentation import ImageAugmentation, random_intensity, random_shift
from jaxq.agents.auxiliary import AuxiliaryQLearning, random_indicators, random_rewards
from jaxq.agents.base import Agent, OnPolicyAgent, except_for, flatten_small
from jaxq.agents.direct_advantage import DirectAdvantage, DirectAdvantageHyperparameters
from jaxq.agents.ensemble import EnsembleQLearning
from jaxq.agents.exploration import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonUntil, EpsilonZGreedy, Greedy
from jaxq.agents.iterated import IteratedQLearning, WindowShift
from jaxq.agents.lambda_q_learning import LambdaQHyperparameters, LambdaQLearning
from jaxq.agents.ppo import PPO, PGRainbow, PPOHyperparameters
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters
from jaxq.agents.recurrent import RecurrentLambdaQLearning, RecurrentQLearning
from jaxq.agents.retrace import RetraceHyperparameters, RetraceQLearning
from jaxq.agents.sac import SAC, SACHyperparameters, SACState
from jaxq.agents.saddle_point import SaddlePointQLearning
from jaxq.agents.self_predictive import AnnealedHorizon, Resets, SelfPredictiveQLearning
from jaxq.agents.targets import HardUpdate, PolyakUpdate
from jaxq.agents.variance_weighted import VarianceWeightedQLearning
from jaxq.schedules import LinearSchedule

__all__ = [
    "PPO",
    "SAC",
    "Agent",
    "AnnealedHorizon",
    "AuxiliaryQLearning",
    "Boltzmann",
    "DirectAdvantage",
    "DirectAdvantageHyperparameters",
    "EnsembleQLearning",
    "EpsilonGreedy",
    "EpsilonLadder",
    "EpsilonUntil",
    "EpsilonZGreedy",
    "Greedy",
    "HardUpdate",
    "ImageAugmentation",
    "IteratedQLearning",
    "LambdaQHyperparameters",
    "LambdaQLearning",
    "LinearSchedule",
    "OnPolicyAgent",
    "PGRainbow",
    "PPOHyperparameters",
    "PolyakUpdate",
    "QLearning",
    "QLearningHyperparameters",
    "RecurrentLambdaQLearning",
    "RecurrentQLearning",
    "Resets",
    "RetraceHyperparameters",
    "RetraceQLearning",
    "SACHyperparameters",
    "SACState",
    "SaddlePointQLearning",
    "SelfPredictiveQLearning",
    "VarianceWeightedQLearning",
    "WindowShift",
    "except_for",
    "flatten_small",
    "random_indicators",
    "random_intensity",
    "random_rewards",
    "random_shift",
]
