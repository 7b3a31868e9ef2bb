"""Where metrics go besides the run directory: Weights & Biases and TensorBoard."""

import importlib
import os
import uuid
from pathlib import Path
from typing import Any, Protocol

from jaxq.configs import Track
from jaxq.errors import InputError, missing_extra


class Sink(Protocol):
    """Takes a line of metrics as metrics.jsonl has it: scalars, and lists with one entry a seed."""

    def log(self, line: dict[str, Any]) -> None:
        """Record one line."""

    def close(self) -> None:
        """Finish."""


def _scalars(line: dict[str, Any]) -> dict[str, float]:
    """Each list as its mean and, of several seeds, each seed's own value; numbers that are missing are left out."""
    out: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, list):
            known = [v for v in value if v is not None]
            if known:
                out[name] = sum(known) / len(known)
            if len(value) > 1:
                out |= {f"{name}/seed{i}": v for i, v in enumerate(value) if v is not None}
        elif value is not None:
            out[name] = value
    return out


class WandbSink:
    """Weights & Biases; the run's id is kept in its directory, so a resumed run goes on under the same id."""

    def __init__(self, run_dir: Path, config: dict[str, Any], group: str):
        import wandb

        id_file = run_dir / "wandb_id.txt"
        if not id_file.exists():
            # An agent of a W&B sweep has made the run, in a project of its own.
            id_file.write_text(os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:12])
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "jaxq"),
                id=id_file.read_text().strip(),
                resume="allow",
                name=run_dir.name,
                group=group,
                config=config,
                dir=str(run_dir),
            )
        except wandb.Error as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            allowed = "left out where Weights & Biases cannot be begun; `wandb login`, or WANDB_MODE=offline, may help"
            raise InputError(f"track is 'wandb', but must be {allowed}: {said}") from None

    def log(self, line: dict[str, Any]) -> None:
        """See `Sink`."""
        self._run.log(_scalars(line), step=line["step"])

    def close(self) -> None:
        """See `Sink`."""
        self._run.finish()


class TensorBoardSink:
    """TensorBoard event files in `tensorboard/` of the run directory."""

    def __init__(self, run_dir: Path):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(run_dir / "tensorboard"))

    def log(self, line: dict[str, Any]) -> None:
        """See `Sink`."""
        for name, value in _scalars(line).items():
            self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """See `Sink`."""
        self._writer.close()


def require_tracker(track: Track) -> None:
    """Check that what `--track` asks for is installed.

    Raises:
      InputError: naming the extra, if it is not.
    """
    package = {"wandb": "wandb", "tensorboard": "tensorboardX"}.get(track)
    if package is not None:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise missing_extra(f"--track {track}", track, error) from None


def open_sinks(track: Track, run_dir: Path, config: dict[str, Any], group: str) -> list[Sink]:
    """The sinks that `--track` asks for."""
    if track == "wandb":
        return [WandbSink(run_dir, config, group)]
    if track == "tensorboard":
        return [TensorBoardSink(run_dir)]
    return []
