"""A folder of labelled faces, looked at by the workers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings

from recognition.engine.open_set import People
from recognition.engine.types import EngineError, Face, FrameAnalysis
from recognition.workers import worker_pool

PICTURES = ("*.jpg", "*.jpeg", "*.png", "*.webp")
TELL_EVERY = 100
_IN_FLIGHT_PER_WORKER = 4

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class FaceOnFile:
    """A picture and the single face that was found in it, with its embedding."""

    path: Path
    face: Face


@dataclass(frozen=True, slots=True)
class Faces:
    """The usable pictures of each person, and how many were left out."""

    people: Mapping[str, list[FaceOnFile]]
    left_out: int

    def embeddings(self) -> People:
        return {
            name: np.stack([one.face.embedding for one in pictures])  # type: ignore[misc]
            for name, pictures in self.people.items()
        }


def pictures_by_person(folder: Path) -> dict[str, list[Path]]:
    """The pictures in each sub-folder, sorted, so that a seed draws the same again.

    Raises:
        ValueError: it is no folder, or holds no pictures.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: expected DIR/<person>/<picture>")
    people = {
        person.name: sorted(itertools.chain(*[person.glob(pattern) for pattern in PICTURES]))
        for person in sorted(folder.iterdir())
        if person.is_dir()
    }
    people = {name: paths for name, paths in people.items() if paths}
    if not people:
        raise ValueError(f"{folder} holds no pictures: expected DIR/<person>/<picture>")
    return people


def faces_in(pictures: Mapping[str, Iterable[Path]], say: Say) -> Faces:
    """The faces of these pictures. ``say`` is told now and then how far it is.

    Raises:
        EngineError: the models are missing or broken.
    """
    people: dict[str, list[FaceOnFile]] = {}
    left_out = 0
    total, started_s = sum(len(list(paths)) for paths in pictures.values()), time.monotonic()
    for done, (name, path, face) in enumerate(_analysed(pictures), start=1):
        if face is None:
            left_out += 1
        else:
            people.setdefault(name, []).append(FaceOnFile(path, face))
        if done % TELL_EVERY == 0:
            spent_s = time.monotonic() - started_s
            say(f"{done} of {total} pictures, {done / spent_s:.0f} a second")
    return Faces(people, left_out)


def _analysed(
    pictures: Mapping[str, Iterable[Path]],
) -> Iterator[tuple[str, Path, Face | None]]:
    """In the order that is given, a few pictures at once."""
    todo = ((name, path) for name, paths in pictures.items() for path in paths)
    in_flight: list[tuple[str, Path, Future[FrameAnalysis]]] = []
    limit = _IN_FLIGHT_PER_WORKER * settings.RECOGNITION_WORKERS
    while True:
        for name, path in itertools.islice(todo, limit - len(in_flight)):
            in_flight.append((name, path, worker_pool().analyse_photo(path.read_bytes())))
        if not in_flight:
            return
        name, path, future = in_flight.pop(0)
        yield name, path, _face_of(future)


def _face_of(future: Future[FrameAnalysis]) -> Face | None:
    try:
        face = future.result().main_face
    except EngineError:
        return None
    return face if face is not None and face.embedding is not None else None
