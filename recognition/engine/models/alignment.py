"""Crops of a face in which eyes, nose and mouth lie where a network expects them."""

from __future__ import annotations

import cv2
import dlib
import numpy as np
import numpy.typing as npt

from recognition.engine.geometry import LEFT_EYE, RIGHT_EYE
from recognition.engine.types import Image, Points

_NOSE_TIP, _MOUTH_RIGHT, _MOUTH_LEFT = 30, 48, 54
_CHIP_PADDING = 0.25

#: In a crop of side 1: the right and the left eye, the tip of the nose, the right and the left
#: corner of the mouth. InsightFace's (`face_align.arcface_dst` over 112 px), which OpenCV's
#: FaceRecognizerSF has as well.
ARCFACE_POINTS: Points = np.divide(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ],
    112,
    dtype=np.float32,
)
#: A whole face as DeepFace cuts it out: the eyes level, the detector's rectangle in the middle,
#: filled up to a square. Medians of YuNet's rectangles, which are like RetinaFace's since both were
#: trained on WIDER FACE, on 479 pictures of LFW; the same on both sides.
WHOLE_FACE_POINTS: Points = np.array(
    [
        (0.3306, 0.3816),
        (0.6694, 0.3816),
        (0.5, 0.5678),
        (0.3461, 0.7435),
        (0.6539, 0.7435),
    ],
    np.float32,
)


def aligned_crop(
    image: Image, landmarks: Points, points: Points, *, width: int, height: int
) -> Image:
    """``(height, width, 3)`` uint8 RGB; ``(h, w, 3)`` RGB and ``(68, 2)`` landmarks in.

    ``points``, ``(5, 2)`` in a crop of side 1, are scaled by the longer side and centred.
    """
    side = max(width, height)
    target = points * side + np.array([(width - side) / 2, (height - side) / 2])
    return np.asarray(
        cv2.warpAffine(image, similarity(five_points(landmarks), target), (width, height)), np.uint8
    )


def five_points(landmarks: Points) -> Points:
    """``(5, 2)`` in the order of ``ARCFACE_POINTS``, of ``(68, 2)``."""
    return np.array(
        [
            landmarks[RIGHT_EYE].mean(axis=0),
            landmarks[LEFT_EYE].mean(axis=0),
            landmarks[_NOSE_TIP],
            landmarks[_MOUTH_RIGHT],
            landmarks[_MOUTH_LEFT],
        ],
        np.float32,
    )


def similarity(points: Points, target: Points) -> npt.NDArray[np.float64]:
    """``(2, 3)``: the turn, scale and shift that bring points nearest to others, least squares.

    Umeyama 1991 in the plane, where a complex factor is turn and scale at once. Points that fell
    together are not scaled.
    """
    before, after = (p.astype(np.float64) @ np.array([1, 1j]) for p in (points, target))
    spread = before - before.mean()
    energy = np.vdot(spread, spread).real
    factor = np.vdot(spread, after - after.mean()) / energy if energy > 0 else 1 + 0j
    shift = after.mean() - factor * before.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def dlib_chip(image: Image, landmarks: Points, *, side_px: int) -> Image:
    """``(side_px, side_px, 3)`` uint8 RGB: dlib's own alignment of ``(68, 2)`` landmarks."""
    # The alignment uses the points only; the rectangle is not looked at.
    shape = dlib.full_object_detection(
        dlib.rectangle(0, 0, 1, 1),
        [dlib.point(*point) for point in landmarks.astype(int).tolist()],
    )
    return np.asarray(
        dlib.get_face_chip(np.ascontiguousarray(image), shape, side_px, _CHIP_PADDING), np.uint8
    )
