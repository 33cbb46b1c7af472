"""How fast a model is on this machine, and how it does on a folder of faces."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from recognition.engine.geometry import LEFT_EYE, RIGHT_EYE
from recognition.engine.models.protocols import Detector, Embedder, Landmarker
from recognition.engine.types import Box, Image, Points

FMR = 0.001
"""Share of pairs of two people that match, where the embedders' FNMR is measured."""

_FILE_NAME = "measured.json"
_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one model; shares are 0 to 1, None where no faces were given.

    ``milliseconds``: the median of one call on one thread, for a detector of a frame of 640 x 480.
    ``found_share``: a detector's pictures in which it found a face. ``difference``: a landmarker's
    mean distance to dlib's landmarks, over the distance between the eyes. ``fnmr``: an embedder's
    pairs of one person that do not match where 0.1 % of the pairs of two people do.
    """

    milliseconds: float
    measured_on: str
    pictures: int = 0
    found_share: float | None = None
    difference: float | None = None
    fnmr: float | None = None


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """A picture of somebody, ``(h, w, 3)`` uint8 RGB, and dlib's landmarks in the face's box."""

    person: str
    image: Image
    box: Box
    landmarks: Points


def measure_detector(detector: Detector, pictures: Sequence[Image], *, measured_on: str) -> Figures:
    """``pictures`` show a face each; none may be given."""
    frame, _ = _noise_with_a_box()
    found = [
        any(d.confidence >= detector.confidence_to_find for d in detector.detect(picture))
        for picture in pictures
    ]
    return Figures(
        milliseconds=_median_ms(lambda: detector.detect(frame)),
        measured_on=measured_on,
        pictures=len(pictures),
        found_share=float(np.mean(found)) if found else None,
    )


def measure_landmarker(
    landmarker: Landmarker, faces: Sequence[LabelledFace], *, measured_on: str
) -> Figures:
    frame, box = _noise_with_a_box()
    differences = [
        _difference(landmarker.landmarks(face.image, face.box), face.landmarks) for face in faces
    ]
    return Figures(
        milliseconds=_median_ms(lambda: landmarker.landmarks(frame, box)),
        measured_on=measured_on,
        pictures=len(faces),
        difference=float(np.mean(differences)) if differences else None,
    )


def measure_embedder(
    embedder: Embedder, faces: Sequence[LabelledFace], *, measured_on: str
) -> Figures:
    frame, box = _noise_with_a_box()
    landmarks = _a_face_in(box)
    embeddings = np.array([embedder.embed(face.image, face.landmarks) for face in faces])
    return Figures(
        milliseconds=_median_ms(lambda: embedder.embed(frame, landmarks)),
        measured_on=measured_on,
        pictures=len(faces),
        fnmr=fnmr_at(embeddings, [face.person for face in faces]) if len(faces) else None,
    )


def fnmr_at(embeddings: Points, people: Sequence[str], *, fmr: float = FMR) -> float | None:
    """The share of one person's pairs below the similarity that ``fmr`` of two people's reach.

    ``(n, d)`` of unit length, and whose each is. None where there are not both kinds of pairs.
    """
    if len(embeddings) < 2:
        return None
    first, second = np.triu_indices(len(embeddings), k=1)
    similarities = (embeddings @ embeddings.T)[first, second]
    names = np.array(people)
    same = names[first] == names[second]
    if not same.any() or same.all():
        return None
    threshold = np.quantile(similarities[~same], 1 - fmr)
    return float(np.mean(similarities[same] < threshold))


def kept_figures(model_cache_dir: Path) -> dict[str, Figures]:
    """What was measured before, by the keys of ``keep_figures``; nothing if unreadable."""
    try:
        rows = json.loads((model_cache_dir / _FILE_NAME).read_text("utf-8"))
        return {key: Figures(**row) for key, row in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep_figures(model_cache_dir: Path, figures: Mapping[str, Figures]) -> None:
    """Beside what was kept before; a key is part and name, such as ``detector yunet``."""
    rows = {key: asdict(one) for key, one in {**kept_figures(model_cache_dir), **figures}.items()}
    model_cache_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows, indent=2, sort_keys=True)
    (model_cache_dir / _FILE_NAME).write_text(text + "\n", "utf-8")


def _noise_with_a_box() -> tuple[Image, Box]:
    """A frame of 640 x 480 and a box of 200 px; a network is as fast on noise as on a face."""
    random = np.random.default_rng(5)
    return random.integers(0, 256, (480, 640, 3), np.uint8), Box(220, 140, 420, 340)


def _a_face_in(box: Box) -> Points:
    """``(68, 2)``: two eyes, and all other points in the middle, which any alignment takes."""
    middle_x, middle_y = box.centre
    landmarks = np.full((68, 2), (middle_x, middle_y), np.float32)
    landmarks[RIGHT_EYE] = middle_x - box.width / 5, middle_y - box.height / 4
    landmarks[LEFT_EYE] = middle_x + box.width / 5, middle_y - box.height / 4
    return landmarks


def _median_ms(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times))


def _difference(landmarks: Points, others: Points) -> float:
    eyes = others[RIGHT_EYE].mean(axis=0) - others[LEFT_EYE].mean(axis=0)
    return float(np.hypot(*(landmarks - others).T).mean() / max(np.hypot(*eyes), 1e-6))
