"""What a kiosk decides on a live face: look-alikes, uncertain faces, two models, no thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from django.utils import timezone

from checkin import kiosk as kiosk_module
from checkin.alerts.models import Alert
from checkin.kiosk import Claim, OnceMore, Verdict, WrongCode, verdict_on, verdict_on_claim
from checkin.models import Attendance, CheckinAttempt, Outcome
from checkin.passes.services import rotating_payload
from recognition.engine.dialogue import Hint, LiveProbe, Phase, Step
from recognition.engine.gallery import unit_length
from recognition.engine.thresholds import COHORT, IdentificationThresholds
from recognition.models import FaceTemplate, IdentificationSetting, Resemblance
from recognition.selectors import GalleryCache
from roster.models import CourseEnrolment, EntryPolicy
from tests.support.face_samples import an_embedding
from tests.support.school import a_student, a_template

pytestmark = pytest.mark.django_db


def a_step(embedding: np.ndarray, previous: np.ndarray | None = None) -> Step:
    probe = LiveProbe(embedding, trace={}, previous=previous)
    return Step(Phase.MATCHING, Hint.WAIT, 1.0, probe=probe)


def alike(embedding: np.ndarray, similarity: float, *, towards: int = 77) -> np.ndarray:
    """A face this similar to the given one."""
    other = an_embedding(towards)
    across = unit_length(other - (other @ embedding) * embedding)
    return unit_length(similarity * embedding + (1 - similarity**2) ** 0.5 * across)


@pytest.fixture
def decide(kiosk, math_session):
    def decided(embedding, *, previous=None, may_look_again=False):
        return verdict_on(
            kiosk,
            [math_session],
            a_step(embedding, previous),
            timezone.now(),
            may_look_again=may_look_again,
        )

    return decided


@pytest.fixture
def eileens(eileen) -> FaceTemplate:
    return a_template(eileen, an_embedding(1))


@pytest.fixture
def twin(math):
    return a_student("S-22", "Irene Collins", math)


@pytest.fixture
def look_alikes(eileens, twin) -> FaceTemplate:
    """Eileen has a twin in her class, which was noted when the twin registered."""
    theirs = a_template(twin, alike(an_embedding(1), 0.97))
    Resemblance.objects.create(
        student=twin, other=eileens.student, similarity=0.97, kind=Resemblance.Kind.LOOK_ALIKE
    )
    return theirs


@pytest.fixture
def takes_passes(math_session):
    math_session.own_entry_policy = EntryPolicy.FACE_OR_PASS
    math_session.save()


LEAST = IdentificationThresholds().similarity_for(1)
BAND = IdentificationThresholds().band


def test_a_face_just_below_the_threshold_is_looked_at_once_more(decide, eileens):
    nearly = alike(an_embedding(1), LEAST - BAND / 2)

    assert decide(nearly, may_look_again=True) == OnceMore()
    assert not CheckinAttempt.objects.exists()


def test_after_that_it_goes_to_the_lecturer_and_nobody_is_named(decide, eileens):
    verdict = decide(alike(an_embedding(1), LEAST - BAND / 2))

    attempt = CheckinAttempt.objects.get()
    assert isinstance(verdict, Verdict)
    assert (attempt.outcome, attempt.reason) == (Outcome.AMBIGUOUS, "uncertain")
    assert (verdict.name, attempt.student) == (None, None)
    assert not Attendance.objects.exists()


def test_a_face_far_below_is_unknown_at_once(decide, eileens):
    verdict = decide(alike(an_embedding(1), LEAST - 2 * BAND), may_look_again=True)

    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.concern is not None


def test_a_face_between_two_people_is_looked_at_once_more(decide, eileens, twin):
    a_template(twin, alike(an_embedding(1), 0.995))

    between = alike(an_embedding(1), 0.999)
    assert decide(between, may_look_again=True) == OnceMore()
    assert decide(between).outcome is Outcome.AMBIGUOUS


def test_a_known_look_alike_is_asked_for_the_pass(decide, look_alikes, eileens, takes_passes):
    claim = decide(an_embedding(1))

    assert isinstance(claim, Claim)
    assert (claim.template_id, claim.look_alikes) == (eileens.pk, (look_alikes.pk,))
    assert not Attendance.objects.exists()


def test_it_works_both_ways(decide, look_alikes, eileens, takes_passes):
    claim = decide(alike(an_embedding(1), 0.97))

    assert (claim.template_id, claim.look_alikes) == (look_alikes.pk, (eileens.pk,))


def test_the_pass_says_which_of_them_it_is(
    decide, look_alikes, twin, kiosk, math_session, takes_passes
):
    now = timezone.now()
    claim = decide(an_embedding(1))
    code = rotating_payload(student=twin, session=math_session, at=now)

    verdict = verdict_on_claim(kiosk, [math_session], claim, code, now)

    attendance = Attendance.objects.get()
    assert isinstance(verdict, Verdict)
    assert (attendance.student, attendance.method) == (twin, Attendance.Method.FACE_AND_PASS)


def test_the_pass_of_somebody_else_opens_nothing(
    decide, look_alikes, kiosk, math_session, math, takes_passes
):
    now = timezone.now()
    stranger = a_student("S-9", "Mae Jemison", math)
    claim = decide(an_embedding(1))
    code = rotating_payload(student=stranger, session=math_session, at=now)

    wrong = verdict_on_claim(kiosk, [math_session], claim, code, now)

    assert isinstance(wrong, WrongCode)
    assert not Attendance.objects.exists()


def test_where_no_pass_is_taken_look_alikes_go_to_the_lecturer(decide, look_alikes, math_session):
    math_session.own_entry_policy = EntryPolicy.FACE
    math_session.save()
    verdict = decide(an_embedding(1))

    attempt = CheckinAttempt.objects.get()
    assert (attempt.outcome, attempt.reason) == (Outcome.SECOND_FACTOR, "look_alike")
    assert (verdict.name, attempt.student) == (None, None)
    assert not Attendance.objects.exists()


def test_a_look_alike_of_another_class_changes_nothing(decide, look_alikes, twin):
    CourseEnrolment.objects.filter(student=twin).delete()

    assert decide(an_embedding(1)).outcome is Outcome.PRESENT


def test_between_known_look_alikes_the_pass_decides_too(decide, look_alikes, eileens, takes_passes):
    claim = decide(alike(an_embedding(1), 0.993))

    assert isinstance(claim, Claim)
    assert {claim.template_id, *claim.look_alikes} == {eileens.pk, look_alikes.pk}


def test_a_model_without_thresholds_recognises_nobody(decide, eileens, settings, caplog):
    settings.RECOGNITION_MODEL = "another"
    FaceTemplate.objects.update(model_id="another")

    verdict = decide(an_embedding(1))

    attempt = CheckinAttempt.objects.get()
    assert (attempt.outcome, attempt.reason) == (Outcome.ERROR, "no_thresholds")
    assert "No thresholds are known for the model another" in caplog.text
    assert "manage.py evaluate" in caplog.text
    assert verdict.title == "Not set up yet"


def test_thresholds_that_were_applied_count_from_the_next_person_on(decide, eileens):
    face = alike(an_embedding(1), 0.95)
    assert decide(face).outcome is Outcome.PRESENT
    IdentificationSetting.objects.create(
        model_id="dlib-resnet-v1",
        similarity_at_size=[[1, 0.98]],
        margin=0.01,
        band=0.001,
        target_fpir=0.001,
        reason="stricter",
    )
    assert decide(face).outcome is Outcome.UNKNOWN
    assert CheckinAttempt.objects.latest("pk").threshold == 0.98


def test_who_has_a_template_of_the_previous_model_only_is_found_with_it(
    decide, eileen, settings, both_have_thresholds
):
    a_template(eileen, an_embedding(5), model_id="older")

    verdict = decide(an_embedding(1), previous=an_embedding(5))

    assert verdict.outcome is Outcome.PRESENT
    assert CheckinAttempt.objects.get().model_id == "older"


def test_who_has_both_is_searched_with_the_active_model_only(
    decide, eileen, eileens, both_have_thresholds
):
    a_template(eileen, an_embedding(5), model_id="older")

    assert decide(an_embedding(3), previous=an_embedding(5)).outcome is Outcome.UNKNOWN


def test_two_models_that_name_two_people_name_nobody(decide, eileens, twin, both_have_thresholds):
    a_template(twin, an_embedding(5), model_id="older")

    verdict = decide(an_embedding(1), previous=an_embedding(5))

    assert verdict.outcome is Outcome.AMBIGUOUS
    assert not Attendance.objects.exists()


@pytest.fixture
def both_have_thresholds(settings):
    settings.RECOGNITION_PREVIOUS_MODEL = "older"
    IdentificationSetting.objects.create(
        model_id="older",
        similarity_at_size=[[1, 0.9]],
        margin=0.01,
        band=0.01,
        target_fpir=0.001,
        reason="measured",
    )


def test_a_face_like_everybody_must_be_nearer(decide, eileens, monkeypatch):
    """A hundred people of other classes are as like the face as the nearest of this one."""
    monkeypatch.setattr(kiosk_module, "galleries", GalleryCache(fresh_s=0))
    face = alike(an_embedding(1), 0.945)
    assert decide(face).outcome is Outcome.PRESENT
    for number in range(COHORT.least_people):
        other = a_student(f"O-{number}", f"Other {number}")
        a_template(other, alike(face, 0.945, towards=200 + number))

    verdict = decide(face)

    attempt = CheckinAttempt.objects.latest("pk")
    limits = IdentificationThresholds()
    assert attempt.threshold == pytest.approx(
        limits.above_cohort_for(1) + COHORT.weight * 0.945, abs=1e-3
    )
    assert verdict.outcome is not Outcome.PRESENT
    assert not Alert.objects.exists()
