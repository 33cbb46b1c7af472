"""The replaceable parts: who finds faces, who places landmarks, who makes embeddings.

Everything that calls them is in ``analysis``. ``catalogue`` lists what there is, ``ModelChoice``
names one of each, ``load_models`` loads them.
"""

from __future__ import annotations

import cv2

from recognition.engine.models.choice import ModelChoice
from recognition.engine.models.dlib_default import (
    EMBEDDED_MODEL_ID,
    DlibLandmarker,
    DlibResnetEmbedder,
    HogDetector,
)
from recognition.engine.models.loading import load_models
from recognition.engine.models.protocols import (
    LANDMARKS,
    Detection,
    Detector,
    Embedder,
    FaceModels,
    Landmarker,
)

cv2.setNumThreads(1)  # parallelism comes from worker processes

__all__ = [
    "EMBEDDED_MODEL_ID",
    "LANDMARKS",
    "Detection",
    "Detector",
    "DlibLandmarker",
    "DlibResnetEmbedder",
    "Embedder",
    "FaceModels",
    "HogDetector",
    "Landmarker",
    "ModelChoice",
    "load_models",
]
