"""The host side of a run: the only room that touches disks, clocks and screens."""

from jaxq.errors import DivergedError, clean_errors
from jaxq.runs.config import RunConfig, parse
from jaxq.runs.off_policy import OffPolicyConfig, make_environments, off_policy
from jaxq.runs.run import run

__all__ = [
    "DivergedError",
    "OffPolicyConfig",
    "RunConfig",
    "clean_errors",
    "make_environments",
    "off_policy",
    "parse",
    "run",
]
