"""The compiled loops, evaluation, and the population axis."""

from jaxq.training.evaluation import Evaluation, EvaluationState
from jaxq.training.loop import ChunkState, Plan, Training, TrainState
from jaxq.training.meshes import Spread, mesh_of, most_devices, suited_members
from jaxq.training.off_policy import OffPolicy
from jaxq.training.on_policy import OnPolicy

__all__ = [
    "ChunkState",
    "Evaluation",
    "EvaluationState",
    "OffPolicy",
    "OnPolicy",
    "Plan",
    "Spread",
    "TrainState",
    "Training",
    "mesh_of",
    "most_devices",
    "suited_members",
]
