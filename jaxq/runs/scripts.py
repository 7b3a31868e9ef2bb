"""The experiment scripts: where they are, by name, and as modules.

In a checkout they are `experiments/`, beside the package, and in an installed one `jaxq/experiments/`, inside it.
Nothing else knows that.
"""

import difflib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import jaxq
from jaxq.errors import InputError, require, require_writable

PACKAGE = Path(jaxq.__file__).parent
LAUNCHERS = "launch"  # the folder of what starts experiments on clusters


def _places() -> tuple[Path, Path]:
    return PACKAGE / "experiments", PACKAGE.parent / "experiments"


def scripts_directory() -> Path:
    """Where the scripts are.

    Raises:
      InputError: if the package has come without them.
    """
    for path in _places():
        if path.is_dir():
            return path
    raise InputError(f"experiments is neither in {PACKAGE} nor beside it; give a script by its path")


def scripts(directory: Path | None = None) -> dict[str, Path]:
    """All experiments by name, folder by folder: those of a directory, or the installed ones; launchers are none.

    Raises:
      InputError: if there are none.
    """
    directory = directory or scripts_directory()
    require(directory.is_dir(), "directory", str(directory), "a directory of experiments")
    files = (path for path in sorted(directory.rglob("*.py")) if path.parent.name != LAUNCHERS)
    found = {path.stem: path for path in files if path.stem != "__init__"}
    require(bool(found), "directory", str(directory), "a directory with experiments in it")
    return found


def find_script(name: str) -> Path:
    """The script of an experiment, by its name or by a path that ends in .py.

    Raises:
      InputError: if there is none; the message names the nearest.
    """
    if name.endswith(".py"):
        require(Path(name).is_file(), "experiment", name, "a script that exists")
        return Path(name)
    installed = scripts()
    near = difflib.get_close_matches(name, installed, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    allowed = f"one of those that `jaxq agents` lists, or a path to a script{hint}"
    require(name in installed, "experiment", name, allowed)
    return installed[name]


def load_script(script: Path, name: str) -> ModuleType:
    """The module of an experiment's file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def experiment(name: str) -> ModuleType:
    """An experiment as a module with its `Config`, `PRESETS` and `build`, by its name or by a path to a script.

    `dqn = jaxq.experiment("dqn")`, `jaxq.run(dqn.build, jaxq.parse(dqn.Config, dqn.PRESETS, ["--seed", "1"]))`.

    Raises:
      InputError: if there is none, or the file has none of these.
    """
    script = find_script(name)
    module = load_script(script, f"jaxq_experiment_{script.stem}")
    lacking = [part for part in ("Config", "PRESETS", "build") if not hasattr(module, part)]
    require(not lacking, "experiment", name, f"a script with {' and '.join(lacking)}")
    return module


def copy_script(name: str, out: Path) -> Path:
    """An experiment's script as a file of one's own, or in a directory under its own name.

    Raises:
      InputError: if there is no such experiment, or something is there already.
    """
    script = find_script(name)
    out = out / script.name if out.is_dir() else out
    require_writable(out, ".py")
    require(not out.exists(), "out", str(out), "a name that is not taken")
    shutil.copyfile(script, out)
    return out


def command_of(script: Path) -> str:
    """What runs a script, as it is typed: by its path if this process was so begun, else by its name if it has one."""
    if Path(sys.argv[0]).absolute() != script.absolute() and script.parent.parent in _places():
        return f"jaxq train {script.stem}"
    return f"python {os.path.relpath(script) if script.is_relative_to(Path.cwd()) else script}"
