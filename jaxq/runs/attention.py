"""Pictures of where an Action Q-Transformer looks: `jaxq attention`."""

import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxq.errors import require, require_writable
from jaxq.networks import ActionQTransformer, attention_maps
from jaxq.runs.playing import played
from jaxq.runs.plots import PICTURES
from jaxq.runs.restore import environment_to_watch, restore_member


def draw_attention(
    run_dir: Path,
    out: Path | None,
    *,
    member: int = 0,
    seed: int = 0,
    frames: int = 4,
    every: int = 10,
    run_code: bool = True,
) -> Path:
    """Play with a run's agent, and draw what it saw beside where it looked for each action.

    Args:
      run_dir: of a run of `action_q_transformer`.
      out: the picture; a name in the run directory unless given.
      member: which seed's agent plays.
      seed: of the episode.
      frames: rows of the picture.
      every: steps between them.
      run_code: whether the run's own experiment.py may be executed where it is not the installed script.

    Returns:
      The path of the picture.

    Raises:
      InputError: if the run cannot be restored, or its network is another.
    """
    for name, value in (("frames", frames), ("every", every)):
        require(value >= 1, name, value, "at least 1")
    out = out or run_dir / "attention.png"
    require_writable(out, *PICTURES)
    config, training, state = restore_member(run_dir, member, run_code=run_code)
    agent: Any = training.agent
    network: Any = getattr(agent, "network", None)
    attends = isinstance(network, ActionQTransformer)
    require(attends, "run_dir", str(run_dir), "a run of action_q_transformer, whose network has attention")
    environment = environment_to_watch(config, training, seed)
    look = jax.jit(lambda seen: attention_maps(network, state.params, seen))
    watched = itertools.islice(played(environment, agent, state, seed), 0, frames * every, every)
    rows = [(np.asarray(seen[0]), np.asarray(look(seen)[0])) for seen in (t.observation for _, t in watched)]
    _draw(rows, environment.observation_spec.frames, out)
    return out


def grey_picture(observation: np.ndarray, frames: int) -> np.ndarray:
    """One grey picture [H, W] of an image [H, W, C]: of a stack its newest frame, of planes each in a grey of its own.

    Args:
      observation: the image.
      frames: how many its last axis holds, as of the observation's spec; 0 if it is no stack.
    """
    planes = observation.shape[-1] // max(frames, 1)
    newest = observation[..., -planes:]
    return (newest * np.arange(1.0, planes + 1.0)).max(axis=-1)


def _draw(rows: list[tuple[np.ndarray, np.ndarray]], frames: int, out: Path) -> None:
    from matplotlib.figure import Figure

    num_actions = rows[0][1].shape[0]
    figure = Figure(figsize=(1.8 * (num_actions + 1), 1.9 * len(rows)), layout="constrained")
    axes = np.atleast_2d(figure.subplots(len(rows), num_actions + 1))
    for row, (seen, maps) in zip(axes, rows, strict=True):
        row[0].imshow(grey_picture(seen, frames), cmap="gray")
        row[0].set_title("observation", fontsize=8)
        for action in range(num_actions):
            row[action + 1].imshow(maps[action], cmap="inferno")
            row[action + 1].set_title(f"action {action}", fontsize=8)
        for axis in row:
            axis.set_axis_off()
    figure.savefig(out, dpi=120)
