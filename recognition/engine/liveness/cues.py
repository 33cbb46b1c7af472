"""What the pixels of a frame say of where it comes from; runs in the worker, keeps no state.

All figures are of one frame. What they mean over time, and their limits, are `watch.PassiveWatch`'s
business.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from recognition.engine.liveness.alignment import Placement, placement
from recognition.engine.liveness.border import border_cover
from recognition.engine.liveness.spectrum import narrow_peak
from recognition.engine.types import Face, FrameCues, Image

THUMBNAIL_SIZE = (32, 24)
#: Pixels of the frame that go into the digest: every so many along rows and columns.
_DIGEST_STEP = 8
#: The shorter side of the picture in which borders are looked for.
_REDUCED_SIDE_PX = 120

#: Patches of a face, in hundredths of the distance between the outer eye corners: where they begin,
#: the side of a pixel, and how many there are across and down.
EYE_PATCH_SIZE = (32, 24)
EYE_PATCH_STEP = 1.75
RIGHT_EYE_PATCH = (-64.0, -64.0)
LEFT_EYE_PATCH = (8.0, -64.0)
_FACE_PATCH_SIZE = (24, 24)
_FACE_PATCH_STEP = 7.0
_FACE_PATCH = (-84.0, -68.0)

_LIGHT = np.array([0.299, 0.587, 0.114], np.float32)
_GREEN_BALANCE = np.array([-0.5, 1.0, -0.5], np.float32)
#: The side of the square in which narrow peaks are looked for; smaller faces have the smaller one.
_SPECTRUM_SIDES_PX = (128, 64)


def measure_cues(frame: Image, face: Face, *, screen: bool = True) -> FrameCues | None:
    """The cues of one face of a frame, ``(h, w, 3)`` uint8 RGB; those of a screen if asked for.

    None where the face's landmarks fell together.
    """
    place = placement(face.landmarks)
    if place is None:
        return None
    grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
    scale = min(1.0, _REDUCED_SIDE_PX / min(grey.shape))
    small = _reduced(grey, (round(scale * grey.shape[1]), round(scale * grey.shape[0])))
    return FrameCues(
        digest=zlib.crc32(frame[::_DIGEST_STEP, ::_DIGEST_STEP].tobytes()),
        thumbnail=_reduced(small, THUMBNAIL_SIZE),
        face=_patch(grey, place, _FACE_PATCH, _FACE_PATCH_STEP, _FACE_PATCH_SIZE),
        eyes=np.stack(
            [
                _patch(grey, place, corner, EYE_PATCH_STEP, EYE_PATCH_SIZE)
                for corner in (RIGHT_EYE_PATCH, LEFT_EYE_PATCH)
            ]
        ),
        moire=_moire(frame, face) if screen else None,
        border_cover=border_cover(small, face.box, scale=scale) if screen else None,
    )


def _reduced(grey: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _patch(
    grey: Image, place: Placement, corner: tuple[float, float], step: float, size: tuple[int, int]
) -> Image:
    """Part of the face at a fixed place and size, its pixels averaged over what they cover."""
    finer = max(1, round(step * place.px_per_hundredth))
    left, top = corner
    affine = place.affine(left=left, top=top, step=step / finer)
    fine = cv2.warpAffine(
        grey,
        affine,
        (size[0] * finer, size[1] * finer),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _reduced(np.asarray(fine, np.uint8), size)


def _moire(frame: Image, face: Face) -> float:
    """The narrow peak in a square between eyes and mouth, as large as the face allows.

    It is looked for in the light and in the balance of green against red and blue, whose stripes
    on a screen lie beside each other.
    """
    height, width = frame.shape[:2]
    centre_x, centre_y = (int(c) for c in face.landmarks[27:36].mean(axis=0))
    for side in _SPECTRUM_SIDES_PX:
        left = min(max(0, centre_x - side // 2), width - side)
        top = min(max(0, centre_y - side // 2), height - side)
        if side <= face.box.width and left >= 0 and top >= 0:
            square = frame[top : top + side, left : left + side].astype(np.float32)
            return max(narrow_peak(square @ weights) for weights in (_LIGHT, _GREEN_BALANCE))
    return 0.0
