"""A moving, blinking face made from one portrait: for the demo's virtual kiosk and for tests.

The face can hold a card before the camera, as one holds up a pass.

The lids are the portrait's own skin: what lies between brow and upper lid is stretched down over
the eye. Images are ``(h, w, 3)`` uint8 RGB, landmarks ``(68, 2)`` in iBUG 300-W order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.geometry import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE, face_height_px
from recognition.engine.head_warp import TurningHead, mouth_opened
from recognition.engine.types import Image, Points

Wide = npt.NDArray[np.float64]

# The stretched skin begins this far from lid to brow: the brow itself must not come down.
_SKIN_TO_BROW = 0.6
# How much of the lid's edge (lashes) is carried down unstretched, in widths of the eye.
_LID_EDGE = 0.05
# Where the lids meet, from upper (0) to lower lid (1): the lower one comes up a little, and the
# skin below it, this many widths of the eye, is stretched.
_MEETING_HEIGHT = 0.65
_SKIN_BELOW = 0.25
# Stretched that far, what skin there is above a small eye is mostly shadow and lashes. So the lid
# takes on this much of the colour of the skin from here to there below the eye, fading in over the
# crease, and where the lids meet the lashes are dark: all in widths of the eye.
_LID_COVER = 0.6
_SKIN_COLOUR_FROM, _SKIN_COLOUR_TO = 0.1, 0.35
_LID_FADE = 0.2
_LASHES_WIDTH = 0.08
_LASHES_DARKNESS = 0.45
_BLINK_CLOSING_SHARE = 0.35  # of a blink's time; as much for opening, the rest stays closed
_SWAY_HZ = (0.13, 0.31, 0.57)  # slow, and no multiples of each other: the head never repeats
_SWAY_DEGREES = 0.6
_SWAY_ZOOM = 0.006
_BORDER_BLUR_SHARE = 0.03


def eyes_closed(image: Image, landmarks: Points, closure: float) -> Image:
    """A copy with both upper lids lowered: ``closure`` 0 leaves them, 1 brings them to the lower.

    The EAR of ``skimage.data.astronaut()`` falls from 0.33 to 0.15, as dlib's landmarks see it;
    they see pictures of people with really closed eyes at 0.06 to 0.15. Raises ``ValueError`` for
    a closure outside 0 to 1.
    """
    if not 0.0 <= closure <= 1.0:
        raise ValueError(f"got closure={closure}, expected 0 (open) to 1 (closed)")
    closed = image.copy()
    if closure > 0:
        for eye, brow in ((RIGHT_EYE, RIGHT_BROW), (LEFT_EYE, LEFT_BROW)):
            _lower_lid(closed, image, landmarks[eye], landmarks[brow], closure)
    return closed


def blink_closure(time_s: float, *, blinks_at: Sequence[float], blink_ms: float) -> float:
    """How far the lids are down at ``time_s``, 0 to 1, for blinks that begin at these seconds.

    >>> blink_closure(2.125, blinks_at=(2.0,), blink_ms=250)
    1.0
    """
    for start in blinks_at:
        phase = (time_s - start) * 1000 / blink_ms
        if 0 <= phase <= 1:
            from_open = min(phase, 1 - phase) / _BLINK_CLOSING_SHARE
            return 0.5 - 0.5 * math.cos(math.pi * min(1.0, from_open))
    return 0.0


class AnimatedPortrait:
    """A portrait in front of a camera: ``frame`` gives any moment of it.

    The face fills ``face_height_share`` of the frame's height and stands in its middle; where the
    portrait ends, its border goes on, blurred. The head sways by about ``jitter_px``. The same
    arguments and ``seed`` give the same frames. Raises ``ValueError`` where the landmarks cannot
    be those of a face.
    """

    def __init__(
        self,
        portrait: Image,
        *,
        landmarks: Points,
        width: int = 640,
        height: int = 480,
        face_height_share: float = 0.5,
        jitter_px: float = 2.0,
        seed: int = 0,
    ) -> None:
        face_px = face_height_px(landmarks)
        if landmarks.shape != (68, 2) or face_px < 1:
            raise ValueError(
                f"got landmarks of shape {landmarks.shape} of a face {face_px:.0f} px high, "
                "expected (68, 2) from the engine's landmarker"
            )
        scale = face_height_share * height / face_px
        self._size = width, height
        self._jitter_px = jitter_px
        self._phases = np.random.default_rng(seed).uniform(0, 2 * math.pi, (4, len(_SWAY_HZ)))
        margin = math.ceil(4 * jitter_px + 0.05 * max(width, height))
        self._scene, self._landmarks = _scene(portrait, landmarks, scale, width, height, margin)

    def frame(
        self,
        time_s: float,
        *,
        closure: float = 0.0,
        yaw: float = 0.0,
        pitch: float = 0.0,
        mouth: float = 0.0,
    ) -> Image:
        """``(height, width, 3)`` uint8 RGB at this moment, the lids ``closure`` (0 to 1) down.

        ``yaw`` and ``pitch`` turn the head by so many degrees, with the signs of `types.Pose`, and
        ``mouth`` opens it, 0 to 1. Raises ``ValueError`` for values outside of these, and for a
        turn by more than 45 degrees, for which there is nothing behind the cheek to show.
        """
        width, height = self._size
        scene = eyes_closed(self._scene, self._landmarks, closure)
        if mouth:
            scene = mouth_opened(scene, self._landmarks, mouth)
        right, down, turn, zoom = self._sway(time_s)
        middle_x, middle_y = scene.shape[1] / 2, scene.shape[0] / 2
        motion = np.asarray(
            cv2.getRotationMatrix2D(
                (middle_x, middle_y), turn * _SWAY_DEGREES, 1 + zoom * _SWAY_ZOOM
            ),
            np.float64,
        )
        motion[:, 2] += (
            right * self._jitter_px + width / 2 - middle_x,
            down * self._jitter_px + height / 2 - middle_y,
        )
        if not yaw and not pitch:
            return np.asarray(
                cv2.warpAffine(scene, motion, (width, height), borderMode=cv2.BORDER_REPLICATE),
                np.uint8,
            )
        return self._head.turned(scene, motion, self._size, yaw=yaw, pitch=pitch)

    @cached_property
    def _head(self) -> TurningHead:
        height, width = self._scene.shape[:2]
        return TurningHead(self._landmarks, width=width, height=height)

    def _sway(self, time_s: float) -> tuple[float, float, float, float]:
        """Four slow movements, each -1 to 1."""
        angles = 2 * math.pi * time_s * np.array(_SWAY_HZ) + self._phases
        right, down, turn, zoom = np.sin(angles).mean(axis=1).tolist()
        return right, down, turn, zoom


def blinking_clip(
    portrait: Image,
    *,
    landmarks: Points,
    width: int = 640,
    height: int = 480,
    fps: float = 15,
    seconds: float = 6,
    blinks_at: Sequence[float] = (2.0, 4.0),
    blink_ms: float = 250,
    face_height_share: float = 0.5,
    jitter_px: float = 2.0,
    seed: int = 0,
) -> Iterator[Image]:
    """Frames of ``portrait`` as a live person who blinks at ``blinks_at`` (seconds).

    Yields ``round(fps * seconds)`` frames, ``(height, width, 3)`` uint8 RGB; see
    ``AnimatedPortrait``.
    """
    animated = AnimatedPortrait(
        portrait,
        landmarks=landmarks,
        width=width,
        height=height,
        face_height_share=face_height_share,
        jitter_px=jitter_px,
        seed=seed,
    )
    for number in range(round(fps * seconds)):
        time_s = number / fps
        yield animated.frame(
            time_s, closure=blink_closure(time_s, blinks_at=blinks_at, blink_ms=blink_ms)
        )


def held_up(frame: Image, card: Image, *, height_share: float = 0.6) -> Image:
    """A copy of the frame with a square card, such as a QR code, before its middle.

    The card fills ``height_share`` of the frame's height; more than its shorter side raises
    ``ValueError``.
    """
    height, width = frame.shape[:2]
    side = round(height_share * height)
    if not 0 < side <= min(height, width):
        raise ValueError(
            f"got height_share={height_share}, expected a card within {width} x {height} pixels"
        )
    smaller = side < max(card.shape[:2])
    # Enlarged, a code's squares stay squares; reduced, none of them is left out.
    resized = cv2.resize(
        card, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    )
    top, left = (height - side) // 2, (width - side) // 2
    held = frame.copy()
    held[top : top + side, left : left + side] = resized
    return held


def entry_clip(
    portrait: Image,
    cards: Sequence[Image],
    *,
    landmarks: Points,
    fps: float = 15,
    face_seconds: float = 4,
    blinks_at: Sequence[float] = (1.0, 3.0),
    card_seconds: float = 2.5,
    pause_seconds: float = 0.0,
) -> Iterator[Image]:
    """Somebody who blinks and then holds one card after the other before the camera.

    After each card comes ``pause_seconds`` of the face without one. Yields frames of 640 x 480 as
    ``blinking_clip`` does.
    """
    animated = AnimatedPortrait(portrait, landmarks=landmarks)
    shown: list[tuple[Image | None, float]] = [(None, face_seconds)]
    for one in cards:
        shown += [(one, card_seconds), (None, pause_seconds)]
    times = itertools.count()
    for card, seconds in shown:
        for number in itertools.islice(times, round(fps * seconds)):
            time_s = number / fps
            closure = blink_closure(time_s, blinks_at=blinks_at, blink_ms=250)
            frame = animated.frame(time_s, closure=closure)
            yield frame if card is None else held_up(frame, card)


def _lower_lid(closed: Image, image: Image, eye: Points, brow: Points, closure: float) -> None:
    """Redraw one eye of ``closed`` from ``image``; ``eye`` is ``(6, 2)``, ``brow`` ``(5, 2)``.

    Works in the eye's own axes (along it, and downwards across it), so a tilted head is no matter.
    """
    first_corner, second_corner = eye[0], eye[3]
    width = float(np.linalg.norm(second_corner - first_corner))
    if width < 2:
        return
    along = (second_corner - first_corner) / width
    down = np.array([-along[1], along[0]], np.float32)
    relative = eye - first_corner
    upper_lid = _curve(relative[[0, 1, 2, 3]], along, down)
    lower_lid = _curve(relative[[0, 5, 4, 3]], along, down)

    left, top, right, bottom = _patch(eye, width, image)
    columns, rows = np.meshgrid(
        np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
    )
    x, y = columns - first_corner[0], rows - first_corner[1]
    u, v = x * along[0] + y * along[1], x * down[0] + y * down[1]

    upper = np.polyval(upper_lid, u)
    opening = np.maximum(np.polyval(lower_lid, u) - upper, 0) * ((u > 0) & (u < width))
    lower = upper + opening
    lid_to_brow = float(np.median(relative[1:3] @ down) - np.median((brow - first_corner) @ down))
    skin_top = upper - max(0.1 * width, _SKIN_TO_BROW * lid_to_brow)
    skin_bottom = lower + _SKIN_BELOW * width
    # The edge of the upper lid goes along; at the corners there is nothing to carry it over.
    edge = np.minimum(_LID_EDGE * width, opening)
    lowered = upper + closure * _MEETING_HEIGHT * opening
    raised = lower - closure * (1 - _MEETING_HEIGHT) * opening

    source_v = np.select(
        [v < lowered - edge, v < lowered, v > raised],
        [
            skin_top + (v - skin_top) * _ratio(upper - edge - skin_top, lowered - edge - skin_top),
            v - lowered + upper,
            skin_bottom - (skin_bottom - v) * _ratio(skin_bottom - lower, skin_bottom - raised),
        ],
        v,
    )
    moves = (v > skin_top) & (v < skin_bottom) & (opening > 0)
    shift = np.where(moves, source_v - v, 0).astype(np.float32)
    stretched = cv2.remap(
        image,
        (columns + shift * down[0]).astype(np.float32),
        (rows + shift * down[1]).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # To nothing at the corners, where the lids stay as they are.
    share = closure * np.clip(4 * np.minimum(u, width - u) / width, 0, 1)
    meeting = (lowered + raised) / 2
    on_lid = np.clip((v - upper) / (_LID_FADE * width) + 1, 0, 1) * np.clip(meeting - v + 0.5, 0, 1)
    cover = _LID_COVER * share * on_lid * moves
    lashes = np.exp(-(((v - lowered) / (_LASHES_WIDTH * width)) ** 2))
    light = 1 - _LASHES_DARKNESS * np.sqrt(share * closure) * lashes * moves
    beside = (v > lower + _SKIN_COLOUR_FROM * width) & (v < lower + _SKIN_COLOUR_TO * width)
    skin = _median_colour(image[top:bottom, left:right], beside & (opening > 0))
    drawn = (stretched + cover[..., None] * (skin - stretched)) * light[..., None]
    closed[top:bottom, left:right] = np.rint(drawn)


def _median_colour(image: Image, where: npt.NDArray[np.bool_]) -> Wide:
    """Of these pixels, or of all where there are none, as for an eye at the picture's edge."""
    pixels = image[where] if where.any() else image.reshape(-1, 3)
    return np.asarray(np.median(pixels, axis=0), np.float64)


def _ratio(part: Wide, whole: Wide) -> Wide:
    return part / np.maximum(whole, 1e-3)


def _curve(points: Points, along: Points, down: Points) -> Wide:
    """The cubic through four points of a lid: across the eye as a function of along it."""
    return np.polyfit(points @ along, points @ down, 3)


def _patch(eye: Points, width: float, image: Image) -> tuple[int, int, int, int]:
    left, top = np.floor(eye.min(axis=0) - width).astype(int).tolist()
    right, bottom = np.ceil(eye.max(axis=0) + width).astype(int).tolist()
    return max(0, left), max(0, top), min(image.shape[1], right), min(image.shape[0], bottom)


def _scene(
    portrait: Image, landmarks: Points, scale: float, width: int, height: int, margin: int
) -> tuple[Image, Points]:
    """The scaled portrait on a canvas a margin larger than the frame, the face in its middle."""
    smaller = _shrunk(portrait, scale)
    rest = scale * portrait.shape[1] / smaller.shape[1]
    canvas_width, canvas_height = width + 2 * margin, height + 2 * margin
    face_middle = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2 * scale
    offset = np.array([canvas_width / 2, canvas_height / 2]) - face_middle
    placement = np.array([[rest, 0, offset[0]], [0, rest, offset[1]]])
    canvas = cv2.warpAffine(
        smaller,
        placement,
        (canvas_width, canvas_height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = cv2.warpAffine(
        np.full(smaller.shape[:2], 255, np.uint8), placement, (canvas_width, canvas_height)
    )
    blurred = cv2.GaussianBlur(canvas, (0, 0), max(1.0, _BORDER_BLUR_SHARE * height))
    scene = np.where(inside[:, :, None] == 255, canvas, blurred)
    return np.ascontiguousarray(scene, np.uint8), (landmarks * scale + offset).astype(np.float32)


def _shrunk(portrait: Image, scale: float) -> Image:
    """Reduced by area where the scale is below one; a warp alone would alias."""
    if scale >= 1:
        return portrait
    size = max(1, round(portrait.shape[1] * scale)), max(1, round(portrait.shape[0] * scale))
    return np.asarray(cv2.resize(portrait, size, interpolation=cv2.INTER_AREA), np.uint8)
