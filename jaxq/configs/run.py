"""The fields of every run."""

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from jaxq.configs.axis import Axis
from jaxq.errors import require

Track = Literal["none", "wandb", "tensorboard"]
Device = Literal["auto", "cpu", "gpu", "tpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Axis):
    """How a run is driven: read by `jaxq.runs`, whatever the agent."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("seed", "resumption")

    env: str = "gymnax/CartPole-v1"
    """Environment, backend/Name; `jaxq envs` lists them."""
    seed: int = 0
    """Seed of the first member; member i of a population has seed + i."""
    num_seeds: int = 1
    """Seeds trained side by side as one program."""
    total_steps: int = 200_000
    """Environment steps of each seed, warm-up included; rounded down to whole chunks."""
    run_dir: Path | None = None
    """Where the run is written; runs/<experiment>_<env>_s<seed>_<time> unless given."""
    resume: bool = False
    """Continue the run in --run-dir from its last checkpoint; more --total-steps than it had extend it."""
    resumption: Annotated[int, tyro.conf.Suppress] = 0
    """How often the run has been gone on with. No flag: it is counted."""
    init_from: Path | None = None
    """Start from the agents of this run: what they have learned, with the numbers given here."""
    track: Track = "none"
    """Where metrics go besides metrics.jsonl; wandb obeys WANDB_MODE=offline."""
    device: Device = "auto"
    """Device to train on; auto takes the best there is."""
    num_logs: int = 100
    """Lines in metrics.jsonl: the run is cut into about as many chunks."""
    num_evaluations: int = 20
    """Evaluations over the run, the last one at its end."""
    checkpoint_minutes: float = 5.0
    """Least time between two checkpoints; 0 writes one after every chunk, inf only the last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.seed < 2**31 - self.num_seeds, "seed", self.seed, "in 0 .. 2^31 - num_seeds")
        require(self.total_steps < 2**31, "total_steps", self.total_steps, "below 2^31")
        require(self.checkpoint_minutes >= 0, "checkpoint_minutes", self.checkpoint_minutes, "0 or more")
        require(not self.resume or self.run_dir is not None, "resume", self.resume, "given with --run-dir")
        alone = not (self.resume and self.init_from)
        require(alone, "init_from", str(self.init_from), "left out with --resume, which goes on with the run's own")


# What the driver of a run reads; `env`, `seed` and `num_seeds` are the environments' too.
DRIVER_FIELDS = tuple(field.name for field in dataclasses.fields(Run))
# Fields that may differ between a run and its continuation: they say how it is run, not what is run.
SESSION_FIELDS = ("resume", "resumption", "run_dir", "track", "device", "checkpoint_minutes")
