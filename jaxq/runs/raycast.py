"""A software renderer of MuJoCo models: rays cast by MuJoCo itself, for machines without a graphics library."""

from typing import Any

import numpy as np

SKY = (np.array([0.53, 0.68, 0.82]), np.array([0.87, 0.92, 0.96]))  # above and at the horizon
AMBIENT, DIFFUSE = 0.45, 0.55
SHADED = 0.55  # of the light that a shadow leaves
TILE_SHADES = (1.0, 0.82)  # of the squares, a metre wide, that planes are laid with
GROUPS = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # geom groups that MuJoCo draws unless told otherwise


class RayCaster:
    """Draws a model as seen by one of its cameras: flat colours, one light high above what is seen, and shadows.

    Attributes:
      model, data: a `mujoco.MjModel` and its `MjData`, which is drawn as it is.
      camera: number of the camera; -1 for MuJoCo's free camera, on the whole model.
      height, width: of the pictures, in pixels.
      samples: rays of a pixel, along each side.
    """

    def __init__(self, model: Any, data: Any, camera: int = -1, height: int = 240, width: int = 320, samples: int = 2):
        self.model, self.data, self.camera = model, data, camera
        self.height, self.width, self.samples = height, width, samples
        field = model.vis.global_.fovy if camera < 0 else model.cam_fovy[camera]
        rows, columns = height * samples, width * samples
        half = np.tan(np.deg2rad(float(field)) / 2)
        up = half * (1 - (2 * np.arange(rows) + 1) / rows)
        right = half * width / height * ((2 * np.arange(columns) + 1) / columns - 1)
        x, y = np.meshgrid(right, up)
        # MuJoCo's cameras look along their negative z.
        rays = np.stack([x, y, -np.ones_like(x)], -1).reshape(-1, 3)
        self._rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        materials = model.geom_matid
        self._colours = model.geom_rgba[:, :3].astype(float)
        painted = materials >= 0
        self._colours[painted] = model.mat_rgba[materials[painted], :3]
        self._planes = model.geom_type == 0  # mjGEOM_PLANE

    def draw(self) -> np.ndarray:
        """The picture of `data`, [height, width, 3] uint8; `mujoco.mj_forward` must have been called on it."""
        origin, axes = self._pose()
        rays = self._rays @ axes.T
        geoms, distances, normals = self._cast(origin, rays)
        hit = geoms >= 0
        above = np.clip(rays[:, 2:] * 2, 0, 1)
        colours = above * SKY[0] + (1 - above) * SKY[1]
        points = origin + distances[hit, None] * rays[hit]
        colours[hit] = self._shade(geoms[hit], points, normals[hit], rays[hit])
        picture = colours.reshape(self.height, self.samples, self.width, self.samples, 3).mean((1, 3))
        return (255 * np.clip(picture, 0, 1)).astype(np.uint8)

    def _pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the camera is, [3], and its axes as columns, [3, 3]."""
        if self.camera >= 0:
            return self.data.cam_xpos[self.camera], self.data.cam_xmat[self.camera].reshape(3, 3)
        azimuth, elevation = np.deg2rad([self.model.vis.global_.azimuth, self.model.vis.global_.elevation])
        forward = np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
        origin = self.model.stat.center - 1.5 * self.model.stat.extent * forward
        return origin, np.stack([right, np.cross(right, forward), -forward], -1)

    def _cast(self, origin: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What rays [R, 3] from one point meet: geoms [R], -1 for none; distances [R] in rays; and normals [R, 3]."""
        import mujoco

        count = len(rays)
        geoms, distances, normals = np.full(count, -1, np.int32), np.zeros(count), np.zeros(3 * count)
        mujoco.mj_multiRay(
            self.model, self.data, np.ascontiguousarray(origin), np.ascontiguousarray(rays.ravel()), GROUPS, True, -1,
            geoms, distances, normals, count, mujoco.mjMAXVAL,
        )  # fmt: skip
        return geoms, distances, normals.reshape(-1, 3)

    def _shade(self, geoms: np.ndarray, points: np.ndarray, normals: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Colours [H, 3] of points on geoms, which rays met from one side."""
        colours = self._colours[geoms].copy()
        tiles = np.floor(points[:, :2]).astype(int).sum(-1) % 2
        plane = self._planes[geoms]
        colours[plane] *= np.array(TILE_SHADES)[tiles[plane], None]
        # Of a surface seen from behind, the other side.
        normals = np.where((normals * rays).sum(-1, keepdims=True) > 0, -normals, normals)
        extent = self.model.stat.extent
        light = self.data.subtree_com[0] + extent * np.array([-1.0, -1.5, 4.0])
        towards = light - points
        facing = (normals * towards).sum(-1) / np.linalg.norm(towards, axis=-1)
        _, reached, _ = self._cast(light, points - light)
        shaded = reached < 1 - 1e-3 * extent
        lit = AMBIENT + DIFFUSE * np.clip(facing, 0, 1) * np.where(shaded, 1 - SHADED, 1.0)
        return colours * lit[:, None]
