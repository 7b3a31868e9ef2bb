"""jaxq: value-based deep reinforcement learning, end to end in JAX.

Rooms, each importing only from those after it: `cli`, `sweeps`, `runs`, `configs`, `profiling`, `training`, `agents`,
`replay`, `networks`, `envs`, `bellman`, `tabular`. `docs/architecture.md` tells what lives where. The names here are
those that embedding needs; a room is imported when one of its names is asked for.
"""

import importlib
from typing import Any

_HOMES = {
    "jaxq.runs": ("experiment", "load", "main", "parse", "run", "train"),
    "jaxq.training": ("Evaluation", "OffPolicy", "OnPolicy"),
    "jaxq.agents": ("EnsembleQLearning", "EpsilonGreedy", "HardUpdate", "IteratedQLearning", "LambdaQLearning"),
    "jaxq.agents.q_learning": ("QLearning", "QLearningHyperparameters"),
    "jaxq.replay": ("PrioritizedReplay", "SequenceReplay", "UniformReplay"),
    "jaxq.networks": ("ActionValueHead", "ActionValueNetwork", "torso_for"),
    "jaxq.bellman": ("Categorical", "HLGauss", "Quantile", "Scalar"),
    "jaxq.schedules": ("LinearSchedule",),
    "jaxq.types": ("TimeStep",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jaxq' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
