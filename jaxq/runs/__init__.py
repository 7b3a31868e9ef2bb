"""The host side of a run, and nothing of agents: what of it touches disks, clocks and screens is here."""

from jaxq.errors import DivergedError, clean_errors
from jaxq.runs.command_line import main, parse, train
from jaxq.runs.policy import Policy, load
from jaxq.runs.run import run
from jaxq.runs.scripts import experiment

__all__ = ["DivergedError", "Policy", "clean_errors", "experiment", "load", "main", "parse", "run", "train"]
