"""Paper and panes before a camera: where a flat or a bent sheet is seen.

A sheet's own coordinates are pixels of its picture, from its middle; the camera looks along z and
is ``CAMERA_DISTANCE`` heights of the frame away, so that a sheet at rest is seen at its own size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.types import Image

Floats = npt.NDArray[np.float64]

CAMERA_DISTANCE = 1.6  # about 40 cm, with a frame that is 25 cm high there
_CELL_PX = 8
_FLAT_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class Placement:
    """How a sheet is held: degrees as in `types.Pose`, and pixels right, down and away."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    right: float = 0.0
    down: float = 0.0
    away: float = 0.0

    def rotation(self) -> Floats:
        yaw, pitch, roll = (math.radians(angle) for angle in (self.yaw, self.pitch, self.roll))
        turns = [[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]]
        nods = [
            [1, 0, 0],
            [0, math.cos(pitch), math.sin(pitch)],
            [0, -math.sin(pitch), math.cos(pitch)],
        ]
        leans = [
            [math.cos(roll), -math.sin(roll), 0],
            [math.sin(roll), math.cos(roll), 0],
            [0, 0, 1],
        ]
        return np.array(turns) @ np.array(nods) @ np.array(leans)


def homography(
    placement: Placement, *, picture_size: tuple[int, int], frame_size: tuple[int, int]
) -> Floats:
    """``(3, 3)``, from pixels of a flat sheet's picture to those of the frame; sizes are (w, h)."""
    distance = CAMERA_DISTANCE * frame_size[1]
    rotation = placement.rotation()
    shift = np.array([placement.right, placement.down, distance + placement.away])
    lens = np.array([[distance, 0, frame_size[0] / 2], [0, distance, frame_size[1] / 2], [0, 0, 1]])
    from_middle = np.array([[1, 0, -picture_size[0] / 2], [0, 1, -picture_size[1] / 2], [0, 0, 1]])
    seen = lens @ np.column_stack([rotation[:, 0], rotation[:, 1], shift]) @ from_middle
    return np.asarray(seen / seen[2, 2], np.float64)


def flat_sheet(picture: Image, placement: Placement, behind: Image) -> Image:
    """The sheet before what is behind it, which is a frame; an exact homography of ``picture``."""
    height, width = behind.shape[:2]
    seen = homography(
        placement, picture_size=(picture.shape[1], picture.shape[0]), frame_size=(width, height)
    )
    return np.asarray(
        cv2.warpPerspective(
            picture,
            seen,
            (width, height),
            dst=behind.copy(),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        ),
        np.uint8,
    )


def bent_sheet(
    picture: Image, placement: Placement, behind: Image, *, curvature: float, upright: bool = True
) -> Image:
    """The sheet bent around a cylinder of radius 1 / ``curvature`` pixels, its sides going back.

    The cylinder's axis is the sheet's vertical where ``upright``, else its horizontal.
    """
    if curvature < _FLAT_BELOW:
        return flat_sheet(picture, placement, behind)
    height, width = behind.shape[:2]
    cells = -(-height // _CELL_PX), -(-width // _CELL_PX)
    ys, xs = ((np.arange(-1, count + 1) + 0.5) * _CELL_PX - 0.5 for count in cells)
    points = np.stack(np.meshgrid(xs, ys), axis=-1)
    coarse = _on_cylinder(points, placement, (width, height), 1 / curvature, upright=upright)
    coarse += np.array([picture.shape[1], picture.shape[0]]) / 2
    fine = cv2.resize(coarse.astype(np.float32), None, fx=_CELL_PX, fy=_CELL_PX)
    inside = fine[_CELL_PX : _CELL_PX + height, _CELL_PX : _CELL_PX + width]
    return np.asarray(
        cv2.remap(
            picture,
            inside[..., 0],
            inside[..., 1],
            cv2.INTER_LINEAR,
            dst=behind.copy(),
            borderMode=cv2.BORDER_TRANSPARENT,
        ),
        np.uint8,
    )


def _on_cylinder(
    points: Floats,
    placement: Placement,
    frame_size: tuple[int, int],
    radius: float,
    *,
    upright: bool,
) -> Floats:
    """Where on the sheet, unrolled, the rays through these pixels meet it: ``(h, w, 2)``."""
    distance = CAMERA_DISTANCE * frame_size[1]
    middle = np.array(frame_size) / 2
    rays = np.concatenate([(points - middle) / distance, np.ones((*points.shape[:2], 1))], axis=-1)
    shift = np.array([placement.right, placement.down, distance + placement.away])
    rotation = placement.rotation()
    along, start = rays @ rotation, -shift @ rotation
    bent, straight = (0, 1) if upright else (1, 0)
    # The cylinder through the sheet's middle: bent² + (z - radius)² = radius².
    a = along[..., bent] ** 2 + along[..., 2] ** 2
    b = along[..., bent] * start[bent] + along[..., 2] * (start[2] - radius)
    c = start[bent] ** 2 + (start[2] - radius) ** 2 - radius**2
    inside_root = b * b - a * c
    reach = (-b - np.sqrt(np.maximum(inside_root, 0))) / a
    met = reach[..., None] * along + start
    unrolled = np.empty((*points.shape[:2], 2))
    unrolled[..., bent] = radius * np.arctan2(met[..., bent], radius - met[..., 2])
    unrolled[..., straight] = met[..., straight]
    unrolled[inside_root <= 0] = 1e5
    return unrolled
