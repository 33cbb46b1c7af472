"""The desk's page of thresholds: who sees it, who measures, who applies, and what it tells."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition.models import GalleryEvaluation, IdentificationSetting
from tests.recognition.test_own_measurement import figures
from tests.support.school import MODEL_ID, a_member

pytestmark = pytest.mark.django_db

PAGE = "/admin/recognition/identificationsetting/"
Status = GalleryEvaluation.Status


def address(name: str, *args: int) -> str:
    return reverse(f"admin:recognition_identificationsetting_{name}", args=args)


def a_client_of(role: str) -> Client:
    client = Client()
    client.force_login(a_member(role, role.lower()))
    return client


@pytest.fixture
def administrator() -> Client:
    return a_client_of("Administrator")


@pytest.fixture
def registrar() -> Client:
    return a_client_of("Registrar")


@pytest.fixture
def measured() -> GalleryEvaluation:
    results = [
        figures(size, strict, strict - 0.01)
        | {
            "people": 60,
            "pictures": 180,
            "rank_1": 0.998,
        }
        for size, strict in ((1, 0.93), (10, 0.95))
    ]
    return GalleryEvaluation.objects.create(
        model_id=MODEL_ID,
        status=Status.DONE,
        finished_at=timezone.now(),
        figures={"results": results},
    )


@pytest.fixture
def applied(measured, administrator) -> IdentificationSetting:
    administrator.post(address("apply", measured.pk), {"reason": "Our own cameras"})
    return IdentificationSetting.objects.get()


def test_before_anything_was_measured_it_says_what_serves(administrator):
    page = administrator.get(PAGE).content.decode()
    assert "As measured when this version was made" in page
    assert "0.953" in page  # a class of 30
    assert "Nothing was measured yet" in page
    assert "Nobody has applied any" in page


def test_a_model_without_thresholds_is_told_at_the_top(administrator, settings):
    settings.RECOGNITION_MODEL = "Facenet512"
    page = administrator.get(PAGE).content.decode()
    assert "No thresholds are known for the model Facenet512" in page


def test_it_shows_curves_and_what_the_proposal_changes(administrator, measured):
    page = administrator.get(PAGE).content.decode()
    assert page.count("<polyline") == 4
    assert "60 people, 180 pictures" in page
    assert "99.8 % nearest to themselves" in page
    assert "Proposed, for 0.1 % of strangers" in page
    for figure in ("0.950", "5.0 %", "2.0 %", "1.0 % – 3.0 %", "0.20 %", "0.10 %"):
        assert figure in page
    assert "<script>" not in page
    assert "style=" not in page.split('id="content-main"')[1]


def test_a_measurement_under_way_is_found_again(administrator):
    administrator.post(address("measure"))
    evaluation = GalleryEvaluation.objects.get()
    assert (evaluation.status, evaluation.created_by.username) == ("waiting", "administrator")
    page = administrator.get(PAGE).content.decode()
    assert f'data-address="{address("progress", evaluation.pk)}"' in page
    assert "Measure again" not in page

    evaluation.status, evaluation.figures = Status.RUNNING, {"progress": "gallery of 3 (2 of 4)"}
    evaluation.save()
    progress = administrator.get(address("progress", evaluation.pk)).json()
    assert progress == {"sentence": "gallery of 3 (2 of 4)", "finished": False}


def test_two_clicks_start_one_measurement(administrator):
    administrator.post(address("measure"))
    administrator.post(address("measure"))
    assert GalleryEvaluation.objects.count() == 1


def test_a_failed_measurement_says_why(administrator):
    GalleryEvaluation.objects.create(
        model_id=MODEL_ID, status=Status.FAILED, trouble="got 0 people", finished_at=timezone.now()
    )
    page = administrator.get(PAGE).content.decode()
    assert "failed. got 0 people" in page
    assert "Measure again" in page


def test_nothing_is_applied_before_it_is_confirmed_with_a_reason(administrator, measured):
    page = administrator.get(address("apply", measured.pk)).content.decode()
    assert "What it changes" in page
    refused = administrator.post(address("apply", measured.pk), {"reason": " "}).content.decode()
    assert "Say why in at most 300 letters" in refused
    assert not IdentificationSetting.objects.exists()


def test_what_is_applied_is_in_force_and_in_the_history(administrator, applied):
    assert applied.similarity_at_size == [[1, 0.93], [10, 0.95]]
    page = administrator.get(PAGE).content.decode()
    assert "Our own cameras" in page
    assert "<strong>in force</strong>" in page
    assert page.count("Apply again") == 0


def test_earlier_ones_are_brought_back_on_a_click_with_a_reason(administrator, applied):
    IdentificationSetting.objects.create(
        model_id=MODEL_ID,
        similarity_at_size=[[1, 0.99]],
        margin=0.01,
        band=0.01,
        target_fpir=0.001,
        reason="too strict",
    )
    assert "Apply again" in administrator.get(PAGE).content.decode()
    administrator.post(address("again", applied.pk), {"reason": "nobody came in"})
    newest = IdentificationSetting.objects.first()
    assert (newest.reason, newest.similarity_at_size) == (
        "nobody came in",
        applied.similarity_at_size,
    )
    assert newest.applied_by.username == "administrator"
    assert IdentificationSetting.objects.count() == 3


def test_those_of_another_model_say_that_nothing_changes_at_the_door(administrator, applied):
    IdentificationSetting.objects.update(model_id="another")
    page = administrator.get(address("again", applied.pk)).content.decode()
    assert "This is not the model that serves now" in page


def test_a_registrar_looks_and_does_nothing(registrar, measured, applied):
    page = registrar.get(PAGE).content.decode()
    assert "Our own cameras" in page
    assert "Apply" not in page.split("History")[0].split("Proposed")[1]
    answers = [
        registrar.post(address("measure")),
        registrar.get(address("apply", measured.pk)),
        registrar.post(address("apply", measured.pk), {"reason": "why not"}),
        registrar.post(address("again", applied.pk), {"reason": "why not"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert IdentificationSetting.objects.count() == 1


def test_a_lecturer_does_not_even_look(measured):
    lecturer = a_client_of("Lecturer")
    assert lecturer.get(PAGE).status_code == 403
    assert lecturer.get(address("progress", measured.pk)).status_code == 403


def test_an_earlier_measurement_can_be_opened(administrator, measured):
    page = administrator.get(PAGE, {"measurement": measured.pk})
    assert "60 people" in page.content.decode()


@pytest.mark.parametrize("asked_for", ["0", "x", "-1"])
def test_a_measurement_that_is_not_there_is_not_found(administrator, measured, asked_for):
    assert administrator.get(PAGE, {"measurement": asked_for}).status_code == 404


def test_only_a_finished_measurement_can_be_applied(administrator, measured):
    GalleryEvaluation.objects.update(status=Status.RUNNING)
    answer = administrator.post(address("apply", measured.pk), {"reason": "why not"})
    assert answer.status_code == 404
    assert not IdentificationSetting.objects.exists()
