"""Films of trained policies: `jaxq video`."""

import importlib.util
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.configs import Run
from jaxq.errors import InputError, require, require_writable
from jaxq.runs.directory import load_config
from jaxq.runs.playing import played
from jaxq.runs.rendering import graphics, renderer_for
from jaxq.runs.restore import environment_to_watch, restore_member
from jaxq.training import Training


def record(
    run_dir: Path, out: Path | None, *, member: int = 0, seed: int = 0, max_steps: int = 1_000, run_code: bool = True
) -> Path:
    """Play one episode with the newest checkpoint's exploiting policy, and write it as a film.

    Args:
      run_dir: of the run.
      out: .mp4 or .gif; a name in the run directory unless given.
      member: which seed's agent plays.
      seed: of the episode.
      max_steps: the longest film.
      run_code: whether the run's own experiment.py may be executed where it is not the installed script.

    Returns:
      The path of the film.

    Raises:
      InputError: if the run cannot be restored, or its environment not be drawn.
    """
    graphics()
    load_config(run_dir)  # before a name in it is found to be nowhere
    require(max_steps >= 1, "max_steps", max_steps, "at least 1")
    out = out or run_dir / ("video.mp4" if importlib.util.find_spec("imageio_ffmpeg") else "video.gif")
    require_writable(out, ".mp4", ".gif")
    config, training, state = restore_member(run_dir, member, run_code=run_code)
    frames, rate = _play(config, training, state, seed, max_steps)
    _write(out, frames, rate)
    return out


def _play(config: Run, training: Training, state: Any, seed: int, max_steps: int) -> tuple[list[np.ndarray], float]:
    environment = environment_to_watch(config, training, seed, render_mode="rgb_array")
    draw, rate = renderer_for(environment)
    frames: list[np.ndarray] = []
    for env_state, timestep in itertools.islice(played(environment, training.agent, state, seed), max_steps + 1):
        if frames and bool(timestep.first[0]):  # the episode was broken off
            break
        frames.append(draw(env_state, timestep))
        if bool(timestep.last[0]):
            break
    return frames, rate


def _write(out: Path, frames: list[np.ndarray], rate: float) -> None:
    if out.suffix == ".gif":
        from PIL import Image

        images = [Image.fromarray(frame) for frame in frames]
        images[0].save(out, save_all=True, append_images=images[1:], duration=max(int(1000 / rate), 20), loop=0)
        return
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401
    except ImportError as error:
        raise InputError(f"out is '{out}', but mp4 needs pip install 'jaxq[video]' ({error}); .gif does not") from None
    # Encoders want even sides; each picture is drawn at least 320 high.
    scale = max(1, -(-320 // frames[0].shape[0]))
    even: list[Any] = [np.repeat(np.repeat(f, scale, 0), scale, 1) for f in frames]
    even = [f[: f.shape[0] // 2 * 2, : f.shape[1] // 2 * 2] for f in even]
    # The encoder is a process of its own, which Python warns of in a program with threads.
    warnings.filterwarnings("ignore", message=".*fork", category=RuntimeWarning)
    imageio.mimwrite(out, even, fps=rate, macro_block_size=1, quality=7)
