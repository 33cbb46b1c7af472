"""The embedded default, which needs no download: dlib's HOG detector, its 68 landmarks, its ResNet.

The ResNet runs converted to ONNX, see ``dlib_resnet``.
"""

from __future__ import annotations

import cv2
import dlib
import numpy as np
import onnxruntime

from recognition.engine import dlib_resnet, hog
from recognition.engine.models.alignment import dlib_chip
from recognition.engine.models.protocols import Detection
from recognition.engine.thresholds import DETECTION
from recognition.engine.types import Box, Embedding, Image, Points

EMBEDDED_MODEL_ID = "dlib-resnet-v1"


class HogDetector:
    """dlib's frontal face detector: HOG and five linear SVMs, one for each way a head is held."""

    smallest_face_px = 80
    confidence_to_find = DETECTION.hog_confidence_to_find
    confidence_to_follow = DETECTION.hog_confidence_to_follow
    confidence_beside_larger = DETECTION.hog_confidence_beside_larger

    def __init__(self) -> None:
        self._all_directions = dlib.get_frontal_face_detector()
        self._straight = hog.first_direction(self._all_directions)

    def detect(self, image: Image) -> list[Detection]:
        return _run_hog(self._all_directions, _grey(image))

    def detect_main(self, image: Image) -> list[Detection]:
        grey = _grey(image)
        straight = _run_hog(self._straight, grey)
        if any(d.confidence >= DETECTION.hog_straight_suffices for d in straight):
            return straight
        return _run_hog(self._all_directions, grey)


def _grey(image: Image) -> Image:
    """Grey is a quarter faster to search than colour, and finds the same."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(grey, np.uint8)


def _run_hog(detector: dlib.fhog_object_detector, grey: Image) -> list[Detection]:
    rectangles, confidences, _ = detector.run(grey, 0, DETECTION.hog_adjust_threshold)
    return [
        Detection(Box(r.left(), r.top(), r.right() + 1, r.bottom() + 1), confidence)
        for r, confidence in zip(rectangles, confidences, strict=True)
    ]


class DlibLandmarker:
    """dlib's 68 landmarks (regression trees: Kazemi & Sullivan 2014), trained on iBUG 300-W."""

    def __init__(self) -> None:
        path = dlib_resnet.model_file("shape_predictor_68_face_landmarks.dat")
        self._predictor = dlib.shape_predictor(str(path))

    def landmarks(self, image: Image, box: Box) -> Points:
        rectangle = dlib.rectangle(box.left, box.top, box.right - 1, box.bottom - 1)
        shape = self._predictor(np.ascontiguousarray(image), rectangle)
        return np.array([(point.x, point.y) for point in shape.parts()], np.float32)


class DlibResnetEmbedder:
    """dlib's ResNet on ONNX Runtime: the unit-length mean of the aligned crop and its mirror image.

    Alignment is dlib's own (``get_face_chip``, 150 px, padding 0.25): its antialiasing belongs to
    what the network was trained on. Aligning by five landmarks instead of 68 makes no difference
    that could be measured on LFW (FNIR at FPIR 0.1 %, N=30: 3.5 % against 3.9 %, within the spread
    of the draws; N=70: 5.4 % against 5.3 %), so the second predictor is left out.
    """

    model_id = EMBEDDED_MODEL_ID
    dimensions = dlib_resnet.DIMENSIONS

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def embed(self, image: Image, landmarks: Points) -> Embedding:
        chip = self.aligned_crop(image, landmarks)
        pair = np.stack([chip, chip[:, ::-1]])
        mean = dlib_resnet.descriptors(self._session, pair).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def aligned_crop(self, image: Image, landmarks: Points) -> Image:
        """``(150, 150, 3)`` uint8 RGB, upright, equal to dlib's."""
        return dlib_chip(image, landmarks, side_px=dlib_resnet.CHIP_SIZE_PX)
