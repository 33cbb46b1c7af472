"""The face that is always there, and pictures made from it."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image as PillowImage
from skimage import data

from recognition.engine.types import Image

# dlib's detector, measured: where the face is in the astronaut's picture.
_FACE_MIDDLE = (223, 127)
_FACE_HEIGHT_PX = 88


def astronaut() -> Image:
    """``(512, 512, 3)`` uint8 RGB; Eileen Collins, NASA, public domain."""
    return np.ascontiguousarray(data.astronaut())


def astronaut_frame(width: int, height: int, *, face_share: float) -> Image:
    """A camera frame with the face in the middle, its box ``face_share`` of the frame's height."""
    scale = face_share * height / _FACE_HEIGHT_PX
    x, y = _FACE_MIDDLE
    placement = np.array([[scale, 0, width / 2 - x * scale], [0, scale, height / 2 - y * scale]])
    return np.asarray(
        cv2.warpAffine(astronaut(), placement, (width, height), borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def as_jpeg(image: Image, *, quality: int = 90, exif_orientation: int | None = None) -> bytes:
    exif = PillowImage.Exif()
    if exif_orientation is not None:
        exif[0x0112] = exif_orientation
    return as_file(PillowImage.fromarray(image), "JPEG", quality=quality, exif=exif)


def as_file(picture: PillowImage.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()
