"""Reading a QR code from a camera's picture."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from recognition.engine.types import Image

#: No pass is longer. What is longer is cut: it cannot be a pass, and nobody needs to keep it.
MAX_CODE_CHARS = 200

#: The shorter side of the picture that is searched: a code that is held up fills a third of it.
_MOST_SIDE_PX = 720


def read_code(image: Image) -> str | None:
    """The text of the first QR code in ``(h, w, 3)`` uint8 RGB, or None where none can be read.

    A frame of 640 x 480 takes 4 ms without a code, 12 ms with one, and 38 ms where it is all
    noise. Codes of 48 characters (37 x 37 modules and a margin) are read from 160 px on: a third
    of the frame's height. Half the size would save a third of the time and read nothing below
    200 px; OpenCV's older `QRCodeDetector` takes as long and misses nine of 25 at 160 px.
    Whatever the picture shows, this raises nothing.
    """
    try:
        # As bytes: a code may hold any, and OpenCV's text must be UTF-8.
        content, corners, _code = _detector().detectAndDecodeBytes(_grey(image))
    except (cv2.error, UnicodeError, SystemError):
        # OpenCV gives up on some patterns that only look like a code.
        return None
    if corners is None or not content:
        return None
    return bytes(content).decode("utf-8", "replace")[:MAX_CODE_CHARS]


@functools.cache
def _detector() -> cv2.QRCodeDetectorAruco:
    """One for each process; each has one thread."""
    return cv2.QRCodeDetectorAruco()


def _grey(image: Image) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _MOST_SIDE_PX / min(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)
