"""Whose pictures can be made into clips."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recognition.engine.analysis import Analyser
from recognition.engine.attacks.camera import encoded
from recognition.engine.attacks.portraits import Portrait, surrounded, without_black_corners
from recognition.engine.synthesis import AnimatedPortrait
from recognition.engine.thresholds import BlinkThresholds
from recognition.engine.types import Embedding, Face, FrameRequest, Image

# Beyond these a turn to the further side goes out of what the landmarks can follow.
_MOST_YAW_DEGREES = 15.0
_MOST_PITCH_DEGREES = 15.0
_QUALITY = 90


class Unsuitable(StrEnum):
    """Why no clip is made of a picture. Values are stable: reports name them."""

    NO_SINGLE_FACE = "no_single_face"
    TURNED = "turned"
    POOR_QUALITY = "poor_quality"
    LIDS_NOT_SEEN = "lids_not_seen"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody's picture and its embedding, ``(d,)``."""

    portrait: Portrait
    embedding: Embedding


def candidate(image: Image, analyser: Analyser) -> Candidate | Unsuitable:
    """What can be made of a picture, ``(h, w, 3)`` uint8 RGB, or why nothing can.

    A clip is only worth something where the kiosk takes the picture's face at rest, and sees the
    lids that are drawn over its eyes: in small pictures landmarks often do not.
    """
    face = analyser.analyse_photo(image).main_face
    if face is None or face.embedding is None:
        return Unsuitable.NO_SINGLE_FACE
    if abs(face.pose.yaw) > _MOST_YAW_DEGREES or abs(face.pose.pitch) > _MOST_PITCH_DEGREES:
        return Unsuitable.TURNED
    portrait = Portrait(image, face.landmarks)
    at_rest = surrounded(without_black_corners(portrait))
    animated = AnimatedPortrait(at_rest.image, landmarks=at_rest.landmarks)
    opened, closed = (_seen(animated, analyser, closure) for closure in (0.0, 1.0))
    if opened is None or not opened.quality.usable:
        return Unsuitable.POOR_QUALITY
    if closed is None or not _lids_seen(opened, closed):
        return Unsuitable.LIDS_NOT_SEEN
    return Candidate(portrait, face.embedding)


def _seen(animated: AnimatedPortrait, analyser: Analyser, closure: float) -> Face | None:
    jpeg = encoded(animated.frame(0.0, closure=closure), _QUALITY)
    return analyser.analyse_frame(jpeg, FrameRequest()).main_face


def _lids_seen(opened: Face, closed: Face) -> bool:
    limits = BlinkThresholds()
    left, right = closed.ear_left / opened.ear_left, closed.ear_right / opened.ear_right
    return max(left, right) < limits.closed_ratio and (left + right) / 2 < limits.deepest_ratio
