"""Everybody in a picture of a class is found: near and far, few and many."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from recognition.engine.analysis import Analyser
from recognition.engine.assignment import assign
from recognition.engine.class_photo import LONGER_SIDE_PX, analyse_class_photo, distinct, tiles
from recognition.engine.gallery import Decision, Gallery, fuse
from recognition.engine.images import decode_photo, jpeg_size
from recognition.engine.models import Detection
from recognition.engine.mosaics import (
    NO_FACE,
    STRANGER,
    MosaicTrial,
    Portrait,
    each_face_alone,
    figures_with,
    mosaic,
    threshold_at,
    trial_of,
)
from recognition.engine.thresholds import CLASS_PHOTO_IDENTIFICATION, ClassPhotoThresholds
from recognition.engine.types import Box, EngineError, Face, Image
from tests.support import pictures
from tests.support.portraits import as_file, as_jpeg, astronaut
from tests.support.shared import MEDIA, needs_media

# dlib's detector, measured: where the face is in the astronaut's picture.
FACE = Box(179, 83, 267, 171)
HEAD = Box(130, 30, 320, 230)


def head(face_height_px: float) -> Image:
    """The astronaut's head, her face so high."""
    scale = face_height_px / FACE.height
    cut = astronaut()[HEAD.top : HEAD.bottom, HEAD.left : HEAD.right]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, None, fx=scale, fy=scale, interpolation=method), np.uint8)


def wall(width: int, height: int) -> Image:
    return np.full((height, width, 3), (170, 165, 150), np.uint8)


def hang(on: Image, picture: Image, *, left: int, top: int) -> None:
    on[top : top + picture.shape[0], left : left + picture.shape[1]] = picture


# Where faces are looked for


@pytest.mark.parametrize("size", [(90, 50), (100, 100), (101, 100), (1000, 333)])
def test_tiles_cover_every_pixel_and_are_not_larger_than_told(size):
    width, height = size
    covered = np.zeros((height, width), int)
    for tile in tiles(width, height, side=100, overlap=20):
        assert tile.width <= 100
        assert tile.height <= 100
        covered[tile.top : tile.bottom, tile.left : tile.right] += 1

    assert covered.min() == 1


def test_a_face_on_the_seam_is_whole_in_one_of_the_tiles():
    on_any_place = [Box(left, 0, left + 20, 20) for left in range(230)]
    for face in on_any_place:
        assert any(
            tile.left <= face.left and face.right <= tile.right
            for tile in tiles(250, 90, side=100, overlap=20)
        )


def test_of_two_boxes_of_one_face_the_surer_stays():
    whole, part = Detection(Box(0, 0, 40, 40), 1.0), Detection(Box(5, 0, 40, 40), 0.4)
    neighbour = Detection(Box(35, 0, 75, 40), 0.2)

    assert distinct([neighbour, part, whole], 0.5) == [whole, neighbour]


def test_faces_of_all_sizes_are_found_where_they_are(analyser: Analyser):
    photo = wall(2400, 1800)
    hang(photo, head(45), left=1800, top=900)
    hang(photo, head(90), left=1900, top=100)
    hang(photo, head(700), left=0, top=0)
    found = analyse_class_photo(analyser, as_jpeg(photo))

    assert [face.box.centre for face in found.faces] == [
        pytest.approx((740, 773), abs=60),
        pytest.approx((1848, 950), abs=8),
        pytest.approx((1995, 199), abs=10),
    ]
    assert (found.width, found.height) == (2400, 1800)
    assert jpeg_size(found.picture_jpeg) == (2400, 1800)


def test_faces_large_and_small_have_the_embedding_of_the_person(
    analyser: Analyser, astronaut_face: Face
):
    photo = wall(900, 500)
    hang(photo, head(50), left=30, top=30)
    hang(photo, head(130), left=400, top=100)
    found = analyse_class_photo(analyser, as_jpeg(photo))

    assert astronaut_face.embedding is not None
    assert [
        face.embedding @ astronaut_face.embedding
        for face in found.faces
        if face.embedding is not None
    ] == [pytest.approx(0.985, abs=0.015)] * 2


def test_a_photo_without_faces(analyser: Analyser):
    found = analyse_class_photo(analyser, pictures.nobody())

    assert found.faces == ()
    assert found.faces_left_out == 0


def test_two_hundred_faces(analyser: Analyser):
    photo = wall(2200, 1200)
    for number in range(200):
        hang(photo, head(44), left=number % 20 * 108, top=number // 20 * 118)
    found = analyse_class_photo(analyser, as_jpeg(photo))

    assert len(found.faces) >= 198
    assert found.faces_left_out == 0


def test_the_number_of_faces_is_bounded(analyser: Analyser):
    photo = wall(700, 250)
    for number in range(4):
        hang(photo, head(60), left=number * 160, top=30)
    found = analyse_class_photo(analyser, as_jpeg(photo), ClassPhotoThresholds(most_faces=3))

    assert len(found.faces) == 3
    assert found.faces_left_out == 1


def test_a_photo_of_sixty_megapixels_is_taken_and_reduced(analyser: Analyser):
    photo = wall(9000, 6700)
    hang(photo, head(180), left=4000, top=3000)
    found = analyse_class_photo(analyser, as_jpeg(photo, quality=60))

    assert found.width == LONGER_SIDE_PX
    assert len(found.faces) == 1


def test_a_photo_of_more_than_sixty_four_megapixels_is_refused(analyser: Analyser):
    with pytest.raises(EngineError, match="at most 64 megapixels are accepted"):
        analyse_class_photo(analyser, pictures.png_bomb(9000, 7200))


def test_what_is_no_picture_is_refused(analyser: Analyser):
    with pytest.raises(EngineError, match="it is a PDF document"):
        analyse_class_photo(analyser, pictures.NO_PHOTOS["PDF"])


def test_nothing_of_the_file_but_its_pixels_is_left(analyser: Analyser):
    exif = PillowImage.Exif()
    exif[0x010E] = "taken in room 101"
    found = analyse_class_photo(
        analyser, as_file(PillowImage.fromarray(astronaut()), "JPEG", exif=exif)
    )

    assert b"room 101" not in found.picture_jpeg


# On real pictures


@needs_media
@pytest.mark.parametrize("photo", ["obama_and_biden.jpg", "two_people.jpg"])
def test_the_two_of_the_class_are_found_and_nobody_else(analyser: Analyser, photo: str):
    """In one of the pictures a third face, a child's, stands in the background."""
    gallery = gallery_of_portraits(
        analyser,
        [
            ["obama.jpg", "obama2.jpg"],
            ["biden.jpg", "biden2.jpg"],
            ["lin-manuel-miranda.png"],
            ["alex-lacamoire.png"],
        ],
    )
    found = analyse_class_photo(analyser, (MEDIA / photo).read_bytes())
    matches = assign(
        gallery,
        [face.embedding for face in found.faces if face.embedding is not None],
        threshold=CLASS_PHOTO_IDENTIFICATION.similarity_for(len(gallery)),
        margin=CLASS_PHOTO_IDENTIFICATION.margin,
    )

    named = [match for match in matches if match.decision is Decision.MATCH]
    assert sorted(match.template_id or 0 for match in named) == [0, 1]


def gallery_of_portraits(analyser: Analyser, names: list[list[str]]) -> Gallery:
    templates = {}
    for number, of_one in enumerate(names):
        faces = [
            analyser.analyse_photo(decode_photo((MEDIA / name).read_bytes())).main_face
            for name in of_one
        ]
        templates[number] = fuse(
            [face.embedding for face in faces if face and face.embedding is not None]
        )
    return Gallery.of(templates, model_id="portraits", dimensions=128)


# Class photos for which it is known who is where


def test_a_mosaic_says_where_its_faces_are(analyser: Analyser):
    portrait = Portrait(astronaut(), FACE, float(FACE.height))
    photo = mosaic([portrait] * 8, np.random.default_rng(1))
    gallery = Gallery((0,), np.eye(1, 128, dtype=np.float32), "none")
    trial = trial_of(
        analyse_class_photo(analyser, photo.jpeg), photo.places, [0, *[STRANGER] * 7], gallery
    )

    assert sorted(trial.shows[trial.shows != NO_FACE].tolist()) == [*[STRANGER] * 7, 0]


#: Two students, of whom the first is there, and a stranger: 0.8 like the first, 0.6 the second.
TRIAL = MosaicTrial(
    embeddings=np.array([[1.0, 0.0], [0.8, 0.6]], np.float32),
    shows=np.array([0, STRANGER]),
    gallery=Gallery((5, 6), np.eye(2, dtype=np.float32), "by-hand"),
    present=frozenset({0}),
    strangers=1,
)


def test_figures_of_a_trial_worked_out_by_hand():
    together = figures_with(assign, [TRIAL], threshold=0.5, margin=0)
    strict = figures_with(assign, [TRIAL], threshold=0.7, margin=0)
    alone = figures_with(each_face_alone, [TRIAL], threshold=0.5, margin=0)

    assert (together.right, together.wrong, together.missed, together.wrong_names) == (1, 1, 0, 1)
    assert (together.precision, together.recall) == (0.5, 1.0)
    assert (strict.precision, strict.recall, strict.wrong_names) == (1.0, 1.0, 0)
    assert (alone.precision, alone.recall, alone.wrong_names) == (1.0, 1.0, 1)


def test_the_threshold_that_no_stranger_passes():
    assert 0.8 < threshold_at(0.0, [TRIAL]) < 0.801
