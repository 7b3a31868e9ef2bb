"""The host side of a run: the only room that touches disks, clocks and screens."""

from jaxq.errors import DivergedError, clean_errors
from jaxq.runs.config import RunConfig, everywhere, merged, parse
from jaxq.runs.environments import make_environments
from jaxq.runs.off_policy import OffPolicyConfig, off_policy
from jaxq.runs.on_policy import OnPolicyConfig, on_policy
from jaxq.runs.run import run

__all__ = [
    "DivergedError",
    "OffPolicyConfig",
    "OnPolicyConfig",
    "RunConfig",
    "clean_errors",
    "everywhere",
    "make_environments",
    "merged",
    "off_policy",
    "on_policy",
    "parse",
    "run",
]
