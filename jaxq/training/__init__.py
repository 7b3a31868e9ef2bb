"""The compiled loops, evaluation, and the population axis."""

from jaxq.training.evaluation import Evaluation
from jaxq.training.off_policy import OffPolicy, Plan, TrainState

__all__ = ["Evaluation", "OffPolicy", "Plan", "TrainState"]
