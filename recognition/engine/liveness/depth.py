"""Whether a face shows depth when it turns; see `planarity` for the figures."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

from recognition.engine.liveness.findings import Refusal
from recognition.engine.liveness.observation import Measure, Observation, at_least
from recognition.engine.liveness.planarity import homography_residual, motion
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import Points

_REST_FRAMES = 5


class Depth:
    """Compares the face at rest with the face turned.

    A turn is seen in the pose that the landmarks have, or in how much shorter the face became.
    A head that turns by so much shows its depth; a picture that is tilted or swung does not.
    """

    def __init__(self, limits: PassiveThresholds) -> None:
        self._limits = limits
        self._rest: deque[Points] = deque(maxlen=_REST_FRAMES)
        self._at_rest: tuple[float, float] = (0.0, 0.0)
        self._depths: list[float] = []
        self._residuals: list[float] = []

    def add(self, seen: Observation) -> None:
        if len(self._rest) < _REST_FRAMES:
            if not seen.eyes_closed:
                self._learn(seen)
            return
        rest = np.mean(self._rest, axis=0)
        pose = seen.face.pose
        degrees = math.hypot(pose.yaw - self._at_rest[0], pose.pitch - self._at_rest[1])
        turned = math.sin(math.radians(min(90.0, degrees)))
        moved = motion(rest, seen.face.landmarks)
        if moved is None:
            return
        if moved.foreshortening < self._limits.foreshortened:
            turned = max(turned, math.sqrt(1 - moved.foreshortening**2))
        if turned >= self._limits.turned:
            self._depths.append(moved.parallax / turned)
            self._residuals.append(homography_residual(rest, seen.face.landmarks) / turned)

    def measures(self) -> Iterator[Measure]:
        limits = self._limits
        if len(self._depths) >= limits.turned_frames:
            depth, residual = float(np.median(self._depths)), float(np.median(self._residuals))
            yield at_least(limits.least_depth, Refusal.FLAT, "depth", depth)
            yield at_least(limits.least_residual, Refusal.FLAT, "plane_residual", residual)

    def _learn(self, seen: Observation) -> None:
        place = seen.place
        self._rest.append(place.in_face(seen.face.landmarks).astype(np.float32))
        pose, frames = seen.face.pose, len(self._rest)
        self._at_rest = (
            self._at_rest[0] + (pose.yaw - self._at_rest[0]) / frames,
            self._at_rest[1] + (pose.pitch - self._at_rest[1]) / frames,
        )
