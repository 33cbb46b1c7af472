"""The border of a phone, a tablet or a sheet of paper: four straight edges around a face."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.types import Box, Image

Floats = npt.NDArray[np.float64]

_CANNY = (50, 120)
#: An edge counts from this share of the face's shorter side on; its dashes may be so far apart.
_LEAST_LENGTH = 0.6
_LARGEST_GAP = 0.1
_VOTES_SHARE = 0.4
#: How far a border may lean, in degrees, and how many edges on each side of the face are tried.
_LARGEST_LEAN = 20.0
_EDGES_A_SIDE = 2
#: How far from an edge its bezel is looked at, in pixels of the reduced picture, and the
#: standard deviation of its light from which on it is none.
_BEZEL_PX = 1.6
_LARGEST_SPREAD = 50.0
_SAMPLES = np.linspace(0.03, 0.97, 40)


def border_cover(small: Image, face: Box, *, scale: float) -> float:
    """How much of the least visible side of a frame about the face is there, 0 to 1.

    ``small`` is the frame's light, ``(h, w)`` uint8, reduced by ``scale``; the face's box is in the
    frame's own pixels. The longest straight edges left and right of the face, above and below
    it are put together to four corners. A bezel or the margin of a sheet is the same all around,
    so the share of edge along the worst side is multiplied by how uniform the pixels just within
    or just outside are; a wall, a door or a window behind somebody is not. The best frame counts;
    0.0 where a side has no edge or a corner lies outside of the picture.
    """
    edges = np.asarray(cv2.Canny(small, *_CANNY), np.uint8)
    box = np.array([face.left, face.top, face.right, face.bottom]) * scale
    sides = _sides(_segments(edges, float(min(box[2] - box[0], box[3] - box[1]))), box)
    corners = _corners(sides, *edges.shape)
    if not len(corners):
        return 0.0
    near = cv2.dilate(edges, np.ones((3, 3), np.uint8)) > 0
    cover = _along(near, corners, outwards_px=0.0).mean(axis=2).min(axis=1)
    beside = [_along(small, corners, outwards_px=away) for away in (_BEZEL_PX, -_BEZEL_PX)]
    spread = np.min([strip.reshape(len(corners), -1).std(axis=1) for strip in beside], axis=0)
    return float(np.max(cover * np.maximum(0.0, 1 - spread / _LARGEST_SPREAD)))


def _segments(edges: Image, face_px: float) -> Floats:
    """Straight edges as x, y, x, y, the longest first, ``(n, 4)``."""
    found = cv2.HoughLinesP(
        edges,
        1,
        math.pi / 90,
        threshold=max(8, int(_VOTES_SHARE * face_px)),
        minLineLength=_LEAST_LENGTH * face_px,
        maxLineGap=max(1.0, _LARGEST_GAP * face_px),
    )
    if found is None:
        return np.empty((0, 4))
    segments = np.asarray(found, np.float64).reshape(-1, 4)
    lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    return segments[np.argsort(-lengths)]


def _sides(segments: Floats, box: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The longest edges left of the face, right of it, above it and below it."""
    left, top, right, bottom = box
    across, down = segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1]
    steep = math.tan(math.radians(90 - _LARGEST_LEAN))
    upright = np.abs(down) >= steep * np.abs(across)
    level = np.abs(across) >= steep * np.abs(down)
    x, y = (segments[:, 0] + segments[:, 2]) / 2, (segments[:, 1] + segments[:, 3]) / 2
    chosen = (
        upright & (x < left),
        upright & (x > right),
        level & (y < top + (bottom - top) / 4),
        level & (y > bottom - (bottom - top) / 8),
    )
    first, second, third, fourth = (segments[side][:_EDGES_A_SIDE] for side in chosen)
    return first, second, third, fourth


def _corners(sides: tuple[Floats, ...], height: int, width: int) -> Floats:
    """Every frame that can be made of the sides, ``(n, 4, 2)``, clockwise from top left."""
    frames = [np.array(list(frame)) for frame in itertools.product(*sides)]
    if not frames:
        return np.empty((0, 4, 2))
    segments = np.stack(frames)
    ones = np.ones((*segments.shape[:2], 1))
    starts = np.concatenate([segments[..., :2], ones], axis=-1)
    ends = np.concatenate([segments[..., 2:], ones], axis=-1)
    lines = np.cross(starts, ends)
    left, right, above, below = (lines[:, side] for side in range(4))
    crossings = np.stack(
        [
            np.cross(*pair)
            for pair in ((left, above), (above, right), (right, below), (below, left))
        ],
        axis=1,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        corners = crossings[..., :2] / crossings[..., 2:]
    last = np.array([width - 1, height - 1]) - _BEZEL_PX
    inside = np.all((corners >= _BEZEL_PX) & (corners <= last), axis=(1, 2))
    return np.asarray(corners[inside], np.float64)


def _along(
    picture: npt.NDArray[np.generic], corners: Floats, *, outwards_px: float
) -> npt.NDArray[np.float64]:
    """What a picture has along the sides of each frame, or just outside, ``(n, 4, samples)``."""
    steps = np.roll(corners, -1, axis=1) - corners
    lengths = np.maximum(np.linalg.norm(steps, axis=-1, keepdims=True), 1e-6)
    outwards = np.stack([steps[..., 1], -steps[..., 0]], axis=-1) / lengths
    places = (
        corners[:, :, None]
        + _SAMPLES[:, None] * steps[:, :, None]
        + outwards_px * outwards[:, :, None]
    )
    x, y = np.moveaxis(np.round(places).astype(int), -1, 0)
    return np.asarray(picture[y, x], np.float64)
