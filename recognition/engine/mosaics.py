"""Class photos made of portraits, for which it is known who is where, and what is found in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.gallery import Decision, Gallery, Identification, identify
from recognition.engine.types import Box, ClassPhotoAnalysis, Embedding, Image

SMALLEST_FACE_PX, LARGEST_FACE_PX = 40, 120
STRANGER = -1
NO_FACE = -2
_CELL_PX = 280
_COLUMNS = 6
_JPEG_QUALITY = 90
_SAME_PLACE = 0.5

Assign = Callable[..., list[Identification]]


@dataclass(frozen=True, slots=True)
class Portrait:
    """Somebody to paste: ``(h, w, 3)`` uint8 RGB, where the face is, and how high it is."""

    image: Image
    face: Box
    face_height_px: float


@dataclass(frozen=True, slots=True)
class Mosaic:
    """A picture and the place of each portrait's face in it, in the portraits' order."""

    jpeg: bytes
    places: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class MosaicTrial:
    """Faces found in one mosaic.

    ``embeddings`` are ``(n, d)``; ``shows`` is ``(n,)``: the row of the gallery that a face
    belongs to, ``STRANGER``, or ``NO_FACE`` for what the detector took for one.
    """

    embeddings: npt.NDArray[np.float32]
    shows: npt.NDArray[np.int64]
    gallery: Gallery
    present: frozenset[int]
    strangers: int


@dataclass(frozen=True, slots=True)
class ClassPhotoFigures:
    """Students marked present, pooled over mosaics: rightly, wrongly, and not although there.

    ``wrong_names`` counts faces that carry the name of somebody else.
    """

    right: int
    wrong: int
    missed: int
    wrong_names: int

    @property
    def precision(self) -> float:
        marked = self.right + self.wrong
        return self.right / marked if marked else 1.0

    @property
    def recall(self) -> float:
        present = self.right + self.missed
        return self.right / present if present else 1.0


def mosaic(portraits: Sequence[Portrait], random: np.random.Generator) -> Mosaic:
    """Paste the portraits in rows, each face 40 to 120 px high, a little out of line."""
    rows = -(-len(portraits) // _COLUMNS)
    canvas = np.full((rows * _CELL_PX, _COLUMNS * _CELL_PX, 3), (150, 145, 138), np.uint8)
    places = []
    for index, portrait in enumerate(portraits):
        top, left = index // _COLUMNS * _CELL_PX, index % _COLUMNS * _CELL_PX
        cell = canvas[top : top + _CELL_PX, left : left + _CELL_PX]
        place = _paste(cell, portrait, random)
        places.append(
            Box(left + place.left, top + place.top, left + place.right, top + place.bottom)
        )
    _, jpeg = cv2.imencode(
        ".jpg",
        cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    )
    return Mosaic(jpeg.tobytes(), tuple(places))


def trial_of(
    analysis: ClassPhotoAnalysis,
    places: Sequence[Box],
    owners: Sequence[int],
    gallery: Gallery,
) -> MosaicTrial:
    """Say of each face whose it is, by its place. ``owners`` are rows of the gallery, or
    ``STRANGER``, in the order of ``places``.
    """
    shows = [
        next(
            (
                owner
                for place, owner in zip(places, owners, strict=True)
                if place.overlap(face.box) >= _SAME_PLACE
            ),
            NO_FACE,
        )
        for face in analysis.faces
    ]
    return MosaicTrial(
        embeddings=np.array([face.embedding for face in analysis.faces], np.float32),
        shows=np.array(shows, np.int64),
        gallery=gallery,
        present=frozenset(owner for owner in owners if owner != STRANGER),
        strangers=sum(owner == STRANGER for owner in owners),
    )


def figures_with(
    assign: Assign, trials: Sequence[MosaicTrial], *, threshold: float, margin: float
) -> ClassPhotoFigures:
    """Who is marked present if ``assign`` says whose the faces are."""
    right = wrong = missed = wrong_names = 0
    for trial in trials:
        rows = {template_id: row for row, template_id in enumerate(trial.gallery.ids)}
        matches = assign(trial.gallery, trial.embeddings, threshold=threshold, margin=margin)
        named = [
            (rows[match.template_id], shown)
            for match, shown in zip(matches, trial.shows.tolist(), strict=True)
            if match.decision is Decision.MATCH and match.template_id is not None
        ]
        marked = {row for row, _shown in named}
        right += len(marked & trial.present)
        wrong += len(marked - trial.present)
        missed += len(trial.present - marked)
        wrong_names += sum(row != shown for row, shown in named)
    return ClassPhotoFigures(right, wrong, missed, wrong_names)


def each_face_alone(
    gallery: Gallery, embeddings: Sequence[Embedding], *, threshold: float, margin: float
) -> list[Identification]:
    """What ``assignment.assign`` is measured against: no face knows of the others."""
    return [
        identify(gallery, embedding, threshold=threshold, margin=margin) for embedding in embeddings
    ]


def threshold_at(share: float, trials: Sequence[MosaicTrial]) -> float:
    """The least similarity that at most this share of the strangers reaches with anybody."""
    nearest = np.concatenate(
        [
            (trial.embeddings[trial.shows == STRANGER] @ trial.gallery.matrix.T).max(axis=1)
            for trial in trials
        ]
    )
    allowed = int(share * len(nearest))
    return float(np.nextafter(np.sort(nearest)[::-1][allowed], np.float32(2)))


def _paste(cell: Image, portrait: Portrait, random: np.random.Generator) -> Box:
    """Put a portrait into its cell; the box says where its face came to be."""
    height_px = random.uniform(SMALLEST_FACE_PX, LARGEST_FACE_PX)
    scale = height_px / portrait.face_height_px
    (x, y), face = portrait.face.centre, portrait.face
    centre = np.array([_CELL_PX / 2, _CELL_PX / 2]) + random.uniform(-20, 20, size=2)
    shift = centre - scale * np.array([x, y])
    size = (
        max(1, round(portrait.image.shape[1] * scale)),
        max(1, round(portrait.image.shape[0] * scale)),
    )
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(portrait.image, size, interpolation=method)
    left, top = np.round(shift).astype(int).tolist()
    inside = cell[max(0, top) : top + size[1], max(0, left) : left + size[0]]
    inside[:] = scaled[
        max(0, -top) : max(0, -top) + inside.shape[0],
        max(0, -left) : max(0, -left) + inside.shape[1],
    ]
    return Box(
        round(left + face.left * scale),
        round(top + face.top * scale),
        round(left + face.right * scale),
        round(top + face.bottom * scale),
    )
