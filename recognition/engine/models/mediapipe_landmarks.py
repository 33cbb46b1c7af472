"""MediaPipe's Face Landmarker, run by OpenCV from the graphs in ``face_landmarker.task``.

The file is a zip of three TFLite graphs; the second finds 478 points in a crop of a face, the third
tells from them how far the lids are down and 51 other movements (Kartynnik et al. 2019; Grishchenko
et al. 2020; the model card "MediaPipe Face Mesh V2"). OpenCV reads them as they are, so that
neither the package ``mediapipe``, which brings an OpenCV of its own, nor a TFLite runtime is
needed. On the same crops its points differ from those of LiteRT 2.3 by 2e-4 px at most.

The graph has no detector's help here: the crop is made from our box, and once more, upright, where
the head leans.
"""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.models.catalogue import MEDIAPIPE, KnownModel, Part, known_model
from recognition.engine.models.protocols import LANDMARKS
from recognition.engine.models.weights import broken_file, checked_files
from recognition.engine.thresholds import DENSE_LANDMARKS
from recognition.engine.types import Box, Image, Points

MESH_POINTS = 478

_CROP_PX = 256
_POINTS_GRAPH = "face_landmarks_detector.tflite"
_MOVEMENTS_GRAPH = "face_blendshapes.tflite"
_POINTS_OUTPUTS = ("Identity", "Identity_1")
_MOVEMENTS = 52
_BLINK_LEFT, _BLINK_RIGHT = 9, 10
_OUTER_CORNER_RIGHT, _OUTER_CORNER_LEFT = 33, 263

# kLandmarksSubsetIdxs of MediaPipe's face_blendshapes_graph.cc (Apache-2.0): what the third graph
# is given of the mesh.
# fmt: off
_POINTS_FOR_MOVEMENTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65,
    66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136,
    144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172,
    173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324,
    332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472,
    473, 474, 475, 476, 477,
])

# Each of the 68 iBUG landmarks as a point of the mesh, or one between two: first point, second
# point, share of the second. Fitted on half of 479 pictures of LFW, the same on both sides of the
# face, as nearest to dlib's landmarks; on all of them they differ by 5.5 % of the distance
# between the eyes (jaw 8.5, brows 4.4, nose 3.3, eyes 3.1, mouth 3.6 %). Eyes and lips are points
# of their own edges, never between the lids or lips: a mean of both would not close with them.
_IBUG = np.array([
    # jaw, from the person's right ear to the left
    (162, 234, 0.5), (137, 234, 0.75), (93, 177, 0.5), (58, 137, 0.25), (172, 215, 0.25),
    (136, 150, 0.25), (149, 150, 0.25), (148, 176, 0.5), (152, 152, 0), (377, 400, 0.5),
    (378, 379, 0.25), (365, 379, 0.25), (397, 435, 0.25), (288, 366, 0.25), (366, 401, 0.5),
    (366, 447, 0.75), (389, 447, 0.5),
    # right brow, left brow
    (70, 124, 0.25), (63, 105, 0.25), (66, 68, 0.25), (65, 108, 0.25), (8, 107, 0.75),
    (8, 336, 0.75), (295, 337, 0.25), (296, 298, 0.25), (293, 334, 0.25), (300, 353, 0.25),
    # bridge of the nose downwards, nostrils
    (168, 168, 0), (6, 197, 0.75), (5, 197, 0.25), (1, 4, 0.75),
    (240, 240, 0), (164, 166, 0.5), (94, 164, 0.5), (164, 392, 0.5), (460, 460, 0),
    # right eye, left eye
    (33, 33, 0), (160, 160, 0), (158, 158, 0), (133, 133, 0), (153, 153, 0), (144, 144, 0),
    (362, 362, 0), (385, 385, 0), (387, 387, 0), (263, 263, 0), (373, 373, 0), (380, 380, 0),
    # lips: outer edge, inner edge
    (61, 61, 0), (39, 39, 0), (37, 37, 0), (0, 0, 0), (267, 267, 0), (269, 269, 0), (291, 291, 0),
    (321, 405, 0.5), (314, 314, 0), (17, 17, 0), (84, 84, 0), (91, 181, 0.5),
    (78, 78, 0), (82, 82, 0), (13, 13, 0), (312, 312, 0), (308, 308, 0), (317, 317, 0),
    (14, 14, 0), (87, 87, 0),
])
# fmt: on
_FIRST, _SECOND = _IBUG[:, 0].astype(int), _IBUG[:, 1].astype(int)
_SHARE = _IBUG[:, 2:3]


@dataclass(frozen=True, slots=True)
class Mesh:
    """``points`` is ``(478, 2)`` float32, x then y in pixels of the image.

    ``presence``, 0 to 1, is how sure the graph is that it was shown a face.
    """

    points: Points
    presence: float


class MediapipeLandmarker:
    """The mesh of a face, from which the 68 landmarks and the blink scores are taken.

    The engine reads the eyes by the EAR of the landmarks, as with dlib's. Of blinks painted over 60
    portraits of LFW (``synthesis.eyes_closed``) the EAR of these landmarks falls to 0.7 of the open
    eyes' in 92 %, that of dlib's in 52 %, and what the blink score leaves open in 72 %: the
    third graph, at 2.5 ms, tells less than the points it is given.

    The points follow the crop a little, and HOG's boxes jump from one pyramid level to the next.
    Of blinks in clips of ``synthesis.AnimatedPortrait`` at 15 frames a second `blink.BlinkTracker`
    sees 81 % with YuNet's boxes (26 portraits), 65 % with HOG's (40), and 82 % with dlib's
    landmarks and HOG's boxes: YuNet is the detector to go with it.
    """

    def __init__(self, path: Path) -> None:
        """Raises ``EngineError`` with ``broken_weights``."""
        model = known_model(Part.LANDMARKER, MEDIAPIPE)
        self._points_graph, self._movements_graph = _read_graphs(model, path)
        try:
            mesh = self.mesh(np.zeros((64, 64, 3), np.uint8), Box(16, 16, 48, 48))
            self.blink_scores(mesh)
        except (cv2.error, ValueError) as error:
            raise broken_file(model, path, f"its graphs do not run: {error}") from error

    def landmarks(self, image: Image, box: Box) -> Points:
        return ibug_landmarks(self.mesh(image, box).points)

    def mesh(self, image: Image, box: Box) -> Mesh:
        """All points of the face in ``box``; ``(h, w, 3)`` uint8 RGB in."""
        mesh = self._mesh_at(image, box, leans_by=0.0)
        lean = _lean(mesh.points)
        if abs(lean) <= DENSE_LANDMARKS.upright_degrees:
            return mesh
        return self._mesh_at(image, box, leans_by=lean)

    def blink_scores(self, mesh: Mesh) -> tuple[float, float]:
        """How far the person's left and right lid are down, each 0 (open) to 1.

        MediaPipe's ``eyeBlinkLeft`` and ``eyeBlinkRight``. Of 60 portraits of LFW, eyes that look
        into the camera have 0.02 to 0.45, closed ones 0.27 to 0.74.
        """
        self._movements_graph.setInput(
            np.ascontiguousarray(mesh.points[None, _POINTS_FOR_MOVEMENTS], np.float32)
        )
        movements = self._movements_graph.forward().ravel()
        if movements.size != _MOVEMENTS:
            raise ValueError(f"got {movements.size} movements of the face, expected {_MOVEMENTS}")
        return float(movements[_BLINK_LEFT]), float(movements[_BLINK_RIGHT])

    def _mesh_at(self, image: Image, box: Box, *, leans_by: float) -> Mesh:
        to_crop = _crop_transform(box, leans_by)
        crop = cv2.warpAffine(image, to_crop, (_CROP_PX, _CROP_PX), flags=cv2.INTER_LINEAR)
        pixels = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / 255
        self._points_graph.setInput(pixels)
        values, presence = self._points_graph.forward(_POINTS_OUTPUTS)
        if values.size != 3 * MESH_POINTS:
            raise ValueError(f"got {values.size} values, expected {MESH_POINTS} points of three")
        in_crop = values.reshape(MESH_POINTS, 3)[:, :2]
        back = cv2.invertAffineTransform(to_crop)
        return Mesh(
            (in_crop @ back[:, :2].T + back[:, 2]).astype(np.float32),
            1 / (1 + math.exp(-float(presence.ravel()[0]))),
        )


def load_mediapipe(weights_folder: Path) -> MediapipeLandmarker:
    """Raises ``EngineError`` with ``model_missing`` or ``broken_weights``."""
    (path,) = checked_files(known_model(Part.LANDMARKER, MEDIAPIPE), weights_folder)
    return MediapipeLandmarker(path)


def ibug_landmarks(mesh_points: Points) -> Points:
    """The 68 landmarks in iBUG 300-W order, ``(68, 2)``, of a mesh, ``(478, 2)``."""
    points = (1 - _SHARE) * mesh_points[_FIRST] + _SHARE * mesh_points[_SECOND]
    assert points.shape == (LANDMARKS, 2)  # noqa: S101  the table above has a row for each
    return points.astype(np.float32)


def _lean(mesh_points: Points) -> float:
    """Degrees by which the head leans clockwise in the image, by the outer eye corners."""
    x, y = (mesh_points[_OUTER_CORNER_LEFT] - mesh_points[_OUTER_CORNER_RIGHT]).tolist()
    return math.degrees(math.atan2(y, x))


def _crop_transform(box: Box, leans_by: float) -> npt.NDArray[np.float64]:
    """``(2, 3)``: from the image to an upright crop around the box, which shows the whole head."""
    scale = _CROP_PX / (DENSE_LANDMARKS.crop_growth * max(1, box.width, box.height))
    matrix = np.asarray(cv2.getRotationMatrix2D(box.centre, leans_by, scale), np.float64)
    matrix[:, 2] += _CROP_PX / 2 - np.array(box.centre)
    return matrix


def _read_graphs(model: KnownModel, path: Path) -> tuple[cv2.dnn.Net, cv2.dnn.Net]:
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as bundle:
            return _network(bundle.read(_POINTS_GRAPH)), _network(bundle.read(_MOVEMENTS_GRAPH))
    except (zipfile.BadZipFile, KeyError, cv2.error) as error:
        raise broken_file(model, path, f"it holds no graphs of this kind ({error})") from error


def _network(graph: bytes) -> cv2.dnn.Net:
    # From memory OpenCV 5.0 takes its new engine, which gives one of several outputs only.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "graph.tflite"
        path.write_bytes(graph)
        return cv2.dnn.readNetFromTFLite(str(path), cv2.dnn.ENGINE_CLASSIC)
