"""Pictures of MuJoCo's models by casting rays, against geometry and against MuJoCo's own renderer."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from jaxq import envs
from jaxq.envs.base import BatchedState, PooledState
from jaxq.runs import rendering
from jaxq.runs.raycast import RayCaster

GRAPHICS = rendering.graphics()  # before MuJoCo is imported
mujoco = pytest.importorskip("mujoco")

# A camera at (0, -4, 1) that looks along +y; a red ball, half of it behind a green box, over a floor.
SCENE = """
<mujoco>
  <statistic center="0 0 0.5" extent="2"/>
  <worldbody>
    <camera name="front" pos="0 -4 1" xyaxes="1 0 0 0 0 1" fovy="50"/>
    <geom type="plane" size="0 0 1" rgba="0.5 0.5 0.5 1"/>
    <body pos="0 0 1"><freejoint/><geom type="sphere" size="0.5" rgba="1 0 0 1"/></body>
    <geom type="box" pos="0.5 -1 1" size="0.5 0.05 1" rgba="0 1 0 1"/>
  </worldbody>
</mujoco>
"""
HEIGHT, WIDTH = 60, 80


@pytest.fixture
def scene():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def rays():
    """[H, W, 3] through the middles of pixels, in the world: x to the right, y forward, z up."""
    half = np.tan(np.deg2rad(25))
    z = half * (1 - (2 * np.arange(HEIGHT) + 1) / HEIGHT)
    x = half * WIDTH / HEIGHT * ((2 * np.arange(WIDTH) + 1) / WIDTH - 1)
    return np.stack(np.broadcast_arrays(x[None, :], 1.0, z[:, None]), -1)


def test_pixels_show_what_their_rays_meet_first(scene):
    picture = RayCaster(*scene, 0, HEIGHT, WIDTH, samples=1).draw().astype(int)
    red = (picture[..., 0] > 50) & (picture[..., 1] == 0)
    green = (picture[..., 1] > 50) & (picture[..., 0] == 0)

    direction = rays()
    distance = np.linalg.norm(np.cross(direction, np.array([0.0, 4.0, 0.0])), axis=-1)
    distance /= np.linalg.norm(direction, axis=-1)  # of a ray from the ball's middle
    at_box = direction * (3 - 0.05)
    box = (np.abs(at_box[..., 0] - 0.5) < 0.5) & (np.abs(at_box[..., 2]) < 1)
    np.testing.assert_array_equal(red, (distance < 0.5) & ~box)
    # Of the box also its left side is seen, a column wide.
    assert (green & ~box).sum() <= HEIGHT
    assert not (box & ~green).any()


def test_what_moves_is_drawn_where_it_is(scene):
    model, data = scene
    caster = RayCaster(model, data, 0, HEIGHT, WIDTH, samples=1)
    data.qpos[:3] = (-1.0, 0.0, 1.0)
    mujoco.mj_forward(model, data)
    picture = caster.draw().astype(int)
    columns = np.nonzero(((picture[..., 0] > 50) & (picture[..., 1] == 0)).any(0))[0]
    focal = HEIGHT / 2 / np.tan(np.deg2rad(25))
    assert columns.mean() + 0.5 == pytest.approx(WIDTH / 2 - focal / 4, abs=1)


def test_the_free_camera_sees_the_model_whole_and_upright(scene):
    picture = RayCaster(*scene, -1, HEIGHT, WIDTH).draw().astype(int)
    red = (picture[..., 0] > 1.5 * picture[..., 1]) & (picture[..., 0] > 50)
    rows, columns = np.nonzero(red)
    assert rows.min() > 0
    assert rows.max() < HEIGHT - 1
    assert abs(columns.mean() - WIDTH / 2) < WIDTH / 6


def drawn_by_mujoco(scene):
    return not isinstance(getattr(rendering.drawer(*scene, 0), "__self__", None), RayCaster)


@pytest.mark.parametrize("camera", [-1, 0])
def test_shapes_are_where_mujoco_draws_them(scene, camera):
    model, data = scene
    if GRAPHICS is None or not drawn_by_mujoco(scene):
        pytest.skip("MuJoCo cannot draw here")
    renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    renderer.enable_segmentation_rendering()
    renderer.update_scene(data, camera=camera)
    expected = renderer.render()[..., 0]
    caster = RayCaster(model, data, camera, HEIGHT, WIDTH, samples=1)
    origin, axes = caster._pose()
    seen, _, _ = caster._cast(origin, caster._rays @ axes.T)
    # Edges fall on one side of a pixel or the other.
    assert np.mean(seen.reshape(HEIGHT, WIDTH) == expected) > 0.98


@pytest.mark.parametrize("resets", ["full", "pool"])
def test_brax_s_robots_are_drawn_whichever_way_their_episodes_begin(resets):
    """Of thousands episodes begin from a pool of first states, which the state of one of them still has."""
    pytest.importorskip("brax")
    environment = envs.make("brax/inverted_pendulum", 2, resets=resets).remade(1)
    physics = SimpleNamespace(q=np.array([[0.3, 0.1]]), qd=np.zeros((1, 2)))
    none = np.zeros(1)
    state = BatchedState(SimpleNamespace(pipeline_state=physics), none, none, none, none)
    if resets == "pool":
        state = PooledState(state, none, none, none)
    draw, rate = rendering.renderer_for(environment)
    picture = np.array(draw(state, None))
    assert (picture.shape, picture.dtype) == ((rendering.HEIGHT, rendering.WIDTH, 3), np.uint8)
    assert rate == pytest.approx(25.0)  # four steps of 0.01 seconds
    assert picture.std() > 5
    physics.q[0, 0] = -0.5
    assert (draw(state, None) != picture).any()


@pytest.mark.skipif(GRAPHICS is None, reason="no graphics library")
def test_a_pool_s_robots_are_drawn_and_where_that_is_not_possible_it_is_said():
    """EnvPool looks for a graphics library among what was loaded before it, and else ends the process."""
    program = """
import sys
import jax
from jaxq import envs
from jaxq.errors import InputError
from jaxq.runs import rendering
if sys.argv[1] == "first":
    rendering.graphics()
environment = envs.make("envpool/InvertedPendulum-v4", 1, render_mode="rgb_array")
try:
    draw, _ = rendering.renderer_for(environment)
except InputError as error:
    print(error)
else:
    picture = draw(*environment.reset(jax.random.split(jax.random.key(0), 1)))
    assert picture.ndim == 3 and picture.std() > 5
    print("drawn")
"""
    for order, said in (("first", "drawn"), ("late", "record it in one of its own (jaxq video)")):
        done = subprocess.run([sys.executable, "-c", program, order], capture_output=True, text=True, check=False)
        assert said in done.stdout, done.stderr


def test_without_a_graphics_library_rays_are_cast(scene, monkeypatch):
    def missing(*args):
        raise RuntimeError("no EGL")

    monkeypatch.setattr(mujoco, "Renderer", missing)
    picture = rendering.drawer(*scene, 0)()
    assert picture.shape == (rendering.HEIGHT, rendering.WIDTH, 3)
    assert picture.std() > 10
