"""Faces made of numbers, for tests of what never sees a pixel."""

from __future__ import annotations

import numpy as np

from recognition.engine.types import Box, Embedding, Face, FrameAnalysis, Pose, Problem, Quality

BOX = Box(200, 100, 440, 340)
EYE_CORNERS = ((260, 180), (300, 180), (340, 180), (380, 180))


def an_embedding(person: int, *, noise: float = 0.0, seed: int = 0) -> Embedding:
    """A unit vector of 128 numbers; those of different people are about orthogonal."""
    vector = np.random.default_rng(person).normal(size=128)
    vector += noise * np.random.default_rng(1000 + seed).normal(size=128)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def a_face(
    *,
    box: Box = BOX,
    ear: float = 0.3,
    ear_left: float | None = None,
    ear_right: float | None = None,
    nose: float = 1.0,
    yaw: float = 0.0,
    pitch: float = 0.0,
    mouth: float = 0.1,
    problems: tuple[Problem, ...] = (),
    embedding: Embedding | None = None,
) -> Face:
    """``nose`` is the nose's length as a share of the usual one, ``mouth`` its aspect ratio."""
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[36:42], landmarks[42:48] = (280, 180), (360, 180)
    landmarks[36], landmarks[39], landmarks[42], landmarks[45] = EYE_CORNERS
    for step, point in enumerate(range(27, 36)):
        landmarks[point] = (320, 180 + 7.5 * step * nose)
    landmarks[60:65] = [(300 + 10 * step, 260) for step in range(5)]
    landmarks[65:68] = [(330, 260), (320, 260), (310, 260)]
    landmarks[65:68, 1] += 40 * mouth
    return Face(
        box=box,
        landmarks=landmarks,
        pose=Pose(yaw, pitch, 0),
        ear_left=ear if ear_left is None else ear_left,
        ear_right=ear if ear_right is None else ear_right,
        quality=Quality(
            face_height_px=box.height,
            sharpness=100,
            brightness=120,
            contrast=50,
            problems=problems,
        ),
        embedding=embedding,
    )


def an_analysis(*faces: Face) -> FrameAnalysis:
    return FrameAnalysis(width=640, height=480, faces=faces)
