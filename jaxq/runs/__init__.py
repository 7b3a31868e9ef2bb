"""The host side of a run: the only room that touches disks, clocks and screens."""

from jaxq.errors import clean_errors
from jaxq.runs.config import RunConfig, parse
from jaxq.runs.run import DivergedError, run

__all__ = ["DivergedError", "RunConfig", "clean_errors", "parse", "run"]
