"""What is kept of a photo: one person's head and shoulders, made anew from pixels."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import pytest
from PIL import Image as PillowImage

from recognition.engine.analysis import Analyser
from recognition.engine.images import decode_photo
from recognition.engine.portrait import LONGER_SIDE_PX, portrait_jpeg
from recognition.engine.types import Box, Face, Image, PortraitAnalysis
from tests.support import pictures
from tests.support.portraits import as_jpeg, astronaut, astronaut_frame
from tests.support.shared import lfw_pictures, needs_faces

START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
STARTS_OF_METADATA = (b"Exif", b"http://ns.adobe.com", b"ICC_PROFILE", b"Photoshop", b"\xff\xfe")


def portrait_of(analyser: Analyser, image: Image) -> tuple[PortraitAnalysis, Image]:
    result = analyser.analyse_portrait(image)
    assert result.portrait_jpeg is not None
    return result, decode_photo(result.portrait_jpeg)


def test_the_portrait_shows_head_and_shoulders_and_little_else(analyser: Analyser) -> None:
    result, portrait = portrait_of(analyser, astronaut_frame(1500, 1000, face_share=0.25))
    face = result.analysis.main_face
    again = analyser.analyse_photo(portrait).main_face

    assert face is not None
    assert again is not None
    assert portrait.shape[:2] == pytest.approx((2.2 * face.box.height, 2.2 * face.box.width), abs=2)
    assert again.box.centre == pytest.approx(
        (1.1 * face.box.width, 1.1 * face.box.height), abs=0.1 * face.box.height
    )


def test_the_portrait_ends_where_the_photo_ends(analyser: Analyser) -> None:
    head = astronaut()[60:200, 140:310]

    _, portrait = portrait_of(analyser, head)

    assert portrait.shape == head.shape


def test_a_large_face_is_reduced(analyser: Analyser) -> None:
    _, portrait = portrait_of(analyser, astronaut_frame(1600, 1600, face_share=0.7))

    assert max(portrait.shape[:2]) == LONGER_SIDE_PX


def test_there_is_no_portrait_without_a_face(analyser: Analyser) -> None:
    result = analyser.analyse_portrait(decode_photo(pictures.nobody()))

    assert (result.portrait_jpeg, result.analysis.faces) == (None, ())


def test_a_photo_is_judged_without_a_template_being_made(analyser: Analyser) -> None:
    judged = analyser.analyse_portrait(astronaut(), embed=False)
    embedded = analyser.analyse_portrait(astronaut())

    assert [face.embedding for face in judged.analysis.faces] == [None]
    assert judged.portrait_jpeg == embedded.portrait_jpeg
    (face,), (same_face,) = judged.analysis.faces, embedded.analysis.faces
    assert face.quality == same_face.quality
    assert same_face.embedding is not None


def test_the_portrait_is_upright_and_says_nothing_of_the_phone(analyser: Analyser) -> None:
    upright = analyser.analyse_portrait(decode_photo(as_jpeg(astronaut())))
    turned = analyser.analyse_portrait(decode_photo(pictures.on_its_side(6)))

    for result in (upright, turned):
        assert result.portrait_jpeg is not None
        assert len(analyser.analyse_photo(decode_photo(result.portrait_jpeg)).faces) == 1
        assert not [start for start in STARTS_OF_METADATA if start in result.portrait_jpeg]
        picture = PillowImage.open(io.BytesIO(result.portrait_jpeg))
        assert not picture.getexif()
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_bystander_is_hidden(analyser: Analyser) -> None:
    """A head of half the size, close to the other one."""
    picture = astronaut_frame(1400, 900, face_share=0.3)
    picture[200:424, 825:1017] = cv2.resize(astronaut()[60:200, 165:285], (192, 224))
    faces = analyser.analyse_photo(picture).faces
    assert len(faces) == 2

    hidden = decode_photo(portrait_jpeg(picture, faces))
    shown = decode_photo(portrait_jpeg(picture, faces[:1]))

    assert len(analyser.analyse_photo(shown).faces) == 2
    assert len(analyser.analyse_photo(hidden).faces) == 1


def test_a_bystander_cannot_hide_the_main_face(analyser: Analyser, astronaut_face: Face) -> None:
    box = astronaut_face.box
    overlapping = replace(astronaut_face, box=Box(box.left + 20, box.top + 20, box.right, 512))

    portrait = decode_photo(portrait_jpeg(astronaut(), (astronaut_face, overlapping)))
    again = analyser.analyse_photo(portrait).main_face

    assert again is not None
    assert again.embedding is not None
    assert again.embedding @ astronaut_face.embedding > 0.99


@pytest.mark.parametrize("hanger_on", pictures.HANGERS_ON.values(), ids=pictures.HANGERS_ON)
def test_nothing_that_hangs_on_a_photo_survives_in_the_portrait(
    analyser: Analyser, hanger_on: bytes
) -> None:
    photo = pictures.with_comment(pictures.portrait(), hanger_on) + hanger_on
    assert photo.count(b"hanger-on") == 2

    result = analyser.analyse_portrait(decode_photo(photo))

    assert result.portrait_jpeg is not None
    assert b"hanger-on" not in result.portrait_jpeg
    assert result.portrait_jpeg.startswith(START_OF_IMAGE)
    assert result.portrait_jpeg.index(END_OF_IMAGE) == len(result.portrait_jpeg) - 2


@needs_faces
def test_the_portrait_is_as_good_as_the_photo(analyser: Analyser) -> None:
    """Of 1172 pictures 4 fall below, to 0.991: another box is found, whatever the quality."""
    similarities = []
    for paths in list(lfw_pictures().values())[:60]:
        result = analyser.analyse_portrait(decode_photo(paths[0].read_bytes()))
        if result.analysis.main_face is None or result.analysis.main_face.embedding is None:
            continue
        assert result.portrait_jpeg is not None
        again = analyser.analyse_photo(decode_photo(result.portrait_jpeg)).main_face
        assert again is not None
        assert again.embedding is not None
        similarities.append(again.embedding @ result.analysis.main_face.embedding)

    assert len(similarities) > 50
    assert min(similarities) >= 0.995
