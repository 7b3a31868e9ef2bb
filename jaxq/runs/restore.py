"""Runs read back: the experiment that a run directory keeps, and one of its trained agents."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from jaxq.configs import Run
from jaxq.errors import require
from jaxq.runs.checkpoints import Checkpoints
from jaxq.runs.directory import from_json, load_config
from jaxq.runs.run import member_keys
from jaxq.training import Training


def load_script(script: Path, name: str) -> ModuleType:
    """The module of an experiment's file."""
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def load_experiment(run_dir: Path) -> tuple[Any, Any]:
    """A run's experiment, as its directory keeps it: the module and the Config.

    Raises:
      InputError: if the directory holds no run.
    """
    values = load_config(run_dir)
    values.pop("experiment", None)
    script = run_dir / "experiment.py"
    require(script.exists(), "run_dir", str(run_dir), "a run with its experiment.py")
    module: Any = load_script(script, "jaxq_run_experiment")
    return module, from_json(module.Config, values)


def restore_member(run_dir: Path, member: int) -> tuple[Run, Training, Any]:
    """The newest state of one of a run's agents.

    Args:
      run_dir: of the run.
      member: which seed's agent, counted from 0.

    Returns:
      The run's configuration, its training, and the agent's state.

    Raises:
      InputError: if the run cannot be restored, or has no such member.
    """
    module, config = load_experiment(run_dir)
    require(0 <= member < config.num_seeds, "member", member, f"in 0 .. {config.num_seeds - 1}")
    training = module.build(config)
    checkpoints = Checkpoints(run_dir)
    agents = checkpoints.restore_agent(jax.eval_shape(training.init, member_keys(config)).agent)
    checkpoints.close()
    return config, training, jax.tree.map(lambda leaf: leaf[member], agents)
