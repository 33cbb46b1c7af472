"""Heads, sheets and frames made of numbers, for the checks that follow a face over time."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import numpy as np

from recognition.engine.geometry import LANDMARK_DEPTHS, eye_aspect_ratios, head_pose
from recognition.engine.types import Box, Face, FrameAnalysis, FrameCues, Points, Quality

_EYE_CORNERS_APART_PX = 100.0
_MIDDLE_PX = (320.0, 240.0)

# The mean of dlib's landmarks on 290 pictures of LFW that look into the camera, made symmetric, in
# hundredths of the distance between the outer eye corners.
_RIGHT_JAW = (
    *[(-83.1, -36.3), (-81.9, -14.0), (-79.6, 8.1), (-76.1, 29.9), (-68.8, 50.5)],
    *[(-56.8, 68.8), (-40.6, 83.8), (-21.7, 95.7)],
)
_RIGHT_BROW = ((-67.0, -50.6), (-57.2, -60.5), (-42.7, -63.9), (-27.8, -61.9), (-13.7, -56.4))
_NOSE = (
    *[(0.0, -40.4), (0.0, -26.1), (0.0, -11.9), (0.0, 2.8)],
    *[(-16.4, 12.2), (-8.5, 15.1), (0.0, 17.6), (8.5, 15.1), (16.4, 12.2)],
)
_RIGHT_EYE = (
    *[(-49.8, -37.5), (-41.0, -42.3), (-30.8, -42.2)],
    *[(-21.8, -36.0), (-31.4, -34.1), (-41.5, -34.2)],
)
_LEFT_EYE = tuple((-x, y) for x, y in (_RIGHT_EYE[i] for i in (3, 2, 1, 0, 5, 4)))
_OUTER_LIPS = (
    *[(-32.2, 40.6), (-20.7, 34.9), (-9.0, 32.5), (0.0, 34.4), (9.0, 32.5), (20.7, 34.9)],
    *[(32.2, 40.6), (21.2, 52.0), (9.6, 56.9), (0.0, 57.8), (-9.6, 56.9), (-21.2, 52.0)],
)
_INNER_LIPS = (
    *[(-27.2, 41.0), (-9.0, 39.1), (0.0, 40.0), (9.0, 39.1)],
    *[(27.2, 41.0), (9.1, 46.4), (0.0, 47.6), (-9.1, 46.4)],
)
_FRONT = np.array(
    [
        *_RIGHT_JAW,
        (0.0, 99.2),
        *[(-x, y) for x, y in reversed(_RIGHT_JAW)],
        *_RIGHT_BROW,
        *[(-x, y) for x, y in reversed(_RIGHT_BROW)],
        *_NOSE,
        *_RIGHT_EYE,
        *_LEFT_EYE,
        *_OUTER_LIPS,
        *_INNER_LIPS,
    ]
)
HEAD = np.column_stack([_FRONT, LANDMARK_DEPTHS])
PICTURE = np.column_stack([_FRONT, np.zeros(68)])


def bent(radius: float) -> np.ndarray:
    """A picture around an upright cylinder of that radius, in hundredths; ``(68, 3)``."""
    angle = _FRONT[:, 0] / radius
    depth = radius * (1 - np.cos(angle))
    return np.column_stack([radius * np.sin(angle), _FRONT[:, 1], depth])


def seen(
    points: np.ndarray,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    right_px: float = 0.0,
    noise_px: float = 0.0,
    seed: int = 0,
) -> Points:
    """Landmarks ``(68, 2)`` of a head or a picture, turned by degrees with the signs of `Pose`."""
    turn, nod = math.radians(yaw), math.radians(pitch)
    turns = np.array(
        [
            [math.cos(turn), 0, -math.sin(turn)],
            [0, 1, 0],
            [math.sin(turn), 0, math.cos(turn)],
        ]
    )
    nods = np.array(
        [
            [1, 0, 0],
            [0, math.cos(nod), math.sin(nod)],
            [0, -math.sin(nod), math.cos(nod)],
        ]
    )
    flat = (points @ (turns @ nods).T)[:, :2] * _EYE_CORNERS_APART_PX / 100
    trembling = np.random.default_rng(seed).normal(0, noise_px or 1e-9, flat.shape)
    return (flat + trembling + _MIDDLE_PX + np.array([right_px, 0.0])).astype(np.float32)


def face_of(landmarks: Points) -> Face:
    """A good face with these landmarks, and the pose and eyes that they have."""
    left, top = landmarks.min(axis=0).astype(int).tolist()
    right, bottom = landmarks.max(axis=0).astype(int).tolist()
    ear_left, ear_right = eye_aspect_ratios(landmarks)
    return Face(
        box=Box(left, top, right, bottom),
        landmarks=landmarks,
        pose=head_pose(landmarks),
        ear_left=ear_left,
        ear_right=ear_right,
        quality=Quality(face_height_px=190, sharpness=100, brightness=120, contrast=60),
    )


_digests = count(1)


def cues(*, seed: int = 0, **changed: object) -> FrameCues:
    """What an ordinary camera gives: textures by ``seed``, nothing that tells of a screen."""
    texture = np.random.default_rng(seed)
    usual = FrameCues(
        digest=next(_digests),
        thumbnail=texture.integers(60, 200, (24, 32)).astype(np.uint8),
        face=texture.integers(60, 200, (24, 24)).astype(np.uint8),
        eyes=np.full((2, 24, 32), 128, np.uint8),
        moire=0.5,
        border_cover=0.0,
    )
    return replace(usual, **changed)  # type: ignore[arg-type]


def analysis(face: Face, frame_cues: FrameCues | None = None) -> FrameAnalysis:
    return FrameAnalysis(width=640, height=480, faces=(face,), cues=frame_cues)
