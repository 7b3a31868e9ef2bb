"""Agents: `init`, `act`, `update`, written for one member of a population."""

from jaxq.agents.base import Agent, OnPolicyAgent, except_for, flatten_small
from jaxq.agents.exploration import Boltzmann, EpsilonGreedy, EpsilonLadder, EpsilonZGreedy
from jaxq.agents.iterated import IteratedQLearning, WindowShift
from jaxq.agents.lambda_q_learning import LambdaQHyperparameters, LambdaQLearning, LambdaQState
from jaxq.agents.q_learning import QLearning, QLearningHyperparameters, QLearningState
from jaxq.agents.sac import SAC, SACHyperparameters, SACState
from jaxq.agents.schedules import LinearSchedule
from jaxq.agents.targets import HardUpdate, PolyakUpdate

__all__ = [
    "SAC",
    "Agent",
    "Boltzmann",
    "EpsilonGreedy",
    "EpsilonLadder",
    "EpsilonZGreedy",
    "HardUpdate",
    "IteratedQLearning",
    "LambdaQHyperparameters",
    "LambdaQLearning",
    "LambdaQState",
    "LinearSchedule",
    "OnPolicyAgent",
    "PolyakUpdate",
    "QLearning",
    "QLearningHyperparameters",
    "QLearningState",
    "SACHyperparameters",
    "SACState",
    "WindowShift",
    "except_for",
    "flatten_small",
]
