"""DeepFace's embedders and detectors, on ONNX Runtime, through DeepFace's own loading code.

Before DeepFace is asked, every file is there and whole: it would download what is missing. Its
graphs are then opened once more on a single thread, since parallelism comes from worker processes,
and shown an empty picture, so that a graph of another model is noticed at the start.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from recognition.engine.models.alignment import (
    ARCFACE_POINTS,
    WHOLE_FACE_POINTS,
    aligned_crop,
    dlib_chip,
)
from recognition.engine.models.boxes import square_of_points, square_of_rectangle
from recognition.engine.models.catalogue import KnownModel, Part, known_model
from recognition.engine.models.protocols import Detection
from recognition.engine.models.weights import (
    broken_file,
    checked_files,
    deepface_home,
    weights_folder,
)
from recognition.engine.types import Box, Embedding, EngineError, Image, Points

Floats = npt.NDArray[np.float32]
Loaded = TypeVar("Loaded")

#: Detectors whose boxes already are squares from the brows to the chin.
_SQUARE_DETECTORS = frozenset({"dlib", "opencv"})


class _Client(Protocol):
    """What DeepFace builds of an embedder; ``input_shape`` is width and height."""

    input_shape: tuple[int, int]
    output_shape: int

    def forward(self, img: npt.NDArray[Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an embedder is shown a face.

    ``normalisation`` is one of DeepFace's (``preprocessing.normalize_input``), the one that its
    authors named after this network, or ``base`` (0 to 1). ``points``, ``(5, 2)``, are where the
    eyes, the tip of the nose and the corners of the mouth lie in a crop of side 1; None aligns as
    dlib does.
    """

    normalisation: str = "base"
    points: Points | None = field(default_factory=lambda: WHOLE_FACE_POINTS)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "VGG-Face": Recipe("VGGFace"),
        "Facenet": Recipe("Facenet"),
        "Facenet512": Recipe("Facenet2018"),
        "OpenFace": Recipe(),
        "DeepFace": Recipe(),
        "DeepID": Recipe(),
        "Dlib": Recipe(points=None),
        "ArcFace": Recipe("ArcFace", ARCFACE_POINTS),
        "SFace": Recipe(points=ARCFACE_POINTS),
        "GhostFaceNet": Recipe("ArcFace", ARCFACE_POINTS),
        "Buffalo_L": Recipe(points=ARCFACE_POINTS),
    }
)


class DeepFaceEmbedder:
    """One of DeepFace's networks: the unit-length mean of the aligned crop and its mirror image.

    Of the same crop and with the same normalisation, the vector of each is DeepFace's own
    (``DeepFace.represent`` with ``detector_backend="skip"``). The crop is ours, from the 68
    landmarks: DeepFace's is its detector's rectangle.
    """

    def __init__(self, name: str, client: _Client) -> None:
        self.model_id = name
        self.dimensions = int(client.output_shape)
        self._client = client
        self._recipe = RECIPES[name]

    def embed(self, image: Image, landmarks: Points) -> Embedding:
        crop = self.aligned_crop(image, landmarks)
        mean = self.vectors([crop, crop[:, ::-1]]).mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)

    def aligned_crop(self, image: Image, landmarks: Points) -> Image:
        """``(height, width, 3)`` uint8 RGB, of the network's input size."""
        width, height = self._client.input_shape
        if self._recipe.points is None:
            return dlib_chip(image, landmarks, side_px=width)
        return aligned_crop(image, landmarks, self._recipe.points, width=width, height=height)

    def vectors(self, crops: list[Image]) -> Floats:
        """``(n, dimensions)``, of crops of the input size; the network's own scale."""
        from deepface.modules import preprocessing

        width, height = self._client.input_shape
        batch = [
            preprocessing.normalize_input(
                preprocessing.resize_image(crop[:, :, ::-1], (height, width)),
                self._recipe.normalisation,
            )
            for crop in crops
        ]
        found = np.asarray(self._client.forward(np.concatenate(batch)), np.float32)
        return found.reshape(len(crops), -1)


class DeepFaceDetector:
    """One of DeepFace's detectors. Each has a threshold of its own and gives nothing below it."""

    smallest_face_px = 40
    confidence_to_find = 0.0
    confidence_to_follow = 0.0
    confidence_beside_larger = 0.0

    def __init__(self, name: str, client: Any, home: Path) -> None:
        self._name = name
        self._client = client
        self._home = home

    def detect(self, image: Image) -> list[Detection]:
        conversion = cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR
        # CenterFace reads its file at every call.
        with _environment(self._home):
            regions = self._client.detect_faces(cv2.cvtColor(image, conversion))
        return [Detection(self._box(region), float(region.confidence or 0.0)) for region in regions]

    def detect_main(self, image: Image) -> list[Detection]:
        return self.detect(image)

    def _box(self, region: Any) -> Box:
        if self._name in _SQUARE_DETECTORS:
            return Box(region.x, region.y, region.x + region.w, region.y + region.h)
        points = (
            region.right_eye,
            region.left_eye,
            region.nose,
            region.mouth_right,
            region.mouth_left,
        )
        if all(point is not None for point in points):
            return square_of_points(np.array(points, np.float32))
        return square_of_rectangle(region.x, region.y, region.w, region.h)


class _BuffaloClient:
    """InsightFace's graph without the package ``insightface``, which runs it with OpenCV.

    As its ``ArcFaceONNX.get_feat`` does: RGB, channels first, ``(pixel - 127.5) / 127.5``.
    """

    input_shape = (112, 112)
    output_shape = 512

    def __init__(self, path: Path) -> None:
        self.model = open_session(path)

    def forward(self, img: npt.NDArray[Any]) -> Floats:
        """``(n, 512)`` of ``(n, 112, 112, 3)`` BGR, 0 to 1."""
        pixels = (img[..., ::-1].transpose(0, 3, 1, 2) * 255 - 127.5) / 127.5
        name = self.model.get_inputs()[0].name
        found = self.model.run(None, {name: np.ascontiguousarray(pixels, np.float32)})[0]
        return np.asarray(found, np.float32)


def load_deepface_embedder(name: str, *, model_cache_dir: Path) -> DeepFaceEmbedder:
    """Raises ``EngineError`` with ``unknown_model``, ``model_missing`` or ``broken_weights``."""
    model = known_model(Part.EMBEDDER, name)
    (path,) = checked_files(model, weights_folder(model_cache_dir))
    client = _told_of_the_file(model, path, lambda: _embedder_client(name, path, model_cache_dir))
    embedder = DeepFaceEmbedder(name, client)
    width, height = client.input_shape
    empty = np.zeros((height, width, 3), np.uint8)
    found = _told_of_the_file(model, path, lambda: embedder.vectors([empty, empty]))
    if found.shape[1] != embedder.dimensions or not np.isfinite(found).all():
        raise broken_file(
            model,
            path,
            f"it gives {found.shape[1]} values of a face, expected {embedder.dimensions} "
            "numbers: it is the file of another model",
        )
    return embedder


def load_deepface_detector(name: str, *, model_cache_dir: Path) -> DeepFaceDetector:
    """Raises ``EngineError`` as the embedder's does, or with ``package_missing``."""
    model = known_model(Part.DETECTOR, name)
    for package in model.packages:
        if importlib.util.find_spec(package) is None:
            raise EngineError(
                "package_missing",
                f"The detector {name} needs the package {package}, which is not installed: "
                f"pip install {package.replace('_', '-')}, or choose another detector.",
            )
    paths = checked_files(model, weights_folder(model_cache_dir))
    home = deepface_home(model_cache_dir)
    path = paths[0] if paths else home
    client = _told_of_the_file(model, path, lambda: _build("face_detector", name, home))
    if name == "retinaface":
        client.model.session = open_session(path)
    if name == "opencv":
        _refuse_empty_cascades(model, client, paths)
    detector = DeepFaceDetector(name, client, home)
    _told_of_the_file(model, path, lambda: detector.detect(np.zeros((64, 64, 3), np.uint8)))
    return detector


def _refuse_empty_cascades(model: KnownModel, client: Any, paths: list[Path]) -> None:
    """OpenCV says nothing of a file that it cannot read, and would never find a face."""
    cascades = (client.model["face_detector"], client.model["eye_detector"])
    for cascade, path in zip(cascades, paths, strict=True):
        if cascade.empty():
            raise broken_file(model, path, "OpenCV reads no Haar cascade in it")


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A graph on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _embedder_client(name: str, path: Path, model_cache_dir: Path) -> Any:
    if name == "Buffalo_L":
        return _BuffaloClient(path)
    client = _build("facial_recognition", name, deepface_home(model_cache_dir))
    if path.suffix == ".onnx":
        client.model = open_session(path)
    return client


def _build(task: str, name: str, home: Path) -> Any:
    """What ``deepface.modules.modeling.build_model`` builds, without its cache of the process."""
    from deepface.modules import modeling

    with _environment(home):
        return modeling.get_model_class(task, name)()


@contextmanager
def _environment(home: Path) -> Iterator[None]:
    """DeepFace finds its weights, and ONNX Runtime among its engines, by the environment."""
    ours = {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": "onnx"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _told_of_the_file(model: KnownModel, path: Path, work: Callable[[], Loaded]) -> Loaded:
    """What ``work`` gives; whatever fails in it is the file's fault, as far as anybody can tell."""
    try:
        return work()
    except EngineError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        raise broken_file(model, path, f"{type(cause).__name__}: {cause}") from error
