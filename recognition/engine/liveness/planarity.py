"""Whether the points of a face move as those of a head, or as those of a picture of one.

When a flat picture is tilted, its points move by a homography, and when it is bent as well, nearly
by a smooth surface's parallax. A head's nose, cheeks and temples lie at depths of their own: as it
turns, they pass each other. Both are measured between the face at rest and the face turned.

Landmarks are ``(68, 2)`` in iBUG 300-W order. All lengths are in eye distances: from outer corner
to outer corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.geometry import LANDMARK_DEPTHS
from recognition.engine.liveness.alignment import placement
from recognition.engine.types import Points

Floats = npt.NDArray[np.float64]

#: Brows, nose, eye corners, upper lip: neither lids nor lower lip, which move by themselves, nor
#: the outline of cheeks and jaw, which is another part of the head after a turn.
FIRM_POINTS = (*range(17, 36), 36, 39, 42, 45, 48, 50, 51, 52, 54)
_FIRM_INDEX = np.array(FIRM_POINTS)
_DEPTHS = LANDMARK_DEPTHS[_FIRM_INDEX] / 100


@dataclass(frozen=True, slots=True)
class Motion:
    """How a face moved from rest, apart from shifts, leaning and growing.

    ``parallax`` is how far points at the head's own depths moved against each other, per depth:
    the sine of the turn for a head, 0 for anything flat or smoothly bent. ``foreshortening`` is
    how much shorter the face became one way than the other: the cosine of the turn, for a picture
    too.
    """

    parallax: float
    foreshortening: float


def motion(rest: Points, moved: Points) -> Motion | None:
    """The motion between two frames of one face, ``(68, 2)`` each.

    Fits ``moved = affine(x, y) + quadratic(x, y) + parallax * depth`` by least squares, where
    ``depth`` is `geometry.LANDMARK_DEPTHS`: what a tilt, a bend and perspective do to a sheet is
    taken up by the first two. None where landmarks fell together.
    """
    first, second = _firm_places(rest), _firm_places(moved)
    if first is None or second is None:
        return None
    x, y = first.T
    affine = np.column_stack([np.ones_like(x), x, y])
    terms = np.column_stack([affine, x * x, x * y, y * y, _DEPTHS])
    shape = np.linalg.lstsq(affine, second, rcond=None)[0][1:]
    parallax = np.linalg.lstsq(terms, second, rcond=None)[0][-1]
    larger, smaller = np.linalg.svd(shape, compute_uv=False).tolist()
    if larger <= 0:
        return None
    return Motion(float(np.linalg.norm(parallax)) / larger, smaller / larger)


def homography_residual(rest: Points, moved: Points) -> float:
    """How far the firm points lie from where the best homography brings them, root mean square.

    Direct linear transform (Hartley & Zisserman 2004, algorithm 4.2) on normalised points: 0 for a
    flat picture however it is tilted. 0.0 too where landmarks fell together.
    """
    first, second = _firm_places(rest), _firm_places(moved)
    if first is None or second is None:
        return 0.0
    (x, y), (u, v) = first.T, second.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate(
        [
            np.column_stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u]),
            np.column_stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v]),
        ]
    )
    homography = np.linalg.svd(rows)[2][-1].reshape(3, 3)
    mapped = np.column_stack([x, y, one]) @ homography.T
    distance = mapped[:, :2] / mapped[:, 2:] - second
    return float(np.sqrt(np.mean(np.sum(distance**2, axis=1))))


def _firm_places(landmarks: Points) -> Floats | None:
    place = placement(landmarks)
    return place.in_face(landmarks[_FIRM_INDEX]) / 100 if place else None
