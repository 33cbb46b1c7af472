"""From pictures of a face to a template, with a verdict for each picture."""

from __future__ import annotations

import pytest

from recognition.engine.gallery import similarity
from recognition.models import FaceTemplate
from recognition.services import enrol_face, withdraw_consent
from recognition.workers import active_model_id
from roster.models import Student
from tests.support import pictures
from tests.support.school import a_consent
from tests.support.shared import MEDIA, needs_faces, needs_media


@pytest.fixture
def willing(eileen: Student) -> Student:
    """Eileen, who has consented."""
    a_consent(eileen)
    return eileen


def test_a_good_portrait_makes_a_template(willing, alice, astronaut_embedding):
    result = enrol_face(student=willing, photos=[pictures.portrait()], enrolled_by=alice)
    assert result.message == "Enrolled from 1 of 1 pictures."
    assert [verdict.accepted for verdict in result.verdicts] == [True]
    template = FaceTemplate.objects.get()
    assert template == result.template
    assert (template.student, template.created_by) == (willing, alice)
    assert (template.model_id, template.photo_count) == (active_model_id(), 1)
    assert template.agreement is None
    assert similarity(template.vector(), astronaut_embedding) > 0.999


def test_nobody_is_enrolled_without_consent(eileen):
    result = enrol_face(student=eileen, photos=[pictures.portrait()])
    assert result.template is None
    assert "no consent" in result.message
    assert FaceTemplate.objects.count() == 0


def test_nobody_is_enrolled_after_withdrawing_consent(willing):
    withdraw_consent(student=willing)
    assert enrol_face(student=willing, photos=[pictures.portrait()]).template is None


@pytest.mark.parametrize("count", [0, 6])
def test_one_to_five_pictures_are_taken(willing, count):
    result = enrol_face(student=willing, photos=[pictures.portrait()] * count)
    assert result.template is None
    assert result.message == f"Got {count} pictures, expected 1 to 5."


def test_five_pictures_make_one_template(willing):
    result = enrol_face(student=willing, photos=[pictures.portrait()] * 5)
    assert result.template is not None
    assert result.template.photo_count == 5
    assert result.template.agreement == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_picture_lying_on_its_side_is_set_upright(willing, astronaut_embedding, orientation):
    result = enrol_face(student=willing, photos=[pictures.on_its_side(orientation)])
    assert result.template is not None
    assert similarity(result.template.vector(), astronaut_embedding) > 0.98


@pytest.mark.parametrize("picture", [pictures.greyscale, pictures.with_alpha])
def test_pictures_without_colour_and_with_transparency_are_taken(
    willing, astronaut_embedding, picture
):
    result = enrol_face(student=willing, photos=[picture()])
    assert result.template is not None
    assert similarity(result.template.vector(), astronaut_embedding) > 0.95


@pytest.mark.parametrize(
    ("picture", "code", "message"),
    [
        (pictures.nobody, "no_face", "No face was found"),
        (pictures.two_people, "several_faces", "More than one face"),
        (lambda: b"", "empty_image", "empty file"),
        (
            lambda: b"GIF89a, or so it says",
            "not_a_picture",
            "not a JPEG, PNG, WebP or HEIC picture",
        ),
        (pictures.png_bomb, "photo_too_many_pixels", "far too many pixels"),
        (pictures.jpeg_bomb, "photo_too_many_pixels", "far too many pixels"),
        (lambda: pictures.truncated(pictures.portrait()), "broken_picture", "cut off on the way"),
    ],
    ids=["nobody", "two people", "empty", "no picture", "PNG bomb", "JPEG bomb", "truncated"],
)
def test_a_picture_that_cannot_be_used_is_told_why(willing, picture, code, message):
    result = enrol_face(student=willing, photos=[picture()])
    assert result.template is None
    assert result.message == "No picture could be used. Nothing was changed."
    assert result.verdicts[0].code == code
    assert message in result.verdicts[0].message


@needs_media
def test_a_picture_of_two_different_people_is_refused(willing):
    result = enrol_face(student=willing, photos=[(MEDIA / "two_people.jpg").read_bytes()])
    assert [verdict.code for verdict in result.verdicts] == ["several_faces"]


def test_good_pictures_are_used_and_bad_ones_left_out(willing):
    result = enrol_face(
        student=willing, photos=[pictures.nobody(), pictures.portrait(), b"rubbish"]
    )
    assert result.template is not None
    assert result.template.photo_count == 1
    assert result.message == "Enrolled from 1 of 3 pictures."
    assert [verdict.code for verdict in result.verdicts] == ["no_face", "", "not_a_picture"]


def test_a_second_enrolment_replaces_the_first(willing):
    first = enrol_face(student=willing, photos=[pictures.portrait()]).template
    second = enrol_face(student=willing, photos=[pictures.portrait()]).template
    assert first is not None
    first.refresh_from_db()
    assert first.revoked_at is not None
    assert list(FaceTemplate.objects.filter(revoked_at=None)) == [second]


def test_a_failed_enrolment_keeps_the_template_in_force(willing):
    first = enrol_face(student=willing, photos=[pictures.portrait()]).template
    enrol_face(student=willing, photos=[pictures.nobody()])
    assert list(FaceTemplate.objects.filter(revoked_at=None)) == [first]


@needs_faces
def test_pictures_of_one_person_make_one_template(willing):
    result = enrol_face(student=willing, photos=pictures.pictures_of("Calista_Flockhart", 3))
    assert result.template is not None
    assert result.template.photo_count == 3
    assert result.template.agreement is not None
    assert 0.9 < result.template.agreement < 1


@needs_faces
def test_pictures_of_two_people_are_refused(willing):
    photos = [pictures.portrait(), *pictures.pictures_of("Donald_Rumsfeld", 1)]
    result = enrol_face(student=willing, photos=photos)
    assert result.template is None
    assert [verdict.code for verdict in result.verdicts] == ["does_not_match_others"] * 2


@needs_faces
def test_the_odd_one_out_is_left_out(willing, astronaut_embedding):
    photos = [
        pictures.portrait(),
        pictures.greyscale(),
        *pictures.pictures_of("Donald_Rumsfeld", 1),
    ]
    result = enrol_face(student=willing, photos=photos)
    assert [verdict.code for verdict in result.verdicts] == ["", "", "does_not_match_others"]
    assert result.template is not None
    assert similarity(result.template.vector(), astronaut_embedding) > 0.95
