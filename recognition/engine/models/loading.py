"""From the names of models to the models themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recognition.engine import dlib_resnet
from recognition.engine.anti_spoofing import FasNet
from recognition.engine.models.catalogue import (
    DLIB_68,
    FASNET,
    HOG,
    MEDIAPIPE,
    YUNET,
    Part,
    known_model,
)
from recognition.engine.models.choice import ModelChoice
from recognition.engine.models.deepface_models import load_deepface_detector, load_deepface_embedder
from recognition.engine.models.dlib_default import (
    EMBEDDED_MODEL_ID,
    DlibLandmarker,
    DlibResnetEmbedder,
    HogDetector,
)
from recognition.engine.models.mediapipe_landmarks import load_mediapipe
from recognition.engine.models.protocols import (
    Detector,
    Embedder,
    FaceModels,
    Landmarker,
    SpoofModel,
)
from recognition.engine.models.weights import checked_files, weights_folder
from recognition.engine.models.yunet import load_yunet


def load_models(choice: ModelChoice, *, model_cache_dir: Path) -> FaceModels:
    """The chosen models, warm enough to use; ``model_cache_dir`` keeps what is built or fetched.

    Everything is looked at before it is used, and nothing is downloaded. Raises ``EngineError``
    with ``unknown_model``, ``same_model``, ``model_missing``, ``broken_weights``,
    ``package_missing``, or what ``dlib_resnet.load_session`` raises.
    """
    choice.parts()
    return FaceModels(
        embedder=load_embedder(choice.embedder, model_cache_dir=model_cache_dir),
        detector=load_detector(choice.detector, model_cache_dir=model_cache_dir),
        landmarker=load_landmarker(choice.landmarker, model_cache_dir=model_cache_dir),
        previous_embedder=load_embedder(choice.previous_embedder, model_cache_dir=model_cache_dir)
        if choice.previous_embedder
        else None,
        anti_spoofing=load_anti_spoofing(model_cache_dir) if choice.anti_spoofing else None,
    )


def load_detector(name: str, *, model_cache_dir: Path) -> Detector:
    """Raises ``EngineError`` as ``load_models`` does."""
    ours: dict[str, Callable[[], Detector]] = {
        HOG: HogDetector,
        YUNET: lambda: load_yunet(weights_folder(model_cache_dir)),
    }
    if name in ours:
        return ours[name]()
    return load_deepface_detector(name, model_cache_dir=model_cache_dir)


def load_landmarker(name: str, *, model_cache_dir: Path) -> Landmarker:
    """Raises ``EngineError`` as ``load_models`` does."""
    known_model(Part.LANDMARKER, name)
    loaders: dict[str, Callable[[], Landmarker]] = {
        DLIB_68: DlibLandmarker,
        MEDIAPIPE: lambda: load_mediapipe(weights_folder(model_cache_dir)),
    }
    return loaders[name]()


def load_embedder(name: str, *, model_cache_dir: Path) -> Embedder:
    """Raises ``EngineError`` as ``load_models`` does."""
    if name == EMBEDDED_MODEL_ID:
        return DlibResnetEmbedder(dlib_resnet.load_session(model_cache_dir))
    return load_deepface_embedder(name, model_cache_dir=model_cache_dir)


def load_anti_spoofing(model_cache_dir: Path) -> SpoofModel:
    """Raises ``EngineError`` as ``load_models`` does."""
    folder = weights_folder(model_cache_dir)
    checked_files(known_model(Part.ANTI_SPOOFING, FASNET), folder)
    return FasNet(folder)
