"""Whose pictures can be made into clips."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recognition.engine.analysis import Analyser
from recognition.engine.attacks.camera import encoded
from recognition.engine.attacks.portraits import Portrait, surrounded, without_black_corners
from recognition.engine.liveness.actions import Action
from recognition.engine.liveness.movements import Movement, Posture
from recognition.engine.synthesis import AnimatedPortrait
from recognition.engine.thresholds import ActionThresholds, BlinkThresholds, DialoguePolicy
from recognition.engine.types import Embedding, Face, FrameAnalysis, FrameRequest, Image

# Beyond these a turn to the further side goes out of what the landmarks can follow.
_MOST_YAW_DEGREES = 15.0
_MOST_PITCH_DEGREES = 15.0
_QUALITY = 90
#: Moves of the usual size, as `AnimatedPortrait.frame` takes them.
_MOVED = {
    Action.TURN_LEFT: {"yaw": 24.0},
    Action.TURN_RIGHT: {"yaw": -24.0},
    Action.LOOK_UP: {"pitch": 16.0},
    Action.OPEN_MOUTH: {"mouth": 0.7},
}


class Unsuitable(StrEnum):
    """Why no clip is made of a picture. Values are stable: reports name them."""

    NO_SINGLE_FACE = "no_single_face"
    TURNED = "turned"
    POOR_QUALITY = "poor_quality"
    LIDS_NOT_SEEN = "lids_not_seen"
    MOVES_NOT_SEEN = "moves_not_seen"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody's picture and its embedding, ``(d,)``."""

    portrait: Portrait
    embedding: Embedding


def candidate(image: Image, analyser: Analyser) -> Candidate | Unsuitable:
    """What can be made of a picture, ``(h, w, 3)`` uint8 RGB, or why nothing can.

    A clip is only worth something where the kiosk takes the picture's face at rest, and sees in it
    what is drawn: lids over its eyes, a turned and a raised head, an opened mouth. In small
    pictures, and of faces that laugh, landmarks often do not.
    """
    face = analyser.analyse_photo(image).main_face
    if face is None or face.embedding is None:
        return Unsuitable.NO_SINGLE_FACE
    if abs(face.pose.yaw) > _MOST_YAW_DEGREES or abs(face.pose.pitch) > _MOST_PITCH_DEGREES:
        return Unsuitable.TURNED
    portrait = Portrait(image, face.landmarks)
    at_rest = surrounded(without_black_corners(portrait))
    animated = AnimatedPortrait(at_rest.image, landmarks=at_rest.landmarks)
    analysis = _seen(animated, analyser)
    opened = analysis.main_face
    if opened is None or not opened.quality.usable:
        return Unsuitable.POOR_QUALITY
    if analysis.has_bystander(DialoguePolicy().bystander_share):
        return Unsuitable.NO_SINGLE_FACE
    closed = _seen(animated, analyser, closure=1.0).main_face
    if closed is None or not _lids_seen(opened, closed):
        return Unsuitable.LIDS_NOT_SEEN
    rest = Posture.of(opened)
    for action, moved in _MOVED.items():
        if not _move_seen(action, rest, _seen(animated, analyser, **moved).main_face):
            return Unsuitable.MOVES_NOT_SEEN
    return Candidate(portrait, face.embedding)


def _seen(animated: AnimatedPortrait, analyser: Analyser, **moved: float) -> FrameAnalysis:
    jpeg = encoded(animated.frame(0.0, **moved), _QUALITY)
    return analyser.analyse_frame(jpeg, FrameRequest())


def _move_seen(action: Action, rest: Posture, face: Face | None) -> bool:
    if face is None:
        return False
    return Movement.between(rest, Posture.of(face), ActionThresholds()).share(action) >= 1


def _lids_seen(opened: Face, closed: Face) -> bool:
    limits = BlinkThresholds()
    left, right = closed.ear_left / opened.ear_left, closed.ear_right / opened.ear_right
    return max(left, right) < limits.closed_ratio and (left + right) / 2 < limits.deepest_ratio
