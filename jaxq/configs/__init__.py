"""Configurations by axis: what an experiment's Config is a list of.

Each axis is a small dataclass with its fields, which become flags, their checks, and the function that makes its
object. So what a script does not use is not a flag of it.
"""

from jaxq.configs.actor_critic import (
    ActorCriticLayers,
    ActorCriticLearner,
    ActorLayers,
    Blocks,
    Critics,
    DelayedActor,
    GlorotLayers,
    Noise,
    PyTorchLayers,
    TargetNoise,
    Temperature,
    action_size,
)
from jaxq.configs.axis import Axis, build_and_tell, from_plain, recording
from jaxq.configs.discretized import DecomposedQLearner, DecQNLearner, EachDimensionEpsilon, ZoomingQLearner
from jaxq.configs.environments import ContinuousEnvironments, DiscreteEnvironments, Environments
from jaxq.configs.exploration import Epsilon, Exploration
from jaxq.configs.lambda_actor_critic import LambdaActorCriticLearner
from jaxq.configs.loops import FromReplay, FromRollouts
from jaxq.configs.operators import GreedyOperator, Operator, PlainOperator
from jaxq.configs.optimizers import Adam, GradientClip, RAdam, StepSize, WeightDecay
from jaxq.configs.parallel import Precision, Privileged, seeing, seen_of
from jaxq.configs.population import Member, Population, grid, in_words
from jaxq.configs.ppo import PPOLearner
from jaxq.configs.presets import (
    ATOMS,
    BY_LIVES,
    CONTROL,
    DECQN,
    FRACTIONS,
    LAMBDA_Q_LEARNING,
    PARALLEL,
    Q_LEARNING,
    Presets,
    presets,
)
from jaxq.configs.q_learning import LambdaQLearner, QLearner, QLearnerOfAny
from jaxq.configs.replay import NStep, Replay, Sequences
from jaxq.configs.returns import Atoms, Fractions, Huber, QuantileHuber, Risk
from jaxq.configs.rewards import Costs, Discount, RewardClip, RewardShift
from jaxq.configs.run import DRIVER_FIELDS, NOT_BY_MEMBER, PLACE_FIELDS, SESSION_FIELDS, Device, Run, Track
from jaxq.configs.targets import Averaging, Chain, SoftChain, Targets
from jaxq.configs.torsos import DenseLayers, Layers

__all__ = [
    "ATOMS",
    "BY_LIVES",
    "CONTROL",
    "DECQN",
    "DRIVER_FIELDS",
    "FRACTIONS",
    "LAMBDA_Q_LEARNING",
    "NOT_BY_MEMBER",
    "PARALLEL",
    "PLACE_FIELDS",
    "Q_LEARNING",
    "SESSION_FIELDS",
    "ActorCriticLayers",
    "ActorCriticLearner",
    "ActorLayers",
    "Adam",
    "Atoms",
    "Averaging",
    "Axis",
    "Blocks",
    "Chain",
    "ContinuousEnvironments",
    "Costs",
    "Critics",
    "DecQNLearner",
    "DecomposedQLearner",
    "DelayedActor",
    "DenseLayers",
    "Device",
    "Discount",
    "DiscreteEnvironments",
    "EachDimensionEpsilon",
    "Environments",
    "Epsilon",
    "Exploration",
    "Fractions",
    "FromReplay",
    "FromRollouts",
    "GlorotLayers",
    "GradientClip",
    "GreedyOperator",
    "Huber",
    "LambdaActorCriticLearner",
    "LambdaQLearner",
    "Layers",
    "Member",
    "NStep",
    "Noise",
    "Operator",
    "PPOLearner",
    "PlainOperator",
    "Population",
    "Precision",
    "Presets",
    "Privileged",
    "PyTorchLayers",
    "QLearner",
    "QLearnerOfAny",
    "QuantileHuber",
    "RAdam",
    "Replay",
    "RewardClip",
    "RewardShift",
    "Risk",
    "Run",
    "Sequences",
    "SoftChain",
    "StepSize",
    "TargetNoise",
    "Targets",
    "Temperature",
    "Track",
    "WeightDecay",
    "ZoomingQLearner",
    "action_size",
    "build_and_tell",
    "from_plain",
    "grid",
    "in_words",
    "presets",
    "recording",
    "seeing",
    "seen_of",
]
