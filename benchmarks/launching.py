"""Commands as a user gives them, for benchmarks of what becomes of whole runs: started, killed, waited for."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ROOT = Path(__file__).parent.parent
UNDER_WAY = Path(".bench")  # as the root sees it, so that a command that is kept names no machine's folders


def script(path: str, *flags: object) -> list[str]:
    """A script of the repository and its flags."""
    return [sys.executable, path, *map(str, flags)]


def jaxq(*words: object) -> list[str]:
    """The command line `jaxq`."""
    return [sys.executable, "-m", "jaxq.cli.main", *map(str, words)]


def as_typed(command: Sequence[str]) -> str:
    """A command as it would be typed in the repository."""
    words = ["jaxq", *command[3:]] if command[1:3] == ["-m", "jaxq.cli.main"] else ["python", *command[1:]]
    return " ".join(words)


def start(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a command at the root; all that it says goes to the end of a file."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environment or {})}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=variables)


def finish(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command to its end.

    Raises:
      RuntimeError: if it fails, with the end of what it said.
    """
    code = start(command, log, environment).wait()
    if code:
        raise RuntimeError(f"{as_typed(command)} ended with code {code}: {log.read_text()[-2000:]}")


def trials_so_far(directory: Path, study: str) -> list["FrozenTrial"]:
    """The trials of a sweep under a directory of the root's; none before there is a study."""
    # Trainings that are only started need no optuna.
    from jaxq.sweeps.plans import default_storage
    from jaxq.sweeps.studies import open_storage, open_study

    if not (ROOT / directory / study / "study.db").exists():
        return []
    try:
        return open_study(open_storage(default_storage(ROOT / directory, study)), study).get_trials(deepcopy=False)
    except Exception:  # the tables are being made
        return []


def cleared(folder: Path) -> Path:
    """A folder of which nothing is left."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder
