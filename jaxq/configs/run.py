"""The fields of every run."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import tyro

from jaxq.configs.controllers import Controlled
from jaxq.configs.population import Member, Population
from jaxq.errors import require

Track = Literal["none", "wandb", "tensorboard"]
Device = Literal["auto", "cpu", "gpu", "tpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Controlled):
    """How a run is driven: read by `jaxq.runs`, whatever the agent."""

    UNRESTRICTED: ClassVar[tuple[str, ...]] = ("seed", "resumption", "process_id")

    env: str = "gymnax/CartPole-v1"
    """Environment, backend/Name; `jaxq envs` lists them."""
    seed: int = 0
    """Seed of the first member; of several seeds member i has seed + i."""
    num_seeds: int = 1
    """Seeds of each setting, trained side by side as one program."""
    population: Population = ()
    """Members by a file, a JSON list of {field: value, ...}; each is trained with its seed, or with every seed."""
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
    deterministic: bool = True
    """On a GPU: sums in one order, so that a run has the same bits whenever it is compiled and gone on with; without,
    30 to 40% faster there. A CPU has one order anyway."""
    devices: int | None = None
    """Devices to train on: members are spread over them, or, with more devices than members, the environments, replay
    and batches of each. None takes as many of all there are as the members divide over; for several members each
    processor of a CPU is one."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where several processes meet that train as one; auto asks the cluster."""
    num_processes: int | None = None
    """Processes that meet."""
    process_id: int | None = None
    """Which of them this one is, counted from 0, which alone writes and speaks."""
    num_logs: int = 100
    """Lines in metrics.jsonl: the run is cut into about as many chunks."""
    num_evaluations: int = 20
    """Evaluations over the run, the last at its end; each comes with a line, so at most as many as those."""
    profile: bool = False
    """Record a few dispatches (RUN_DIR/profile, for Perfetto), and tell where the time goes."""
    checkpoint_minutes: float = 5.0
    """Least time between two checkpoints; 0 writes one after every chunk, inf only the last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.seed < 2**31 - self.num_seeds, "seed", self.seed, "in 0 .. 2^31 - num_seeds")
        known = {field.name for field in dataclasses.fields(self)} - set(NOT_BY_MEMBER)
        for i, member in enumerate(self.population):
            require(0 <= member.seed < 2**31, f"seed of member {i}", member.seed, "in 0 .. 2^31")
            unknown = sorted(set(member.setting) - known)
            require(not unknown, f"population, member {i}", unknown, "of fields that members can have of their own")
        require(self.total_steps < 2**31, "total_steps", self.total_steps, "below 2^31")
        require(self.checkpoint_minutes >= 0, "checkpoint_minutes", self.checkpoint_minutes, "0 or more")
        require(not self.resume or self.run_dir is not None, "resume", self.resume, "given with --run-dir")

    @property
    def all_members(self) -> Population:
        """Who is trained: the population, or a member without numbers of its own for each seed."""
        return self.population or tuple(Member(seed) for seed in range(self.seed, self.seed + self.num_seeds))

    @property
    def num_members(self) -> int:
        """N."""
        return len(self.population) or self.num_seeds

    def with_setting(self, setting: Mapping[str, Any]) -> Self:
        """The same run of as many members, with other values of some fields.

        Raises:
          InputError: for values that are not allowed.
        """
        return dataclasses.replace(self, **setting)

    def with_population(self, members: Population) -> Self:
        """The run of these members; in what they have in common they are as the configuration says.

        Raises:
          InputError: for values that are not allowed.
        """
        first = members[0].setting
        common = {k: v for k, v in first.items() if all(k in m.setting and m.setting[k] == v for m in members)}
        own = tuple(Member(m.seed, {k: v for k, v in m.setting.items() if k not in common}) for m in members)
        return dataclasses.replace(self, **common, population=own)

    def alone(self, member: int) -> Self:
        """The run of one member, counted from 0, by itself."""
        one = self.all_members[member]
        return dataclasses.replace(self, **one.setting, seed=one.seed, num_seeds=1, population=())


# What the driver of a run reads; `env` and the seeds are the environments' too.
DRIVER_FIELDS = tuple(field.name for field in dataclasses.fields(Run))
# Where a run is run, of which its continuation knows nothing.
PLACE_FIELDS = ("devices", "coordinator", "num_processes", "process_id")
# Fields that may differ between a run and its continuation: they say how it is run, not what is run.
SESSION_FIELDS = (
    *("resume", "resumption", "profile", "run_dir", "track", "device", "deterministic", "checkpoint_minutes"),
    *PLACE_FIELDS,
)
# Fields that members share by their nature.
NOT_BY_MEMBER = (
    *SESSION_FIELDS,
    *(field.name for field in dataclasses.fields(Controlled)),
    *("env", "seed", "num_seeds", "population", "init_from", "num_logs", "num_evaluations"),
)
