"""Can this face be used, and if not, what should the person change first?"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from recognition.engine.geometry import face_height_px
from recognition.engine.thresholds import QualityThresholds
from recognition.engine.types import Image, Points, Pose, Problem, Quality

_CROP_SIDE_PX = 96
_BURNT_LUMINANCE = 250
#: Between these landmarks lie the tip of the nose, the cheeks and the upper lip.
_COVERED_BY_A_MASK = ((30, 33), (2, 31), (14, 35), (33, 51))
#: As a share of the distance between the eyes.
_SPOT_RADIUS = 0.075
#: Added to colours, so that the noise of dark pixels does not count as colour.
_DARK_NOISE = 8
_SECOND_DERIVATIVE = np.array([[1.0, -2.0, 1.0]], np.float32)


@dataclass(frozen=True, slots=True)
class Appearance:
    """Figures of the pixels between brows, jaw and chin, at a fixed size of 96 × 96.

    ``sharpness``: variance of the Laplacian, taken separately along rows and columns, the smaller
    of the two (so a horizontal motion is seen although horizontal edges stay sharp).
    ``brightness``: mean luminance, 0 to 255. ``contrast``: 95th minus 5th percentile of it.
    ``burnt_share``: share of pixels that are as good as white.
    """

    sharpness: float
    brightness: float
    contrast: float
    burnt_share: float


def assess(
    image: Image,
    landmarks: Points,
    pose: Pose,
    *,
    ear: float,
    thresholds: QualityThresholds,
) -> Quality:
    """Judge one face of an image, ``(h, w, 3)`` uint8 RGB; landmarks ``(68, 2)``, EAR of both eyes.

    ``problems`` come in the order in which a person should solve them: first where to stand, then
    the light, then how to look and what to take off, then to hold still, since each makes the
    later ones unreliable.
    """
    frame_height, frame_width = image.shape[:2]
    height_px = face_height_px(landmarks)
    appearance = measure(image, landmarks)
    return Quality(
        face_height_px=height_px,
        sharpness=appearance.sharpness,
        brightness=appearance.brightness,
        contrast=appearance.contrast,
        problems=(
            *_place_problems(
                height_px, landmarks, width=frame_width, height=frame_height, limits=thresholds
            ),
            *_light_problems(appearance, thresholds),
            *_pose_problems(pose, thresholds),
            *_cover_problems(image, landmarks, thresholds),
            *([Problem.BLURRED] if appearance.sharpness < thresholds.min_sharpness else []),
            *([Problem.EYES_CLOSED] if ear < thresholds.closed_ear else []),
        ),
    )


def measure(image: Image, landmarks: Points) -> Appearance:
    """The figures of one face; all zero where its landmarks lie outside the image."""
    left, top = np.maximum(landmarks.min(axis=0).astype(int), 0).tolist()
    right, bottom = landmarks.max(axis=0).astype(int).tolist()
    face = image[top:bottom, left:right]
    if not face.size:
        return Appearance(0.0, 0.0, 0.0, 0.0)
    grey = _fixed_size(np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8))
    low, high = _percentiles(grey, 0.05, 0.95)
    return Appearance(
        sharpness=min(
            _variance(cv2.filter2D(grey, cv2.CV_32F, _SECOND_DERIVATIVE)),
            _variance(cv2.filter2D(grey, cv2.CV_32F, _SECOND_DERIVATIVE.T)),
        ),
        brightness=float(cv2.mean(grey)[0]),
        contrast=float(high - low),
        burnt_share=float(np.count_nonzero(grey >= _BURNT_LUMINANCE) / grey.size),
    )


def fusion_weight(quality: Quality) -> float:
    """How much a picture counts among several of one person, above zero, see `gallery.fuse`.

    The logarithm of its sharpness: a blurred frame among sharp ones loses half its say, and no
    frame all of it. On LFW, whose pictures are sharp, it neither helps nor hurts (FNIR at FPIR
    0.1 %, N=30: 4.66 % against 4.62 %); weights by pose or contrast do not either.
    """
    return float(np.log1p(max(quality.sharpness, 1.0)))


def redness_fall(image: Image, landmarks: Points) -> float:
    """How much less red the lower half of a face is than the root of its nose.

    Redness is the logarithm of red over green, whose differences do not depend on the light's
    colour. Of the root of the nose the least red spot counts, and of the tip, both cheeks and the
    upper lip the reddest: skin differs from spot to spot, a mask is over all of them. Beards grow
    on the last one only. Landmarks ``(68, 2)``. 0.0 in black and white, and where a spot lies
    outside the image.
    """
    eye_distance_px = float(np.linalg.norm(landmarks[42:48].mean(0) - landmarks[36:42].mean(0)))
    root = (landmarks[27], landmarks[[27, 28]].mean(0), landmarks[[21, 22]].mean(0))
    below = [landmarks[list(pair)].mean(0) for pair in _COVERED_BY_A_MASK]
    above_redness = [_redness(image, spot, _SPOT_RADIUS * eye_distance_px) for spot in root]
    below_redness = [_redness(image, spot, _SPOT_RADIUS * eye_distance_px) for spot in below]
    fall = float(np.min(above_redness) - np.max(below_redness))
    return fall if np.isfinite(fall) else 0.0


def _redness(image: Image, spot: Points, radius_px: float) -> float:
    left, top = np.maximum(spot - radius_px, 0).astype(int)
    right, bottom = np.maximum(spot + radius_px, -1).astype(int) + 1
    pixels = image[top:bottom, left:right].reshape(-1, 3)
    if not len(pixels):
        return float("nan")
    red, green, _ = np.median(pixels, axis=0) + _DARK_NOISE
    return float(np.log(red / green))


def _place_problems(
    face_height: float,
    landmarks: Points,
    *,
    width: int,
    height: int,
    limits: QualityThresholds,
) -> list[Problem]:
    shorter_side = min(width, height)
    outside = (landmarks < 0).any(axis=1) | (landmarks > (width - 1, height - 1)).any(axis=1)
    cut_off = outside.mean() > limits.max_outside_share
    if face_height > limits.max_face_share * shorter_side:
        return [Problem.TOO_LARGE]
    if face_height < max(limits.min_face_height_px, limits.min_face_share * shorter_side):
        return [Problem.CUT_OFF, Problem.TOO_SMALL] if cut_off else [Problem.TOO_SMALL]
    return [Problem.CUT_OFF] if cut_off else []


def _light_problems(appearance: Appearance, limits: QualityThresholds) -> list[Problem]:
    """At most one: a dark picture has low contrast too, and light is what is missing."""
    if appearance.brightness < limits.min_brightness:
        return [Problem.TOO_DARK]
    if (
        appearance.brightness > limits.max_brightness
        or appearance.burnt_share > limits.max_burnt_share
    ):
        return [Problem.TOO_BRIGHT]
    return [Problem.LOW_CONTRAST] if appearance.contrast < limits.min_contrast else []


def _pose_problems(pose: Pose, limits: QualityThresholds) -> list[Problem]:
    turned = abs(pose.yaw) > limits.max_yaw or abs(pose.pitch) > limits.max_pitch
    tilted = abs(pose.roll) > limits.max_roll
    return [Problem.TURNED] * turned + [Problem.TILTED] * tilted


def _cover_problems(image: Image, landmarks: Points, limits: QualityThresholds) -> list[Problem]:
    if limits.max_redness_fall is None:
        return []
    return [Problem.COVERED] * (redness_fall(image, landmarks) > limits.max_redness_fall)


def _fixed_size(grey: Image) -> Image:
    shrinks = grey.shape[0] > _CROP_SIDE_PX
    return np.asarray(
        cv2.resize(
            grey,
            (_CROP_SIDE_PX, _CROP_SIDE_PX),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        ),
        np.uint8,
    )


def _percentiles(grey: Image, *shares: float) -> list[int]:
    cumulative = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    return [int(np.searchsorted(cumulative, share * grey.size)) for share in shares]


def _variance(values: np.ndarray) -> float:
    _, deviation = cv2.meanStdDev(values)
    return float(deviation[0, 0] ** 2)
