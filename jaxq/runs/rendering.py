"""Pictures of environments: RGB images [H, W, 3] uint8 of a state and TimeStep, for every backend that has them."""

import contextlib
import ctypes
import ctypes.util
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxq.envs.base import Batched, Environment
from jaxq.envs.brax_backend import BraxEnvironment
from jaxq.envs.envpool_backend import EnvPoolEnvironment, family
from jaxq.envs.frame_stack import FrameStack
from jaxq.envs.stock import WithStock
from jaxq.errors import InputError, require
from jaxq.runs.raycast import RayCaster
from jaxq.types import PyTree, TimeStep

Renderer = Callable[[PyTree, TimeStep], np.ndarray]

GRAPHICS = ("EGL", "OSMesa")  # libraries that draw without a screen, the better one first
HEIGHT, WIDTH = 240, 320  # of pictures of MuJoCo's models
MINATAR_SCALE = 32
# One colour a plane; where planes overlap, the later one is seen.
PLANE_COLOURS = np.array(
    [[0, 114, 178], [230, 159, 0], [120, 94, 40], [0, 158, 115], [204, 121, 167], [86, 180, 233],
     [213, 94, 0], [240, 228, 66], [150, 150, 150], [255, 255, 255]], np.uint8
)  # fmt: skip


def renderer_for(environment: Environment) -> tuple[Renderer, float]:
    """How to draw a batch of one environment, and the frames per second at which it is watched.

    Raises:
      InputError: if the environment has no pictures.
    """
    if isinstance(environment, WithStock):
        draw, rate = renderer_for(environment.environment)

        def without_stock(state: PyTree, timestep: TimeStep) -> np.ndarray:
            return draw(state.inner, timestep.replace(observation=timestep.observation[..., :-1]))

        return without_stock, rate
    inner = environment.environment if isinstance(environment, FrameStack) else environment
    if isinstance(inner, EnvPoolEnvironment):
        return _envpool(inner), 15.0 if isinstance(environment, FrameStack) else 50.0
    if isinstance(inner, Batched):
        own = getattr(inner.single, "environment", inner.single)
        if callable(getattr(own, "picture", None)):
            return _pictured(own), 15.0
        if inner.name.endswith("-MinAtar"):
            return _minatar, 15.0
        if isinstance(inner.single, BraxEnvironment):
            return _mujoco(inner), 1.0 / float(inner.single.environment.dt)
        task = inner.name.partition("/")[2]
        if task in CLASSIC:
            return _classic(CLASSIC[task]), 30.0
    own = environment.name.startswith("own/")
    hint = ": give it picture(state), an RGB image [H, W, 3] of bytes" if own else ""
    raise InputError(f"env is {environment.name!r}, of which no pictures can be made{hint}")


def _pictured(own: Any) -> Renderer:
    """By an environment's own `picture(state)`."""
    import jax

    def draw(state: PyTree, timestep: TimeStep) -> np.ndarray:
        del timestep
        picture = np.asarray(own.picture(jax.tree.map(lambda leaf: np.asarray(leaf)[0], _own_state(state))))
        good = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
        require(good, "picture", f"{picture.dtype} of shape {picture.shape}", "an image [H, W, 3] of uint8")
        return picture

    return draw


def _own_state(state: PyTree) -> PyTree:
    """An environment's own state in that of its batch."""
    return (state.episode if hasattr(state, "episode") else state).inner


def _minatar(state: PyTree, timestep: TimeStep) -> np.ndarray:
    planes = np.asarray(timestep.observation[0]) > 0
    picture = np.zeros((*planes.shape[:2], 3), np.uint8)
    for channel in range(planes.shape[-1]):
        picture[planes[..., channel]] = PLANE_COLOURS[channel % len(PLANE_COLOURS)]
    return picture.repeat(MINATAR_SCALE, 0).repeat(MINATAR_SCALE, 1)


def graphics() -> str | None:
    """Which library of `GRAPHICS` this machine has, as MuJoCo will find it from now on; None for none."""
    found = next((name for name in GRAPHICS if ctypes.util.find_library(name)), None)
    # MuJoCo looks for this when it is first imported, which a Brax or Playground environment does.
    os.environ.setdefault("MUJOCO_GL", found.lower() if found else "disable")
    if found:
        _comes_first(found)
    return found


@functools.cache
def _comes_first(library: str) -> bool:
    """Load a library, unless EnvPool is there, which looks among what was loaded before it; whether it came first."""
    if "envpool" in sys.modules:
        return False
    with contextlib.suppress(OSError):  # it lacks another one, which is found out where it is needed
        ctypes.CDLL(ctypes.util.find_library(library), mode=ctypes.RTLD_GLOBAL)
    return True


# A pool of MuJoCo's that finds no graphics library ends the process, so that another one is to find out.
_PROBE = (
    "import ctypes, ctypes.util; ctypes.CDLL(ctypes.util.find_library({library!r}), mode=ctypes.RTLD_GLOBAL); "
    "import envpool; pool = envpool.make({task!r}, env_type='gymnasium', num_envs=1, render_mode='rgb_array'); "
    "pool.reset(); pool.render()"
)


def _envpool(environment: EnvPoolEnvironment) -> Renderer:
    task = environment.name.partition("/")[2]
    if family(task).startswith("mujoco"):
        library = graphics()
        probe = [sys.executable, "-c", _PROBE.format(library=library, task=task)]
        if library is None or subprocess.run(probe, capture_output=True, check=False, close_fds=False).returncode:
            raise InputError(
                f"env is {environment.name!r}, whose pictures need EGL or OSMesa (Debian: libegl1 with "
                "libgl1-mesa-dri, or libosmesa6); the robots of brax/ and playground/ are drawn without either"
            )
        if not _comes_first(library):
            raise InputError(
                f"env is {environment.name!r}, of which a process makes no pictures that has imported EnvPool for "
                "something else: record it in one of its own (jaxq video)"
            )

    def draw(state: PyTree, timestep: TimeStep) -> np.ndarray:
        del state, timestep
        return np.asarray(environment.pool.render())[0]

    return draw


def _mujoco(environment: Batched) -> Renderer:
    """Pictures by MuJoCo's own renderer, or by casting rays where it has no graphics library."""
    import jax
    import mujoco

    inner = environment.single.environment  # type: ignore[attr-defined]
    model = inner.mj_model if hasattr(inner, "mj_model") else inner.sys.mj_model
    data = mujoco.MjData(model)
    camera = next((i for i in range(model.ncam) if model.cam(i).name == "track"), 0 if model.ncam else -1)
    show = drawer(model, data, camera)

    def draw(state: PyTree, timestep: TimeStep) -> np.ndarray:
        del timestep
        physics = jax.tree.map(lambda leaf: np.asarray(leaf[0]), _physics(_own_state(state)))
        data.qpos[:], data.qvel[:] = physics
        mujoco.mj_forward(model, data)
        return show()

    return draw


def drawer(model: Any, data: Any, camera: int) -> Callable[[], np.ndarray]:
    """What draws a `mujoco.MjModel` with its `MjData`, as they are when it is called, by the best renderer there is.

    Args:
      model, data: MuJoCo's.
      camera: its number; -1 for the free camera.
    """
    import mujoco
    from mujoco import gl_context

    # Imported before `graphics` had its say, MuJoCo would take a library that draws on screens, and fall without one.
    chosen = getattr(getattr(gl_context, "GLContext", None), "__module__", "")
    try:
        if not chosen.endswith(tuple(name.lower() for name in GRAPHICS)):
            raise RuntimeError("no library that draws without a screen")
        renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    except Exception:  # graphics libraries fail each in their own way
        return RayCaster(model, data, camera, HEIGHT, WIDTH).draw

    def draw() -> np.ndarray:
        renderer.update_scene(data, camera=camera)
        return renderer.render()

    return draw


def _physics(state: Any) -> tuple[Any, Any]:
    """Generalized positions and velocities of a Brax or Playground state."""
    if hasattr(state, "pipeline_state"):
        physics = state.pipeline_state
        return getattr(physics, "qpos", None) if hasattr(physics, "qpos") else physics.q, (
            physics.qvel if hasattr(physics, "qvel") else physics.qd
        )
    return state.data.qpos, state.data.qvel


def _cart_pole(state: Any) -> list[tuple[list[float], list[float], float]]:
    x, angle = float(state.x), float(state.theta)
    return [
        ([-2.4, 2.4], [0, 0], 1),
        ([x - 0.3, x + 0.3], [0, 0], 14),
        ([x, x + 1.2 * np.sin(angle)], [0, 1.2 * np.cos(angle)], 6),
    ]


def _pendulum(state: Any) -> list[tuple[list[float], list[float], float]]:
    angle = float(state.theta)
    return [([0, -1.5 * np.sin(angle)], [0, 1.5 * np.cos(angle)], 10)]


def _acrobot(state: Any) -> list[tuple[list[float], list[float], float]]:
    first, second = float(state.joint_angle1), float(state.joint_angle1) + float(state.joint_angle2)
    x, y = np.sin(first), -np.cos(first)
    return [([-2.2, 2.2], [1, 1], 1), ([0, x], [0, y], 6), ([x, x + np.sin(second)], [y, y - np.cos(second)], 6)]


def _mountain_car(state: Any) -> list[tuple[list[float], list[float], float]]:
    hill = np.linspace(-1.2, 0.6, 60)
    x = float(state.position)
    height = np.sin(3 * np.array([x - 0.05, x + 0.05])) + 0.08
    return [(hill.tolist(), np.sin(3 * hill).tolist(), 1), ([x - 0.05, x + 0.05], height.tolist(), 10)]


CLASSIC: dict[str, Callable[[Any], list[tuple[list[float], list[float], float]]]] = {
    "CartPole-v1": _cart_pole,
    "Pendulum-v1": _pendulum,
    "Acrobot-v1": _acrobot,
    "MountainCar-v0": _mountain_car,
    "MountainCarContinuous-v0": _mountain_car,
}


def _classic(strokes: Callable[[Any], list[tuple[list[float], list[float], float]]]) -> Renderer:
    """A line drawing: `strokes(state)` gives xs, ys and width of each line."""
    import jax
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(4, 3), dpi=80)

    def draw(state: PyTree, timestep: TimeStep) -> np.ndarray:
        del timestep
        axis.clear()
        axis.set_axis_off()
        lines = strokes(jax.tree.map(lambda leaf: np.asarray(leaf)[0], _own_state(state)))
        for xs, ys, width in lines:
            axis.plot(xs, ys, color="#0072B2" if width > 1 else "#999999", linewidth=width, solid_capstyle="round")
        span = 2.5 if len(lines[0][0]) == 2 else 1.3
        axis.set_xlim(-span, span)
        axis.set_ylim(-0.75 * span, 0.75 * span)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]

    return draw
