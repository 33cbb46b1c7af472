"""What is kept of a face opens only with our keys, and only for its owner."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from recognition.sealing import TemplateUnreadableError, open_vector, seal_vector
from tests.support.face_samples import an_embedding
from tests.support.school import a_template

OLD, NEW, FOREIGN = (Fernet.generate_key().decode() for _ in range(3))
VECTOR = an_embedding(1)


def sealed() -> bytes:
    return seal_vector(VECTOR, student_pk=7, model_id="m")


@pytest.fixture(autouse=True)
def one_key(settings):
    settings.TEMPLATE_KEYS = [OLD]


def test_what_was_sealed_opens_unchanged():
    opened = open_vector(sealed(), student_pk=7, model_id="m")
    assert opened.dtype == np.float32
    np.testing.assert_array_equal(opened, VECTOR)


def test_the_vector_cannot_be_read_from_what_is_stored():
    assert VECTOR.tobytes()[:16] not in sealed()
    assert sealed() != sealed()


def test_an_old_key_still_opens_after_the_rotation(settings):
    before = sealed()
    settings.TEMPLATE_KEYS = [NEW, OLD]
    np.testing.assert_array_equal(open_vector(before, student_pk=7, model_id="m"), VECTOR)


def test_after_the_rotation_the_new_key_seals(settings):
    settings.TEMPLATE_KEYS = [NEW, OLD]
    after = sealed()
    settings.TEMPLATE_KEYS = [NEW]
    np.testing.assert_array_equal(open_vector(after, student_pk=7, model_id="m"), VECTOR)


def test_a_key_that_was_taken_away_opens_nothing(settings):
    before = sealed()
    settings.TEMPLATE_KEYS = [FOREIGN, NEW]
    with pytest.raises(TemplateUnreadableError, match="none of the 2 TEMPLATE_KEYS opens"):
        open_vector(before, student_pk=7, model_id="m")


@pytest.mark.parametrize(("student_pk", "model_id"), [(8, "m"), (77, "m"), (7, "other")])
def test_a_row_copied_to_somebody_else_does_not_open(student_pk, model_id):
    with pytest.raises(TemplateUnreadableError, match="sealed for another student or model"):
        open_vector(sealed(), student_pk=student_pk, model_id=model_id)


@pytest.mark.parametrize("damage", [b"", b"not a token", "cut off"])
def test_what_was_damaged_does_not_open(damage):
    broken = sealed()[:-10] if damage == "cut off" else damage
    with pytest.raises(TemplateUnreadableError):
        open_vector(broken, student_pk=7, model_id="m")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_without_numbers_is_not_sealed(value):
    with pytest.raises(ValueError, match="NaN or infinity"):
        seal_vector(np.array([1, value], np.float32), student_pk=7, model_id="m")


@pytest.mark.parametrize("key", ["secret", "a" * 44, "ключ"])
def test_a_key_that_is_none_stops_the_program(settings, key):
    settings.TEMPLATE_KEYS = [key]
    with pytest.raises(ImproperlyConfigured, match="TEMPLATE_KEYS holds something that is no key"):
        sealed()


def test_a_template_opens_for_its_student_only(eileen, dmitri):
    template = a_template(eileen, VECTOR)
    np.testing.assert_array_equal(template.vector(), VECTOR)
    template.student = dmitri
    with pytest.raises(TemplateUnreadableError):
        template.vector()
