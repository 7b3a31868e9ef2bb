"""Runs read back: the experiment that a run directory keeps, and one of its trained agents."""

import contextlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxq import envs
from jaxq.configs import Run
from jaxq.envs import Environment
from jaxq.errors import InputError, InputWarning, require
from jaxq.runs.checkpoints import Checkpoints
from jaxq.runs.directory import from_json, load_config
from jaxq.runs.population import member_keys
from jaxq.runs.scripts import load_script, scripts
from jaxq.training import Training


def load_experiment(run_dir: Path, run_code: bool = True) -> tuple[Any, Any]:
    """A run's experiment: the module and the Config.

    The script that is installed, if the one that the run keeps is the same; else the run's own, of which it is told.

    Args:
      run_dir: of the run.
      run_code: whether the run's own script may be executed.

    Raises:
      InputError: if the directory holds no run, or only its own script would do and may not be executed.
    """
    values = load_config(run_dir)
    experiment = values.pop("experiment", None)
    script = run_dir / "experiment.py"
    if not script.exists():
        parts = sorted(path.parent.name for path in run_dir.glob("*/experiment.py"))
        wanted = f"one of the runs in it ({', '.join(parts)})" if parts else "a run with its experiment.py"
        require(False, "run_dir", str(run_dir), wanted)
    installed = _installed(experiment)
    if installed is None or installed.read_bytes() != script.read_bytes():
        require(
            run_code, "run_dir", str(run_dir), f"a run of an installed script: its own {script} may not be executed"
        )
        print(f"{script} is not an installed script: it is about to be executed", file=sys.stderr)
        installed = script
    module: Any = load_script(installed, "jaxq_run_experiment")
    return module, from_json(module.Config, values)


def _installed(experiment: str | None) -> Path | None:
    try:
        return scripts().get(experiment or "")
    except InputError:
        return None


def restore_member(run_dir: Path, member: int, *, run_code: bool = True) -> tuple[Run, Training, Any]:
    """The newest state of one of a run's agents.

    Args:
      run_dir: of the run.
      member: whose agent, counted from 0: over settings, and over the seeds of each.
      run_code: as of `load_experiment`.

    Returns:
      The run's configuration, its training, and the agent's state.

    Raises:
      InputError: if the run cannot be restored, or has no such member.
    """
    config, training, agents = restore_agents(run_dir, (member,), run_code=run_code)
    return config, training, jax.tree.map(lambda leaf: leaf[0], agents)


def restore_agents(
    run_dir: Path, members: Sequence[int] | None = None, *, run_code: bool = True
) -> tuple[Run, Training, Any]:
    """As `restore_member`, of several members or of all, [N, ...]."""
    module, config = load_experiment(run_dir, run_code)
    for member in members or ():
        require(0 <= member < config.num_members, "member", member, f"in 0 .. {config.num_members - 1}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # the run's own beginning has given them
        training = module.build(config)
    with contextlib.closing(Checkpoints(run_dir, read_only=True)) as checkpoints:
        agents = checkpoints.restore_agent(jax.eval_shape(training.init, member_keys(config)).agent)
    if members is None:
        return config, training, agents
    return config, training, jax.tree.map(lambda leaf: leaf[np.array(members)], agents)


def environment_to_watch(config: Run, training: Training, seed: int, **options: Any) -> Environment:
    """One environment like those that a run trains with, but that plays whole games.

    Args:
      config, training: of the run.
      seed: of environments whose randomness lives outside JAX.
      options: of a pool of EnvPool's.
    """
    if envs.domain(config.env) == "atari":
        options["episodic_life"] = False
    return training.environment.remade(1, seed, **options)
