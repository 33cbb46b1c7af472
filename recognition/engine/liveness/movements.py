"""Movements of head and mouth, told from landmarks, relative to where the same face rests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recognition.engine.geometry import mouth_aspect_ratio
from recognition.engine.liveness.actions import Action
from recognition.engine.thresholds import ActionThresholds
from recognition.engine.types import Face


@dataclass(frozen=True, slots=True)
class Posture:
    """Yaw and pitch in degrees with the signs of `Pose`, and the mouth's aspect ratio."""

    yaw: float
    pitch: float
    mouth: float

    @classmethod
    def of(cls, face: Face) -> Self:
        return cls(face.pose.yaw, face.pose.pitch, mouth_aspect_ratio(face.landmarks))


class RestPose:
    """Where one face rests: people do not hold their heads alike, and cameras do not hang alike."""

    def __init__(self, thresholds: ActionThresholds) -> None:
        self._thresholds = thresholds
        self._seen: list[Posture] = []

    def add(self, face: Face) -> None:
        self._seen.append(Posture.of(face))

    @property
    def learned(self) -> bool:
        return len(self._seen) >= self._thresholds.learn_frames

    @property
    def posture(self) -> Posture:
        """The median of what was seen. Raises ``ValueError`` before `learned`."""
        if not self.learned:
            raise ValueError(
                f"got {len(self._seen)} frames, expected {self._thresholds.learn_frames} or more"
            )
        seen = [(one.yaw, one.pitch, one.mouth) for one in self._seen]
        return Posture(*np.median(seen, axis=0).tolist())


@dataclass(frozen=True, slots=True)
class Movement:
    """How far a face is from its rest, each as a share of what is asked of it; signed.

    ``turn`` is positive to the person's own left, which is the right of an image that is not
    mirrored; ``up`` is negative for a head that is lowered.
    """

    turn: float
    up: float
    mouth: float

    @classmethod
    def between(cls, rest: Posture, now: Posture, thresholds: ActionThresholds) -> Self:
        return cls(
            turn=(now.yaw - rest.yaw) / thresholds.turn_degrees,
            up=(now.pitch - rest.pitch) / thresholds.up_degrees,
            mouth=(now.mouth - rest.mouth) / thresholds.mouth_rise,
        )

    def share(self, action: Action) -> float:
        """How far it is towards this action: 0 none of it, from 1 on all of it. Blinks have none.

        >>> Movement(turn=-0.5, up=0.1, mouth=0.0).share(Action.TURN_RIGHT)
        0.5
        """
        return {
            Action.TURN_LEFT: self.turn,
            Action.TURN_RIGHT: -self.turn,
            Action.LOOK_UP: self.up,
            Action.OPEN_MOUTH: self.mouth,
        }.get(action, 0.0)

    @property
    def clearest(self) -> Action:
        """The action that this looks most like."""
        return max(
            (Action.TURN_LEFT, Action.TURN_RIGHT, Action.LOOK_UP, Action.OPEN_MOUTH),
            key=self.share,
        )

    @property
    def head(self) -> float:
        """How far the head alone is from its rest, whichever way."""
        return max(abs(self.turn), abs(self.up))

    @property
    def from_rest(self) -> float:
        """How far head and mouth are from their rest, whichever is further."""
        return max(self.head, self.mouth)
