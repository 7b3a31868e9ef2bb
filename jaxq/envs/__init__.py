"""Environments: one contract, `Environment`, and adapters for gymnax, EnvPool, Brax and MuJoCo Playground."""

from jaxq.envs.base import (
    ArraySpec,
    Batched,
    Continuous,
    Discrete,
    Environment,
    ObservationSpec,
    Once,
    Pooled,
    Wrapper,
    single_spec,
)
from jaxq.envs.discretized import Bins, Cells, with_actions
from jaxq.envs.frame_stack import FrameStack
from jaxq.envs.registry import (
    BACKENDS,
    DOMAINS,
    domain,
    environment_seeds,
    from_object,
    make,
    register,
    require_continuous,
    require_discrete,
    shared,
    split_name,
)
from jaxq.envs.stock import WithStock

__all__ = [
    "BACKENDS",
    "DOMAINS",
    "ArraySpec",
    "Batched",
    "Bins",
    "Cells",
    "Continuous",
    "Discrete",
    "Environment",
    "FrameStack",
    "ObservationSpec",
    "Once",
    "Pooled",
    "WithStock",
    "Wrapper",
    "domain",
    "environment_seeds",
    "from_object",
    "make",
    "register",
    "require_continuous",
    "require_discrete",
    "shared",
    "single_spec",
    "split_name",
    "with_actions",
]
