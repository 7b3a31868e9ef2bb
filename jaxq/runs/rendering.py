"""Pictures of environments: RGB images [H, W, 3] uint8 of a state and TimeStep, for every backend that has them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxq.envs.base import Batched, Environment
from jaxq.envs.brax_backend import BraxEnvironment
from jaxq.envs.envpool_backend import EnvPoolEnvironment
from jaxq.envs.frame_stack import FrameStack
from jaxq.envs.stock import WithStock
from jaxq.errors import InputError, require
from jaxq.types import PyTree, TimeStep

Renderer = Callable[[PyTree, TimeStep], np.ndarray]

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


def _envpool(environment: EnvPoolEnvironment) -> Renderer:
    def draw(state: PyTree, timestep: TimeStep) -> np.ndarray:
        del state, timestep
        return np.asarray(environment.pool.render())[0]

    return draw


def _mujoco(environment: Batched) -> Renderer:
    import jax
    import mujoco

    inner = environment.single.environment  # type: ignore[attr-defined]
    model = inner.mj_model if hasattr(inner, "mj_model") else inner.sys.mj_model
    data = mujoco.MjData(model)
    try:
        renderer = mujoco.Renderer(model, 240, 320)
    except Exception as error:  # the graphics libraries fail each in their own way
        raise InputError(f"rendering {environment.name} needs EGL or OSMesa (MUJOCO_GL=osmesa): {error}") from None
    camera: Any = "track" if any(model.cam(i).name == "track" for i in range(model.ncam)) else -1
    camera = 0 if camera == -1 and model.ncam else camera

    def draw(state: PyTree, timestep: TimeStep) -> np.ndarray:
        del timestep
        physics = jax.tree.map(lambda leaf: np.asarray(leaf[0]), _physics(state.inner))
        data.qpos[:], data.qvel[:] = physics
        mujoco.mj_forward(model, data)
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
        lines = strokes(jax.tree.map(lambda leaf: np.asarray(leaf)[0], state.inner))
        for xs, ys, width in lines:
            axis.plot(xs, ys, color="#0072B2" if width > 1 else "#999999", linewidth=width, solid_capstyle="round")
        span = 2.5 if len(lines[0][0]) == 2 else 1.3
        axis.set_xlim(-span, span)
        axis.set_ylim(-0.75 * span, 0.75 * span)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]

    return draw
