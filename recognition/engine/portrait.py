"""What is kept of a photo while somebody decides on it: the head and shoulders of one person."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from recognition.engine.types import Face, Image

GROWTH = 2.2
"""The portrait is the face's box times this: room for hair, chin and shoulders."""
LONGER_SIDE_PX = 720
JPEG_QUALITY = 90
HIDDEN_SIDE_SQUARES = 5
"""A hidden face is left with this many squares a side."""


def portrait_jpeg(image: Image, faces: Sequence[Face]) -> bytes:
    """A JPEG without metadata of the first of the faces, cut from ``(h, w, 3)`` uint8 RGB.

    The other faces are hidden. It is encoded anew from pixels: nothing else of the file that the
    image came in is left.
    """
    image = _with_bystanders_hidden(image, faces)
    height, width = image.shape[:2]
    around = faces[0].box.grown(GROWTH, width=width, height=height)
    cut = _at_most(image[around.top : around.bottom, around.left : around.right], LONGER_SIDE_PX)
    _, jpeg = cv2.imencode(
        ".jpg",
        cv2.cvtColor(cut, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    return jpeg.tobytes()


def _with_bystanders_hidden(image: Image, faces: Sequence[Face]) -> Image:
    hidden = image.copy()
    for face in faces[1:]:
        box = face.box
        hidden[box.top : box.bottom, box.left : box.right] = _in_squares(
            image[box.top : box.bottom, box.left : box.right]
        )
    main = faces[0].box
    hidden[main.top : main.bottom, main.left : main.right] = image[
        main.top : main.bottom, main.left : main.right
    ]
    return hidden


def _in_squares(image: Image) -> Image:
    height, width = image.shape[:2]
    few = cv2.resize(
        image, (HIDDEN_SIDE_SQUARES, HIDDEN_SIDE_SQUARES), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _at_most(image: Image, longer_side_px: int) -> Image:
    scale = longer_side_px / max(image.shape[:2])
    if scale >= 1.0:
        return image
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
