"""Everybody in a picture of a class: where the faces are and what they are like."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from recognition.engine.analysis import Analyser
from recognition.engine.images import decode_photo
from recognition.engine.models import Detection
from recognition.engine.thresholds import (
    CLASS_PHOTO,
    CLASS_PHOTO_QUALITY,
    ClassPhotoThresholds,
)
from recognition.engine.types import Box, ClassPhotoAnalysis, Image

MAX_CLASS_PHOTO_BYTES = 40_000_000
MAX_CLASS_PHOTO_PIXELS = 64_000_000
#: Larger pictures are reduced to this: the smallest face found is a hundredth of the longer side.
LONGER_SIDE_PX = 4000
SHOWN_LONGER_SIDE_PX = 2800
SHOWN_JPEG_QUALITY = 82


def analyse_class_photo(
    analyser: Analyser, content: bytes, limits: ClassPhotoThresholds = CLASS_PHOTO
) -> ClassPhotoAnalysis:
    """Decode a picture of a class and find everybody in it.

    Raises ``EngineError`` as ``decode_photo`` does.
    """
    started = time.perf_counter()
    image = decode_photo(
        content,
        max_bytes=MAX_CLASS_PHOTO_BYTES,
        max_pixels=MAX_CLASS_PHOTO_PIXELS,
        longer_side_px=LONGER_SIDE_PX,
    )
    found = distinct(_search(analyser, image, limits), limits.same_face_overlap)
    taken = found[: limits.most_faces]
    boxes = [detection.box for detection in taken]
    faces = [
        analyser.with_embedding(image, face)
        for face in analyser.faces_in(image, boxes, CLASS_PHOTO_QUALITY)
    ]
    height, width = image.shape[:2]
    return ClassPhotoAnalysis(
        width=width,
        height=height,
        faces=tuple(sorted(faces, key=lambda face: face.box.centre)),
        faces_left_out=len(found) - len(taken),
        picture_jpeg=_shown_jpeg(image),
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )


# ------------------------------------------------------------ where faces are


def tiles(width: int, height: int, *, side: int, overlap: int) -> Iterator[Box]:
    """Boxes of at most ``side`` pixels that cover a picture, neighbours sharing ``overlap``.

    >>> [(tile.left, tile.right) for tile in tiles(250, 90, side=100, overlap=20)]
    [(0, 97), (77, 174), (154, 250)]
    """
    for top, bottom in _spans(height, side, overlap):
        for left, right in _spans(width, side, overlap):
            yield Box(left, top, right, bottom)


def distinct(detections: Iterable[Detection], same_face_overlap: float) -> list[Detection]:
    """Non-maximum suppression across tiles and sizes: of each face the surest box, surest first."""
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda found: found.confidence, reverse=True):
        if all(detection.box.overlap(surer.box) < same_face_overlap for surer in kept):
            kept.append(detection)
    return kept


def _search(analyser: Analyser, image: Image, limits: ClassPhotoThresholds) -> list[Detection]:
    """Large faces in the reduced picture, small ones in enlarged tiles of it."""
    height, width = image.shape[:2]
    detector = analyser.models.detector
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    # A face as high as the tiles' overlap may be cut by all of them; below, one has it whole.
    coarse = min(1.0, detector.smallest_face_px / (0.5 * limits.tile_overlap_px))
    fine = detector.smallest_face_px / limits.smallest_face_px
    passes = [(Box(0, 0, width, height), coarse)]
    passes += [
        (tile, fine)
        for tile in tiles(width, height, side=limits.tile_side_px, overlap=limits.tile_overlap_px)
    ]
    return [
        _in_whole(detection, part, scale)
        for part, scale in passes
        for detection in detector.detect(
            _resized(grey[part.top : part.bottom, part.left : part.right], scale)
        )
        if detection.confidence >= limits.confidence_to_find
    ]


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """As few as possible, and all as long as each other."""
    count = max(1, math.ceil((length - overlap) / (side - overlap)))
    each = math.ceil((length + (count - 1) * overlap) / count)
    starts = range(0, length - overlap, each - overlap) if count > 1 else [0]
    return [(start, min(start + each, length)) for start in starts]


def _in_whole(detection: Detection, part: Box, scale: float) -> Detection:
    box = detection.box
    return replace(
        detection,
        box=Box(
            part.left + round(box.left / scale),
            part.top + round(box.top / scale),
            part.left + round(box.right / scale),
            part.top + round(box.bottom / scale),
        ),
    )


def _shown_jpeg(image: Image) -> bytes:
    shown = _resized(image, min(1.0, SHOWN_LONGER_SIDE_PX / max(image.shape[:2])))
    _, jpeg = cv2.imencode(
        ".jpg",
        cv2.cvtColor(shown, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, SHOWN_JPEG_QUALITY],
    )
    return jpeg.tobytes()


def _resized(image: Image, scale: float) -> Image:
    if scale == 1.0:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
