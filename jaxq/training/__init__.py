"""The compiled loops, evaluation, and the population axis."""

from jaxq.training.evaluation import Evaluation, EvaluationState
from jaxq.training.loop import ChunkState, Plan, Training, TrainState
from jaxq.training.off_policy import OffPolicy
from jaxq.training.on_policy import OnPolicy

__all__ = ["ChunkState", "Evaluation", "EvaluationState", "OffPolicy", "OnPolicy", "Plan", "TrainState", "Training"]
