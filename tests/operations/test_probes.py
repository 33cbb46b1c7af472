"""`/healthz`, `/readyz` and `/metrics`: what they say, and to whom."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from post_office.models import STATUS, Email
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import User
from checkin.kiosks.health import Reading, note
from checkin.models import JobRun, Kiosk
from integrations.operations import findings
from integrations.operations.readiness import readiness
from recognition import workers
from recognition.engine.types import EngineError
from roster.models import ClassSession, Student
from tests.support.live_server import running_server
from tests.support.school import a_member, an_account

TOKEN = "a token for those who watch"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}
WATCHING = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def workers_that_are_ready(monkeypatch: pytest.MonkeyPatch) -> Future[str]:
    """Loading the models is another test's."""
    warm_up: Future[str] = Future()
    warm_up.set_result("dlib-resnet-v1")
    monkeypatch.setattr(workers, "_warm_up", warm_up)
    return warm_up


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    readiness.forget()
    yield
    readiness.forget()


def parts_of(answer: Any) -> dict[str, dict[str, str]]:
    return {part["part"]: part for part in answer.json()["parts"]}


# Alive


def test_alive_is_answered_without_the_database_or_a_host_name(client: Client) -> None:
    """No fixture gives a database here: pytest-django refuses every query."""
    answer = client.get("/healthz", headers={"host": "10.1.2.3:8001"}, **ELSEWHERE)
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer.headers["Cache-Control"]


def test_probes_are_not_redirected_to_https_and_take_no_posts(
    client: Client, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405


# Ready


@pytest.mark.django_db
def test_a_process_that_has_everything_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert list(parts_of(answer)) == ["database", "migrations", "redis", "workers", "disk"]
    assert all(part["text"].endswith(".") for part in answer.json()["parts"])


@pytest.mark.django_db
def test_a_database_that_is_gone_is_told_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise DatabaseError('connection to "db.internal" as user "rollcall" failed: secret')

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert parts_of(answer)["database"]["state"] == "error"
    assert "DATABASE_URL" in parts_of(answer)["database"]["to_do"]
    assert not re.search("db.internal|secret|Traceback", answer.text)


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_not_applied_is_told(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, app, name, applied FROM django_migrations WHERE app = 'checkin'")
        *_earlier, last = sorted(cursor.fetchall(), key=lambda row: row[2])
        cursor.execute("DELETE FROM django_migrations WHERE id = %s", [last[0]])
        try:
            answer = client.get("/readyz")
        finally:
            cursor.execute("INSERT INTO django_migrations VALUES (%s, %s, %s, %s)", last)
    assert answer.status_code == 503
    assert "manage.py migrate" in parts_of(answer)["migrations"]["to_do"]


@pytest.mark.django_db
def test_redis_is_asked_where_it_is_configured(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://:a-password@127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert parts_of(answer)["redis"]["state"] == "error"
    assert "a-password" not in answer.text


@pytest.mark.django_db
def test_models_that_cannot_be_loaded_are_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: Future[str] = Future()
    failed.set_exception(EngineError("model_missing", "arcface.onnx is missing."))
    monkeypatch.setattr(workers, "_warm_up", failed)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "arcface.onnx is missing." in parts_of(answer)["workers"]["text"]


@pytest.mark.django_db
@pytest.mark.parametrize("warm_up", [None, Future()])
def test_workers_that_are_not_there_yet_are_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch, warm_up: Future[str] | None
) -> None:
    monkeypatch.setattr(workers, "_warm_up", warm_up)
    assert client.get("/readyz").status_code == 503


@pytest.mark.django_db
def test_a_full_disk_is_told(client: Client, settings: Any) -> None:
    settings.DISK_FREE_MIN_MB = 10**12
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "Make room" in parts_of(answer)["disk"]["to_do"]


@pytest.mark.django_db
def test_a_question_that_breaks_is_an_answer_and_no_stack_trace(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("integrations.operations.readiness.PARTS", {"disk": break_down})
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "RuntimeError" in answer.text
    assert "a secret" not in answer.text


@pytest.mark.django_db
def test_asking_often_asks_the_parts_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    disk = findings.disk
    monkeypatch.setattr(
        "integrations.operations.readiness.PARTS",
        {"disk": lambda: (asked.append(1), disk())[1]},
    )
    for _time in range(5):
        assert client.get("/readyz").status_code == 200
    assert len(asked) == 1


# Who is told details


@pytest.mark.django_db
def test_others_are_told_whether_and_not_why(client: Client) -> None:
    answer = client.get("/readyz", **ELSEWHERE)
    assert answer.json() == {"ready": True}


@pytest.mark.django_db
def test_with_the_token_and_from_a_network_details_are_told(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert "parts" in client.get("/readyz", **ELSEWHERE, **WATCHING).json()
    wrong = {"HTTP_AUTHORIZATION": "Bearer " + TOKEN[:-1]}
    assert "parts" not in client.get("/readyz", **ELSEWHERE, **wrong).json()
    settings.OPERATIONS_NETWORKS = [ip_network("203.0.113.0/24")]
    assert "parts" in client.get("/readyz", **ELSEWHERE).json()


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["Bearer ", "Bearer", ""])
def test_without_a_token_in_the_settings_none_opens(client: Client, header: str) -> None:
    answer = client.get("/readyz", HTTP_AUTHORIZATION=header, **ELSEWHERE)
    assert "parts" not in answer.json()


def test_staff_are_told_details_and_students_are_not(client: Client, db: None) -> None:
    client.force_login(an_account("a-student"))
    assert "parts" not in client.get("/readyz", **ELSEWHERE).json()
    client.force_login(a_member("Registrar", "registrar"))
    assert "parts" in client.get("/readyz", **ELSEWHERE).json()


@pytest.mark.django_db
def test_a_proxy_that_we_were_not_told_of_makes_nobody_local(client: Client) -> None:
    answer = client.get("/readyz", HTTP_X_FORWARDED_FOR="203.0.113.9")
    assert "parts" not in answer.json()


@pytest.mark.django_db
def test_behind_a_proxy_the_address_that_it_wrote_counts(client: Client, settings: Any) -> None:
    settings.BEHIND_PROXY, settings.ALLAUTH_TRUSTED_PROXY_COUNT = True, 1
    settings.OPERATIONS_NETWORKS = [ip_network("10.0.0.0/8")]
    claimed = client.get("/readyz", HTTP_X_FORWARDED_FOR="10.0.0.1, 203.0.113.9")
    assert "parts" not in claimed.json()
    true = client.get("/readyz", HTTP_X_FORWARDED_FOR="203.0.113.9, 10.0.0.1")
    assert "parts" in true.json()


# Metrics


def samples_of(answer: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(answer: Any, name: str, **labels: str) -> float:
    return samples_of(answer)[name, frozenset(labels.items())]


@pytest.mark.django_db
def test_metrics_are_for_those_who_watch(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", **ELSEWHERE).status_code == 404
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics", **ELSEWHERE, **WATCHING).status_code == 200


def test_the_sites_figures_are_those_of_the_database(
    client: Client, math_session: ClassSession, kiosk: Kiosk, token: str
) -> None:
    for status in (STATUS.queued, STATUS.requeued, STATUS.failed, STATUS.sent):
        Email.objects.create(to=["a@example.edu"], from_email="b@example.edu", status=status)
    note(kiosk.pk, Reading(frames_per_s=8.0), timezone.now())
    JobRun.objects.create(job=JobRun.Job.RETENTION, ended_at=timezone.now())
    answer = client.get("/metrics")
    assert value(answer, "rollcall_deliveries", queue="mail", state="waiting") == 2
    assert value(answer, "rollcall_deliveries", queue="mail", state="failed") == 1
    assert value(answer, "rollcall_kiosks", state="online") == 1
    assert value(answer, "rollcall_kiosks", state="silent") == 0
    assert value(answer, "rollcall_open_sessions") == 1
    assert value(answer, "rollcall_database_up") == 1
    assert value(answer, "rollcall_job_ended_timestamp_seconds", job="retention") > 1.7e9


@pytest.mark.django_db
def test_without_the_database_the_process_still_tells_of_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert value(answer, "rollcall_database_up") == 0
    assert value(answer, "rollcall_frames_total", outcome="skipped") >= 0


def test_labels_are_of_closed_sets_and_name_nobody(
    client: Client, eileen: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> None:
    client.force_login(admin)
    client.get(f"/admin/roster/student/{eileen.pk}/change/?q={eileen.student_id}")
    client.get(f"/nowhere/{eileen.student_id}/")
    client.logout()
    answer = client.get("/metrics")
    for name in (eileen.name, eileen.student_id, eileen.email, kiosk.name, "MATH", "admin@"):
        assert name not in answer.text
    labels = {
        label
        for name, given in samples_of(answer)
        if name.startswith("rollcall_")
        for label, _value in given
    }
    assert labels <= {"outcome", "device", "queue", "state", "job", "le"}


@pytest.mark.django_db(transaction=True)
def test_a_server_says_on_its_own_port_when_it_is_ready() -> None:
    """The whole of it: hosts, redirects and workers as in production."""
    import requests

    from tests.support.waiting import until

    with running_server(
        DEBUG="False", ALLOWED_HOSTS="rollcall.example.edu", METRICS_TOKEN=TOKEN
    ) as server:
        assert requests.get(f"{server.url}/healthz", timeout=30).text == "ok\n"
        until(lambda: requests.get(f"{server.url}/readyz", timeout=30).status_code == 200)
        figures = requests.get(f"{server.url}/metrics", timeout=30)
    families = {family.name for family in text_string_to_metric_families(figures.text)}
    assert {
        "rollcall_workers",
        "rollcall_worker_queue",
        "django_http_requests_before_middlewares",
    } <= (families)
    assert "django_http_responses_total_by_status" in json.dumps(sorted(families))
