"""What a sweep is asked to be; the words of its command, without what carries it out."""

import dataclasses
from pathlib import Path
from typing import Literal

Sampler = Literal["tpe", "random", "grid", "cmaes", "gp"]
Pruner = Literal["median", "hyperband", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep is.

    Attributes:
      script: file of the experiment.
      study: name of the study.
      space: file of the space.
      trials: of the whole study.
      population: trials trained as one program.
      storage: URL of the database.
      sampler, pruner: of the study.
      directory: under which the populations are trained, each in a directory of its own.
      resume: whether the study may be there.
      flags: of the script.
    """

    script: Path
    study: str
    space: Path
    trials: int
    population: int
    storage: str
    sampler: Sampler
    pruner: Pruner
    directory: Path
    resume: bool
    flags: tuple[str, ...]


def default_storage(directory: Path, name: str) -> str:
    """A database in a file of its own."""
    return f"sqlite:///{directory / name / 'study.db'}"
