"""A virtual environment for each baseline under `.bench/venvs`, made by `python -m venv` and pip from pinned files.

Files of requirements are whole: they name every package with its version, and pip is told to add none (`--no-deps`).
Each file is installed by a call of its own, since one may ask for an index of its own, as PyTorch's builds for the CPU
do. A stamp says of which files an environment was made; with other files it is made anew.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".bench" / "venvs"
REQUIREMENTS = Path(__file__).parent / "requirements"
LONGEST = 240  # characters of an error


class NotInstalled(Exception):
    """A baseline that cannot be had: the reason in one line."""


def python_of(name: str, requirements: Sequence[Path], venvs: Path = VENVS) -> Path:
    """The Python of an environment with these requirements, which is made where it is not there.

    Args:
      name: of the environment, a folder in `venvs`; pip's output is NAME.log beside it.
      requirements: files for pip, in order.
      venvs: where the environments are.

    Raises:
      NotInstalled: when pip fails.
    """
    folder, log = venvs / name, venvs / f"{name}.log"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    wanted = stamp_of(requirements)
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venvs.mkdir(parents=True, exist_ok=True)
    # The pip that is here installs into it: to give it one of its own takes longer than most installing.
    commands = [[sys.executable, "-m", "venv", "--without-pip", str(folder)]]
    for file in requirements:
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
        commands.append([*pip, "--no-input", "--no-deps", "-r", str(file)])
    with log.open("w") as output:
        for command in commands:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                raise NotInstalled(f"no longer installs: {reason(log.read_text())}")
    stamp.write_text(wanted)
    return python


def stamp_of(requirements: Sequence[Path]) -> str:
    """A digest of what an environment is made of: the files, in order, and this Python."""
    whole = hashlib.sha256(sys.version.encode())
    for file in requirements:
        whole.update(b"\0" + file.read_bytes())
    return whole.hexdigest()


def reason(log: str) -> str:
    """The line of pip's output that says best why it failed: its last error, or the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    # pip ends with a sentence that says no more than that it failed.
    telling = [line for line in errors if not line.startswith("No matching distribution")] or errors or lines
    return telling[-1][:LONGEST] if telling else "pip said nothing"
