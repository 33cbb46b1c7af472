"""Who is in the benchmark's gallery and on its frames."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from recognition.engine.analysis import Analyser
from recognition.engine.gallery import Gallery
from recognition.engine.images import decode_photo
from recognition.engine.synthesis import AnimatedPortrait
from recognition.engine.types import Embedding, Face, Image, Problem

GALLERY_SIZE = 1000
FACE_HEIGHT_SHARE = 0.45
"""Of the frame's height, brows to chin; the detectors' boxes are then a little over a third."""


@dataclass(frozen=True)
class Person:
    """``portrait`` enrols; ``sitting``, another picture or the same, stands at the kiosk."""

    name: str
    portrait: Image
    sitting: Image


def astronaut() -> Person:
    picture = np.ascontiguousarray(data.astronaut())
    return Person("astronaut", picture, picture)


def people_in(faces: Path, *, count: int = 5) -> list[Person]:
    """The first people of ``faces/<person>/*.jpg`` with at least two pictures."""
    folders = [sorted(folder.glob("*.jpg")) for folder in sorted(faces.iterdir())]
    return [
        Person(paths[0].parent.name, _picture(paths[0]), _picture(paths[1]))
        for paths in folders
        if len(paths) > 1
    ][:count]


def frames_of(person: Person, analyser: Analyser, *, width: int, height: int) -> list[bytes]:
    """JPEG frames of somebody standing at the kiosk, moving a little. Empty if nobody is found."""
    face = usable_face(analyser, person.sitting)
    if face is None:
        return []
    animated = AnimatedPortrait(
        person.sitting,
        landmarks=face.landmarks,
        width=width,
        height=height,
        face_height_share=FACE_HEIGHT_SHARE,
    )
    return [as_jpeg(animated.frame(time_s)) for time_s in (0.0, 0.7, 1.4)]


def as_jpeg(frame_rgb: Image) -> bytes:
    bgr = np.ascontiguousarray(frame_rgb[:, :, ::-1])
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def usable_face(analyser: Analyser, picture: Image) -> Face | None:
    face = analyser.analyse_photo(picture).main_face
    if face is None or Problem.SEVERAL_FACES in face.quality.problems:
        return None
    return face


def random_fillers(dimensions: int) -> Iterator[Embedding]:
    """Unit-length vectors of people who do not exist."""
    generator = np.random.default_rng(0)
    while True:
        vector = generator.normal(size=dimensions)
        yield (vector / np.linalg.norm(vector)).astype(np.float32)


def real_fillers(faces: Path, analyser: Analyser, *, without: set[str]) -> Iterator[Embedding]:
    """Embeddings of other people's pictures, then random ones."""
    paths = [path for path in faces.glob("*/*.jpg") if path.parent.name not in without]
    random.Random(0).shuffle(paths)  # noqa: S311
    for path in sorted(paths)[:GALLERY_SIZE]:
        face = usable_face(analyser, _picture(path))
        if face is not None and face.embedding is not None:
            yield face.embedding
    yield from random_fillers(analyser.models.embedder.dimensions)


def gallery_of(
    enrolled: dict[int, Embedding], fillers: list[Embedding], *, model_id: str, dimensions: int
) -> Gallery:
    """``GALLERY_SIZE`` templates, those of the people at the kiosk among the others."""
    missing = GALLERY_SIZE - len(enrolled)
    others = dict(enumerate(fillers[:missing], start=len(enrolled)))
    return Gallery.of({**enrolled, **others}, model_id=model_id, dimensions=dimensions)


def _picture(path: Path) -> Image:
    return decode_photo(path.read_bytes())
