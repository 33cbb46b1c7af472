"""Class photos made of a folder of faces, looked at by the workers. For `manage.py evaluate`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recognition.engine.gallery import Gallery, fuse
from recognition.engine.mosaics import STRANGER, Mosaic, MosaicTrial, Portrait, mosaic, trial_of
from recognition.engine.pool import WorkerPool
from recognition.engine.types import Embedding, EngineError, PortraitAnalysis

PRESENT_SHARE = 0.6
STRANGERS = 6
_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture with one face, and what was found of it."""

    path: Path
    analysis: PortraitAnalysis

    @property
    def embedding(self) -> Embedding:
        face = self.analysis.analysis.main_face
        if face is None or face.embedding is None:
            raise ValueError(f"{self.path} shows no single face")
        return face.embedding

    def portrait(self) -> Portrait:
        face = self.analysis.analysis.main_face
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR_RGB)
        if face is None or image is None:
            raise ValueError(f"{self.path} cannot be pasted: it shows no face")
        return Portrait(np.asarray(image, np.uint8), face.box, face.quality.face_height_px)


People = Mapping[str, Sequence[LabelledPicture]]


def labelled_pictures(
    pool: WorkerPool, pictures: Mapping[str, Sequence[Path]]
) -> dict[str, list[LabelledPicture]]:
    """The pictures of each person in which a single face was found."""
    people: dict[str, list[LabelledPicture]] = {}
    paths = [(name, path) for name, of_one in pictures.items() for path in of_one]
    futures = (pool.analyse_portrait(path.read_bytes()) for _name, path in paths)
    for (name, path), future in zip(paths, _few_at_once(futures), strict=True):
        try:
            analysis = future.result()
        except EngineError:
            continue
        face = analysis.analysis.main_face
        if face is not None and face.embedding is not None:
            people.setdefault(name, []).append(LabelledPicture(path, analysis))
    return people


def halves(people: People, *, enrol: int, seed: int) -> tuple[People, People]:
    """Two groups without a common person, each with half of those who can be enrolled."""
    random = np.random.default_rng(seed)
    groups: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for names in (
        [name for name, pictures in people.items() if len(pictures) > enrol],
        [name for name, pictures in people.items() if len(pictures) <= enrol],
    ):
        for index, name in enumerate(random.permutation(names).tolist()):
            groups[index % 2][name] = people[name]
    return groups


def class_photo_trials(
    pool: WorkerPool, people: People, *, class_size: int, enrol: int, draws: int, seed: int
) -> list[MosaicTrial]:
    """Make ``draws`` class photos and look at them.

    Each has a class of its own: ``class_size`` people, enrolled from ``enrol`` pictures; 60 % of
    them are in the photo, with another picture, among six strangers.

    Raises:
        ValueError: there are too few people.
    """
    members = [name for name, pictures in people.items() if len(pictures) > enrol]
    if len(members) < class_size or len(people) - class_size < STRANGERS:
        raise ValueError(
            f"got {len(members)} people with more than {enrol} pictures and {len(people)} in all, "
            f"expected at least {class_size} of the first kind and {STRANGERS} others in each half "
            "of the people; choose a smaller gallery"
        )
    random = np.random.default_rng(seed)
    drawn = [_draw(people, members, class_size, enrol, random) for _ in range(draws)]
    futures = (pool.analyse_class_photo(photo.jpeg) for photo, _owners, _gallery in drawn)
    return [
        trial_of(future.result(), photo.places, owners, gallery)
        for (photo, owners, gallery), future in zip(drawn, _few_at_once(futures), strict=True)
    ]


def _draw(
    people: People,
    members: Sequence[str],
    class_size: int,
    enrol: int,
    random: np.random.Generator,
) -> tuple[Mosaic, list[int], Gallery]:
    in_class = random.permutation(members)[:class_size].tolist()
    others = sorted(set(people) - set(in_class))
    pictures = {name: random.permutation(len(people[name])).tolist() for name in in_class}
    templates = {
        row: fuse([people[name][picture].embedding for picture in pictures[name][:enrol]])
        for row, name in enumerate(in_class)
    }
    present = random.permutation(class_size)[: round(PRESENT_SHARE * class_size)].tolist()
    shown = [(row, people[in_class[row]][pictures[in_class[row]][enrol]]) for row in present]
    shown += [
        (STRANGER, people[name][0]) for name in random.permutation(others)[:STRANGERS].tolist()
    ]
    shown = [shown[index] for index in random.permutation(len(shown))]
    photo = mosaic([picture.portrait() for _row, picture in shown], random)
    dimensions = len(templates[0])
    gallery = Gallery.of(templates, model_id="evaluation", dimensions=dimensions)
    return photo, [row for row, _picture in shown], gallery


def _few_at_once(futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
    """The futures in their order; few are submitted ahead, so that few pictures are in memory."""
    ahead = iter(futures)
    waiting = list(itertools.islice(ahead, _IN_FLIGHT))
    while waiting:
        yield waiting.pop(0)
        waiting += itertools.islice(ahead, 1)
