"""Replay: experience kept on the device, drawn uniformly or by priority."""

from jaxq.replay.base import Replay
from jaxq.replay.prioritized import PrioritizedReplay, PrioritizedState
from jaxq.replay.sequences import ActionSequenceReplay, SequenceReplay
from jaxq.replay.sum_tree import SumTree
from jaxq.replay.uniform import ReplayState, UniformReplay

__all__ = [
    "ActionSequenceReplay",
    "PrioritizedReplay",
    "PrioritizedState",
    "Replay",
    "ReplayState",
    "SequenceReplay",
    "SumTree",
    "UniformReplay",
]
