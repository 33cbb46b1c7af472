"""The institution's own templates: measured, proposed, applied, and found again."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from checkin.retention import purge
from recognition.engine.gallery import fuse
from recognition.engine.template_updates import TemplateParts
from recognition.engine.types import EngineError
from recognition.evaluation import own, work
from recognition.evaluation.own import TooFewFacesError, measure_own, own_people
from recognition.evaluation.proposals import (
    ThresholdsRefusedError,
    apply_again,
    apply_evaluation,
    proposal_from,
)
from recognition.models import FaceTemplate, GalleryEvaluation, IdentificationSetting
from recognition.sealing import seal_parts
from recognition.selectors import thresholds_in_force
from tests.support.face_samples import an_embedding
from tests.support.school import MODEL_ID, a_member, a_student, a_template

pytestmark = pytest.mark.django_db

Status = GalleryEvaluation.Status


def enrolled(number: int, pictures: int = 3) -> FaceTemplate:
    """Somebody with so many pictures, which are 0.8 alike; other people are about orthogonal."""
    rows = np.stack([an_embedding(number, noise=0.5, seed=i) for i in range(pictures)])
    template = a_template(a_student(f"P-{number}", f"Person {number}"), fuse(list(rows)))
    template.sealed_parts = seal_parts(
        TemplateParts.of_enrolment(rows), student_pk=template.student_id, model_id=MODEL_ID
    )
    template.save()
    return template


@pytest.fixture
def few_suffice(monkeypatch):
    monkeypatch.setattr(own, "LEAST_PEOPLE", 6)
    monkeypatch.setattr(own, "DRAWS", 2)


@pytest.fixture
def ten_people(few_suffice):
    return [enrolled(number) for number in range(10)]


@pytest.fixture
def administrator():
    return a_member("Administrator", "ada")


def point(fpir: float, threshold: float) -> dict:
    return {
        "target_fpir": fpir,
        "threshold": threshold,
        "threshold_interval": [threshold, threshold],
        "fnir": 0.02,
        "fnir_interval": [0.01, 0.03],
        "fpir": fpir,
    }


def figures(size: int, strict: float, lenient: float, *, beside: tuple[float, float] | None = None):
    return {
        "gallery_size": size,
        "alone": [point(0.01, lenient), point(0.003, lenient), point(0.001, strict)],
        "beside_cohort": None
        if beside is None
        else [point(0.01, beside[1]), point(0.003, beside[1]), point(0.001, beside[0])],
        "model": MODEL_ID,
        # At the threshold of a class of ten, 0.95, it is half-way between the points.
        "curve": [[0.9, 1.0, 0.0], [0.94, 0.004, 0.04], [0.96, 0.0, 0.06], [1.0, 0.0, 1.0]],
        "curve_beside_cohort": None
        if beside is None
        else [[0.4, 1.0, 0.0], [0.483, 0.003, 0.01], [0.503, 0.001, 0.03], [0.6, 0.0, 1.0]],
    }


@pytest.fixture
def measured(administrator):
    return GalleryEvaluation.objects.create(
        model_id=MODEL_ID,
        status=Status.DONE,
        created_by=administrator,
        finished_at=timezone.now(),
        figures={"results": [figures(1, 0.93, 0.92), figures(10, 0.95, 0.935)]},
    )


def test_who_has_single_pictures_is_probe_and_who_has_not_a_stranger(few_suffice):
    single = a_template(a_student("S-9", "Single Picture"), an_embedding(50))
    several = enrolled(1)
    people = own_people(model_id=MODEL_ID)
    assert {name: len(rows) for name, rows in people.items()} == {
        str(single.student_id): 1,
        str(several.student_id): 3,
    }
    assert np.linalg.norm(people[str(several.student_id)], axis=1) == pytest.approx(np.ones(3))


def test_templates_that_are_revoked_or_of_another_model_are_not_measured():
    template = enrolled(1)
    a_template(a_student("S-9", "Other Model"), an_embedding(50), model_id="another")
    template.revoked_at = timezone.now()
    template.save()
    assert own_people(model_id=MODEL_ID) == {}


def test_a_template_with_nan_is_left_out_and_told(monkeypatch, caplog):
    good, broken = enrolled(1), enrolled(2)
    rows = np.full((2, 128), np.nan, np.float32)
    usual = FaceTemplate.parts
    monkeypatch.setattr(
        FaceTemplate,
        "parts",
        lambda self: TemplateParts.of_enrolment(rows) if self.pk == broken.pk else usual(self),
    )
    assert list(own_people(model_id=MODEL_ID)) == [str(good.student_id)]
    assert f"template {broken.pk} was left out of an evaluation: it holds NaN" in caplog.text
    assert "re-enrol" in caplog.text


def test_a_template_that_no_key_opens_is_left_out_and_told(caplog):
    broken = enrolled(1)
    broken.sealed_parts = b"nothing of ours"
    broken.save()
    assert own_people(model_id=MODEL_ID) == {}
    assert f"template {broken.pk} was left out of an evaluation" in caplog.text


def test_nobody_enrolled_is_told_with_what_is_missing():
    with pytest.raises(TooFewFacesError, match="got 0 people with a template of dlib-resnet-v1"):
        measure_own(model_id=MODEL_ID, say=lambda _progress: None)


def test_people_without_single_pictures_are_not_enough(few_suffice):
    for number in range(8):
        a_template(a_student(f"S-{number}", f"Person {number}"), an_embedding(number))
    with pytest.raises(TooFewFacesError, match=r"8 people .* 0 of them with more than 2 pictures"):
        measure_own(model_id=MODEL_ID, say=lambda _progress: None)


def test_every_size_that_the_halves_allow_is_measured(ten_people):
    told: list[str] = []
    results = measure_own(model_id=MODEL_ID, say=told.append)
    assert [result["gallery_size"] for result in results] == [1, 3]
    assert told == ["gallery of 1 (1 of 2)", "gallery of 3 (2 of 2)"]
    assert all(result["rank_1"] == 1.0 for result in results)
    assert results[-1]["people"] == 10


def test_the_command_measures_them_too(ten_people, capsys):
    call_command("evaluate", "--own")
    out = capsys.readouterr().out
    assert "30 pictures of 10 people" in out


def test_the_command_tells_when_there_are_too_few():
    with pytest.raises(CommandError, match="Enrol more people, with three pictures each"):
        call_command("evaluate", "--own")


def test_a_proposal_follows_the_size_and_never_falls():
    proposal = proposal_from(
        [
            figures(1, 0.93, 0.92, beside=(0.48, 0.47)),
            figures(10, 0.95, 0.935),
            figures(30, 0.949, 0.94, beside=(0.5, 0.488)),
        ]
    )
    limits = proposal.thresholds
    assert limits.similarity_at_size == ((1, 0.93), (10, 0.95), (30, 0.95))
    assert limits.above_cohort_at_size == ((1, 0.48), (30, 0.5))
    # Down to where 1 % of the strangers pass it is 0.01, 0.015 and 0.012 with the cohort.
    assert limits.band == limits.margin == 0.012
    assert [change.beside_cohort for change in proposal.changes] == [True, False, True]


def test_a_proposal_is_compared_with_what_serves_now():
    """In force are 0.95 for a class of ten, and 0.493 beside a cohort."""
    alone = figures(10, 0.95, 0.935)
    (change,) = proposal_from([alone]).changes
    assert (change.now["threshold"], change.now["beside_cohort"]) == (0.95, False)
    assert change.now["fnir"] == pytest.approx(0.05)
    assert change.now["fpir"] == pytest.approx(0.002)
    beside = figures(10, 0.95, 0.935, beside=(0.49, 0.48))
    (change,) = proposal_from([beside]).changes
    assert (change.now["threshold"], change.now["beside_cohort"]) == (0.493, True)
    assert change.now["fnir"] == pytest.approx(0.02)


def test_without_thresholds_in_force_there_is_nothing_to_compare_with():
    (change,) = proposal_from([figures(10, 0.95, 0.935) | {"model": "another"}]).changes
    assert change.now is None


def test_a_proposal_needs_figures():
    with pytest.raises(ValueError, match="got no figures"):
        proposal_from([])


def test_what_is_applied_is_in_force_and_says_by_whom_and_why(measured, administrator):
    setting = apply_evaluation(measured, by=administrator, reason="  More people now ")
    assert thresholds_in_force(model_id=MODEL_ID).similarity_for(10) == 0.95
    assert (setting.applied_by, setting.reason) == (administrator, "More people now")
    assert (setting.evaluation, setting.target_fpir) == (measured, 0.001)


def test_earlier_thresholds_can_be_brought_back_and_the_history_stays(measured, administrator):
    first = apply_evaluation(measured, by=administrator, reason="first")
    measured.figures = {"results": [figures(1, 0.97, 0.96)]}
    apply_evaluation(measured, by=administrator, reason="too strict")
    apply_again(first, by=administrator, reason="back")
    assert thresholds_in_force(model_id=MODEL_ID) == first.thresholds()
    reasons = IdentificationSetting.objects.values_list("reason", flat=True)
    assert list(reasons) == ["back", "too strict", "first"]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_nothing_is_applied_without_a_reason(measured, administrator, reason):
    with pytest.raises(ThresholdsRefusedError, match="Say why in at most 300 letters"):
        apply_evaluation(measured, by=administrator, reason=reason)
    assert not IdentificationSetting.objects.exists()


def test_what_is_not_finished_is_not_applied(measured, administrator):
    measured.status = Status.RUNNING
    with pytest.raises(ThresholdsRefusedError, match="not finished"):
        apply_evaluation(measured, by=administrator, reason="why not")


def test_the_thresholds_of_one_model_never_serve_another(measured, administrator):
    apply_evaluation(measured, by=administrator, reason="of this model")
    with pytest.raises(EngineError, match="No thresholds are known for the model another"):
        thresholds_in_force(model_id="another")


def test_a_measurement_is_done_once_and_found_again(ten_people, administrator):
    asked = work.ask_for_measurement(model_id=MODEL_ID, by=administrator)
    assert work.ask_for_measurement(model_id=MODEL_ID, by=administrator) == asked
    done = work.work_on_next()
    assert done == asked
    assert (done.status, done.created_by) == (Status.DONE, administrator)
    assert [one["gallery_size"] for one in done.figures["results"]] == [1, 3]
    assert work.work_on_next() is None


def test_a_measurement_of_too_few_says_what_is_missing(administrator):
    work.ask_for_measurement(model_id=MODEL_ID, by=administrator)
    failed = work.work_on_next()
    assert failed.status == Status.FAILED
    assert "got 0 people" in failed.trouble


def test_a_fault_ends_the_measurement_and_is_logged(administrator, monkeypatch, caplog):
    def fails(**_options: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(work, "measure_own", fails)
    work.ask_for_measurement(model_id=MODEL_ID, by=administrator)
    assert work.work_on_next().status == Status.FAILED
    assert "out of memory" in caplog.text


def test_a_measurement_whose_process_has_gone_is_given_up(administrator):
    lost = work.ask_for_measurement(model_id=MODEL_ID, by=administrator)
    running = GalleryEvaluation.objects.filter(pk=lost.pk)
    running.update(status=Status.RUNNING, heard_at=timezone.now())
    assert work.give_up_lost() == 0
    running.update(heard_at=timezone.now() - work.LOST_AFTER - timedelta(minutes=1))
    assert work.give_up_lost() == 1
    lost.refresh_from_db()
    assert (lost.status, lost.trouble) == (
        Status.FAILED,
        "The server ended meanwhile. Start another measurement.",
    )


def test_measurements_go_after_their_period_but_for_those_that_were_applied(
    measured, administrator, settings
):
    settings.RECORD_RETENTION_DAYS = 10
    kept = GalleryEvaluation.objects.create(model_id=MODEL_ID, status=Status.DONE)
    old = GalleryEvaluation.objects.create(model_id=MODEL_ID, status=Status.DONE)
    apply_evaluation(measured, by=administrator, reason="of this one")
    GalleryEvaluation.objects.exclude(pk=kept.pk).update(
        created_at=timezone.now() - timedelta(days=11)
    )
    purge(timezone.now())
    assert set(GalleryEvaluation.objects.all()) == {kept, measured}
    assert old.pk not in GalleryEvaluation.objects.values_list("pk", flat=True)
