"""A pass as a camera sees it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PillowImage

from checkin.passes.services import png_of
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.types import Image


def frame_with(payload: str, *, side_px: int = 320) -> Image:
    """A frame of 640 × 480 in which somebody holds up this code."""
    frame = np.full((480, 640, 3), 110, np.uint8)
    code = PillowImage.open(io.BytesIO(png_of(payload))).convert("RGB")
    pixels = np.asarray(code.resize((side_px, side_px)))
    top, left = (480 - side_px) // 2, (640 - side_px) // 2
    frame[top : top + side_px, left : left + side_px] = pixels
    return frame


def jpeg_with(payload: str) -> bytes:
    return as_jpeg(frame_with(payload))
