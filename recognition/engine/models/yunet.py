"""OpenCV's YuNet face detector (Wu, Peng & Yu 2023), run by OpenCV from its ONNX file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from recognition.engine.models.boxes import square_of_points
from recognition.engine.models.catalogue import YUNET, Part, known_model
from recognition.engine.models.protocols import Detection
from recognition.engine.models.weights import broken_file, checked_files
from recognition.engine.thresholds import DETECTION
from recognition.engine.types import Image

_OVERLAP_OF_TWO_BOXES = 0.3
_MOST_CANDIDATES = 5000


class YunetDetector:
    """Finds faces from about 10 px, turned and leant ones too; confidence is 0 to 1."""

    smallest_face_px = 20
    confidence_to_find = DETECTION.yunet_confidence_to_find
    confidence_to_follow = DETECTION.yunet_confidence_to_follow
    confidence_beside_larger = DETECTION.yunet_confidence_beside_larger

    def __init__(self, path: Path) -> None:
        """Raises ``EngineError`` with ``broken_weights`` for a file that is no YuNet."""
        model = known_model(Part.DETECTOR, YUNET)
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(path),
                "",
                (320, 320),
                score_threshold=self.confidence_to_follow,
                nms_threshold=_OVERLAP_OF_TWO_BOXES,
                top_k=_MOST_CANDIDATES,
            )
            self.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise broken_file(model, path, f"OpenCV says {str(error).strip()}") from error

    def detect(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        self._network.setInputSize((width, height))
        _, faces = self._network.detect(_bgr(image))
        return [
            Detection(square_of_points(face[4:14].reshape(5, 2)), float(face[14]))
            for face in (faces if faces is not None else ())
        ]

    def detect_main(self, image: Image) -> list[Detection]:
        return self.detect(image)


def load_yunet(weights_folder: Path) -> YunetDetector:
    """Raises ``EngineError`` with ``model_missing`` or ``broken_weights``."""
    (path,) = checked_files(known_model(Part.DETECTOR, YUNET), weights_folder)
    return YunetDetector(path)


def _bgr(image: Image) -> Image:
    conversion = cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(image, conversion), np.uint8)
