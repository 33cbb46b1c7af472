"""Every process sees enrolments, revocations and changes of the class list by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from recognition import selectors
from recognition.engine.gallery import Gallery
from recognition.engine.thresholds import COHORT
from recognition.models import Consent
from recognition.selectors import GalleryCache
from recognition.services import revoke_template, withdraw_consent
from roster.models import ClassSession, CourseEnrolment
from tests.support.face_samples import an_embedding
from tests.support.school import MODEL_ID, a_student, a_template, enrol_in


@pytest.fixture
def cache() -> GalleryCache:
    """Reads the ids again at each question."""
    return GalleryCache(fresh_s=0)


def gallery_of(cache: GalleryCache, *sessions: ClassSession) -> Gallery:
    return cache.gallery_for(sessions, model_id=MODEL_ID, dimensions=128)


def test_a_gallery_holds_the_class_and_nobody_else(cache, math_session, eileen, dmitri):
    template = a_template(eileen, an_embedding(1))
    a_template(dmitri, an_embedding(2))
    gallery = gallery_of(cache, math_session)
    assert gallery.ids == (template.pk,)
    assert gallery.model_id == MODEL_ID
    np.testing.assert_allclose(gallery.matrix[0], an_embedding(1), atol=1e-6)


def test_a_class_without_templates_is_an_empty_gallery(cache, math_session, eileen):
    assert len(gallery_of(cache, math_session)) == 0


def test_two_sessions_share_a_gallery_and_hold_a_student_of_both_once(
    cache, math_session, chem_session, chem, eileen, dmitri
):
    enrol_in(chem, eileen)
    ids = {a_template(eileen, an_embedding(1)).pk, a_template(dmitri, an_embedding(2)).pk}
    gallery = gallery_of(cache, math_session, chem_session)
    assert len(gallery) == 2
    assert set(gallery.ids) == ids


def test_a_gallery_is_trusted_while_it_is_fresh(math_session, eileen):
    cache = GalleryCache(fresh_s=3600)
    assert len(gallery_of(cache, math_session)) == 0
    a_template(eileen, an_embedding(1))
    assert len(gallery_of(cache, math_session)) == 0


def test_a_fresh_gallery_costs_no_query(django_assert_num_queries, math_session, eileen):
    cache = GalleryCache(fresh_s=3600)
    gallery_of(cache, math_session)
    with django_assert_num_queries(0):
        gallery_of(cache, math_session)


def test_an_unchanged_class_is_not_decrypted_again(cache, math_session, eileen, settings):
    a_template(eileen, an_embedding(1))
    before = gallery_of(cache, math_session)
    settings.TEMPLATE_KEYS = [Fernet.generate_key().decode()]
    assert gallery_of(cache, math_session) is before


def test_a_new_enrolment_is_seen(cache, math_session, math, eileen):
    a_template(eileen, an_embedding(1))
    assert len(gallery_of(cache, math_session)) == 1
    joiner = a_template(a_student("S-9", "Newly Enrolled", math), an_embedding(2))
    gallery = gallery_of(cache, math_session)
    assert len(gallery) == 2
    row = gallery.ids.index(joiner.pk)
    np.testing.assert_allclose(gallery.matrix[row], an_embedding(2), atol=1e-6)


def test_a_re_enrolment_replaces_the_vector(cache, math_session, eileen):
    first = a_template(eileen, an_embedding(1))
    gallery_of(cache, math_session)
    revoke_template(first)
    second = a_template(eileen, an_embedding(3))
    gallery = gallery_of(cache, math_session)
    assert gallery.ids == (second.pk,)
    np.testing.assert_allclose(gallery.matrix[0], an_embedding(3), atol=1e-6)


def test_a_revoked_template_is_gone(cache, math_session, eileen):
    template = a_template(eileen, an_embedding(1))
    gallery_of(cache, math_session)
    revoke_template(template)
    assert len(gallery_of(cache, math_session)) == 0


def test_withdrawn_consent_is_obeyed(cache, math_session, eileen):
    a_template(eileen, an_embedding(1))
    gallery_of(cache, math_session)
    withdraw_consent(student=eileen)
    assert len(gallery_of(cache, math_session)) == 0


def test_ended_consent_is_obeyed_even_while_the_template_is_there(cache, math_session, eileen):
    a_template(eileen, an_embedding(1))
    gallery_of(cache, math_session)
    Consent.objects.update(withdrawn_at=timezone.now())
    assert len(gallery_of(cache, math_session)) == 0


def test_who_leaves_the_class_is_gone(cache, math_session, eileen):
    a_template(eileen, an_embedding(1))
    gallery_of(cache, math_session)
    CourseEnrolment.objects.update(left_on=math_session.starts_at.date())
    assert len(gallery_of(cache, math_session)) == 0


def test_who_joins_the_class_late_is_there(cache, math_session, math, dmitri):
    a_template(dmitri, an_embedding(2))
    assert len(gallery_of(cache, math_session)) == 0
    enrol_in(math, dmitri, joined_on=math_session.starts_at.date())
    assert len(gallery_of(cache, math_session)) == 1


def test_who_joins_tomorrow_is_not_there_yet(cache, math_session, math, dmitri):
    a_template(dmitri, an_embedding(2))
    enrol_in(math, dmitri, joined_on=math_session.starts_at.date() + timedelta(days=1))
    assert len(gallery_of(cache, math_session)) == 0


def test_templates_of_another_model_are_never_compared(cache, math_session, eileen):
    a_template(eileen, an_embedding(1), model_id="another-model")
    assert len(gallery_of(cache, math_session)) == 0


def cohort_of(cache: GalleryCache, session: ClassSession) -> set[int]:
    cohort = cache.cohort_beside(gallery_of(cache, session), dimensions=128)
    return {pk for pk, counts in zip(cohort.people.ids, cohort.counted, strict=True) if counts}


def test_the_cohort_is_everybody_else_of_the_institution(cache, math_session, eileen, dmitri):
    a_template(eileen, an_embedding(1))
    a_template(dmitri, an_embedding(3), model_id="another-model")
    other = a_template(a_student("S-9", "Of No Class"), an_embedding(2))
    assert cohort_of(cache, math_session) == {other.pk}


def test_the_cohort_follows_enrolment_revocation_and_consent(cache, math_session):
    first = a_template(a_student("S-8", "First"), an_embedding(1))
    assert cohort_of(cache, math_session) == {first.pk}
    second = a_template(a_student("S-9", "Second"), an_embedding(2))
    assert cohort_of(cache, math_session) == {first.pk, second.pk}
    revoke_template(first)
    assert cohort_of(cache, math_session) == {second.pk}
    withdraw_consent(student=second.student)
    assert cohort_of(cache, math_session) == set()


def test_who_joins_the_class_leaves_its_cohort(cache, math_session, math):
    joiner = a_student("S-9", "Joins Later")
    template = a_template(joiner, an_embedding(2))
    assert cohort_of(cache, math_session) == {template.pk}
    enrol_in(math, joiner)
    assert cohort_of(cache, math_session) == set()


def test_only_the_newest_templates_are_kept_for_cohorts(cache, math_session, monkeypatch):
    monkeypatch.setattr(selectors, "COHORT", replace(COHORT, most_people=2))
    templates = [a_template(a_student(f"S-{n}", f"Nr {n}"), an_embedding(n)) for n in (7, 8, 9)]
    assert cohort_of(cache, math_session) == {one.pk for one in templates[1:]}


def test_a_fresh_cohort_costs_no_query(django_assert_num_queries, math_session, eileen):
    cache = GalleryCache(fresh_s=3600)
    cohort_of(cache, math_session)
    with django_assert_num_queries(0):
        cohort_of(cache, math_session)


def test_two_processes_see_the_same(math_session, math, eileen):
    one, other = GalleryCache(fresh_s=0), GalleryCache(fresh_s=0)
    template = a_template(eileen, an_embedding(1))
    assert gallery_of(one, math_session).ids == gallery_of(other, math_session).ids
    revoke_template(template)
    a_template(a_student("S-9", "Newly Enrolled", math), an_embedding(2))
    ids = gallery_of(one, math_session).ids
    assert ids == gallery_of(other, math_session).ids
    assert template.pk not in ids


def test_old_galleries_are_forgotten(math_session, chem_session, eileen, dmitri, settings):
    cache = GalleryCache(fresh_s=3600, keep=1)
    a_template(eileen, an_embedding(1))
    first = gallery_of(cache, math_session)
    gallery_of(cache, chem_session)
    assert gallery_of(cache, math_session) is not first


def test_an_unreadable_template_is_left_out_and_logged_without_names(
    cache, math_session, math, eileen, caplog
):
    readable = a_template(a_student("S-77", "Grace Hopper", math), an_embedding(2))
    unreadable = a_template(eileen, an_embedding(1))
    unreadable.sealed_vector = Fernet(Fernet.generate_key()).encrypt(b"x")
    unreadable.save()
    assert gallery_of(cache, math_session).ids == (readable.pk,)
    assert f"template {unreadable.pk} was left out" in caplog.text
    for private in ("Eileen", "Collins", "S-1", "eileen@example.edu"):
        assert private not in caplog.text


def test_an_unreadable_template_is_not_tried_at_each_question(cache, math_session, eileen, caplog):
    unreadable = a_template(eileen, an_embedding(1))
    unreadable.sealed_vector = b"x"
    unreadable.save()
    for _ in range(3):
        gallery_of(cache, math_session)
    assert caplog.text.count("was left out") == 1
