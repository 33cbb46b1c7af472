"""What travels between the worker processes and the dialogue: small, frozen, picklable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Embedding = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; ``right`` and ``bottom`` lie just outside it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return max(0, self.width) * max(0, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1.

        >>> Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10))
        0.3333333333333333
        """
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)

    def overlap(self, other: Box) -> float:
        """Shared area over the smaller box: a box inside another one counts as the same face.

        >>> Box(0, 0, 10, 10).overlap(Box(5, 0, 105, 100))
        0.5
        """
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        smaller = min(self.area, other.area)
        return width * height / smaller if width > 0 and height > 0 and smaller else 0.0

    def grown(self, factor: float, *, width: int, height: int) -> Box:
        """The box scaled about its centre by ``factor`` and clipped to a frame of that size."""
        centre_x, centre_y = self.centre
        half_width, half_height = self.width * factor / 2, self.height * factor / 2
        return Box(
            max(0, round(centre_x - half_width)),
            max(0, round(centre_y - half_height)),
            min(width, round(centre_x + half_width)),
            min(height, round(centre_y + half_height)),
        )


class Problem(StrEnum):
    """Why a face cannot be used as it is. Values are stable: they are stored and translated."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    CUT_OFF = "cut_off"
    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_CONTRAST = "low_contrast"
    TURNED = "turned"
    TILTED = "tilted"
    EYES_CLOSED = "eyes_closed"
    COVERED = "covered"


@dataclass(frozen=True, slots=True)
class Pose:
    """Head rotation in degrees; all zero looks straight into the camera.

    ``yaw`` grows as the face turns to the right edge of the image, ``pitch`` as it looks up,
    ``roll`` as the head leans clockwise in the image.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures behind the verdict on one face, and the reasons against using it."""

    face_height_px: float
    sharpness: float
    brightness: float
    contrast: float
    problems: tuple[Problem, ...] = ()

    @property
    def usable(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a frame. ``landmarks`` is ``(68, 2)`` float32 in iBUG 300-W order.

    ``ear_left`` and ``ear_right`` are the eye aspect ratios of the person's own left and right
    eye. ``embedding`` is ``(d,)`` float32 of unit length, or None where none was asked for;
    ``previous_embedding`` is the same by the model that is being replaced, where two serve.
    """

    box: Box
    landmarks: Points
    pose: Pose
    ear_left: float
    ear_right: float
    quality: Quality
    embedding: Embedding | None = None
    previous_embedding: Embedding | None = None

    @property
    def ear(self) -> float:
        return (self.ear_left + self.ear_right) / 2


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """What the dialogue wants to know of the next frame; the worker does no more than this.

    ``near``: the last face; the search starts there and widens only when nothing is found.
    ``count_faces``: search the whole frame even if ``near`` gives a face.
    ``fine``: also search at full resolution, for faces too small for the reduced frame.
    ``embed``: compute the embedding of the largest face.
    ``embed_if_ear_below``: compute it if the eyes are this far closed.
    ``read_code``: also look for a QR code.
    ``cues``: also measure what tells a print or an injected frame from a camera.
    ``screen_cues``: with them also measure what tells a screen, which need not be in every frame.
    ``spoof_model``: also ask the anti-spoofing model about the largest face.
    ``unless_like``: search no faces if the frame still shows this ``FrameAnalysis.nobody_in``.
    """

    near: Box | None = None
    count_faces: bool = True
    fine: bool = False
    embed: bool = False
    embed_if_ear_below: float = 0.0
    read_code: bool = False
    cues: bool = False
    screen_cues: bool = True
    spoof_model: bool = False
    unless_like: Image | None = None


@dataclass(frozen=True, slots=True)
class FrameCues:
    """What the pixels say of where a frame comes from, for `liveness.watch.PassiveWatch`.

    Images are uint8 grey and far too small to know anybody by; they live as long as the visit.

    ``digest`` is equal for equal frames. ``thumbnail``, ``(24, 32)``, is the whole frame. ``eyes``,
    ``(2, 24, 32)``, are the person's right and left eye from brow to cheek, held still by the
    corners of the eyes and the nose. ``face``, ``(24, 24)``, is brows to chin, held still likewise.
    ``moire``: the strongest narrow peak in the face's spectrum, over what lies around it, in
    nepers. ``border_cover``: how much of the least visible side of a frame around the face is
    there, 0 to 1. Both are None in frames in which they were not asked for.
    """

    digest: int
    thumbnail: Image
    face: Image
    eyes: Image
    moire: float | None
    border_cover: float | None


@dataclass(frozen=True, slots=True)
class FrameAnalysis:
    """Everything a worker found in one frame; ``faces`` come largest first.

    ``code`` is the text of a QR code, at most 200 characters, where one was asked for and found.
    ``live_confidence``, 0 to 1, is what the anti-spoofing model says of the largest face.
    ``nobody_in`` is the frame, reduced, if a fine search found nobody in it.
    """

    width: int
    height: int
    faces: tuple[Face, ...] = ()
    elapsed_ms: float = 0.0
    code: str | None = None
    cues: FrameCues | None = None
    live_confidence: float | None = None
    nobody_in: Image | None = None

    @property
    def main_face(self) -> Face | None:
        return self.faces[0] if self.faces else None

    def has_bystander(self, area_share: float) -> bool:
        """Whether another face covers at least this share of the main one's area."""
        areas = [face.box.area for face in self.faces]
        return any(area >= area_share * areas[0] for area in areas[1:])


@dataclass(frozen=True, slots=True)
class PortraitAnalysis:
    """A photo's analysis and what may be kept of it.

    ``portrait_jpeg``: head and shoulders around the main face, made anew from its pixels, without
    metadata; None where no face was found.
    """

    analysis: FrameAnalysis
    portrait_jpeg: bytes | None


@dataclass(frozen=True, slots=True)
class ClassPhotoAnalysis:
    """Everybody in one picture of a class; ``faces`` come from left to right, with embeddings.

    ``width`` and ``height`` are of the picture as it was searched, upright and reduced where it was
    large; ``picture_jpeg`` is that picture made anew from its pixels, without metadata.
    ``faces_left_out`` counts those beyond the most that are taken.
    """

    width: int
    height: int
    faces: tuple[Face, ...]
    faces_left_out: int
    picture_jpeg: bytes
    elapsed_ms: float = 0.0


class EngineError(ValueError):
    """Input that the engine refuses. ``code`` is stable; the text says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, str(self))
