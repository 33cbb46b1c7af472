"""Log lines say by ids what happened, and never who it was."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from channels.db import database_sync_to_async as in_database
from django.core.mail import EmailMessage, get_connection
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.test import Client
from django.urls import reverse

from accounts.logs import JsonFormatter, LineFormatter, bound, request_id_of
from accounts.mail_delivery import deliver_due_mails
from accounts.models import User
from checkin import consumers
from checkin.kiosk import looked_after
from checkin.models import Attendance, Kiosk
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.types import EngineError
from roster.models import ClassSession, Course, Student
from tests.roster.by_file import confirm, preview_list
from tests.support.kiosk_client import FPS, KioskClient, played
from tests.support.school import an_account_of

GREY = as_jpeg(np.full((480, 640, 3), 128, np.uint8))


class Written:
    def __init__(self) -> None:
        self._text = io.StringIO()
        self.handler = logging.StreamHandler(self._text)
        self.handler.setFormatter(JsonFormatter())

    @property
    def text(self) -> str:
        return self._text.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def with_message(self, part: str) -> dict[str, Any]:
        found = [line for line in self.lines if part in line["message"]]
        assert found, self.text
        return found[0]


@pytest.fixture
def written() -> Iterator[Written]:
    """What a site with LOG_FORMAT=json writes, at the usual level."""
    import attendance_site.asgi  # noqa: F401  its first import sets the handlers anew

    kept = Written()
    root = logging.getLogger()
    root.addHandler(kept.handler)
    yield kept
    root.removeHandler(kept.handler)


# Ids


def test_each_request_has_an_id_in_its_line_and_in_its_answer(
    client: Client, written: Written, db: None
) -> None:
    answer = client.get("/accounts/login/")
    line = written.with_message("GET /accounts/login/ 200")
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["level"], line["logger"]) == ("INFO", "accounts.request_log")
    assert line["time"].endswith("+00:00")


def test_two_requests_have_two_ids(client: Client, db: None) -> None:
    first, second = (client.get("/accounts/login/").headers["X-Request-ID"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    "given", ["0123456789abcdef0123456789ABCDEF", "8f1e4d9c-2b7a-4f0e-9f63-0a1b2c3d4e5f"]
)
def test_an_id_of_the_proxy_is_kept(client: Client, db: None, given: str) -> None:
    answer = client.get("/healthz", headers={"x-request-id": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "short",
        "S-12345",
        "0" * 65,
        "eileen@example.edu",
        "01234567\nforged",
        "-" * 20,
        "0123 567",
    ],
)
def test_what_is_no_id_is_replaced(given: str) -> None:
    assert request_id_of(given) != given


def test_who_is_logged_in_is_told_by_id(as_alice: Client, alice: User, written: Written) -> None:
    as_alice.get(reverse("admin:index"))
    line = written.with_message("GET /admin/ 200")
    assert line["user"] == alice.pk
    assert "alice" not in written.text


def test_the_line_has_the_route_and_not_what_stands_in_the_address(
    client: Client, written: Written, db: None
) -> None:
    client.get("/accounts/password/reset/key/4-a-secret-of-the-mail/?q=eileen")
    line = written.with_message("GET /accounts/password/reset/key/")
    assert "secret" not in written.text
    assert "eileen" not in line["message"]


@pytest.mark.django_db(transaction=True)
async def test_lines_of_a_kiosks_socket_have_its_id(
    monkeypatch: pytest.MonkeyPatch,
    written: Written,
    kiosk: Kiosk,
    token: str,
    math_session: ClassSession,
) -> None:
    def fail(*_arguments: Any) -> None:
        raise RuntimeError("of the inside")

    monkeypatch.setattr("checkin.consumers.KioskConsumer.analyse", fail)
    async with KioskClient(token, headers=[(b"x-request-id", b"0123456789abcdef")]) as client:
        await client.until("sessions")
        assert (await client.answer_to(GREY))["code"] == "error"
    line = written.with_message("a frame could not be answered")
    assert (line["kiosk"], line["request_id"]) == (kiosk.pk, "0123456789abcdef")
    assert "RuntimeError" in line["error"]


@pytest.fixture
def database_switch(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Exception] | None], None]:
    """Lets every look at what a kiosk serves fail with this error, or work again."""
    failing: list[type[Exception] | None] = [None]

    def served(*arguments: Any) -> Any:
        if failing[0] is not None:
            raise failing[0]("server of eileen@example.edu closed the connection")
        return looked_after(*arguments)

    monkeypatch.setattr(consumers, "looked_after", served)
    monkeypatch.setattr(consumers, "RECHECK_S", 0.02)
    return lambda error: failing.__setitem__(0, error)


async def lines_with(written: Written, part: str, *, least: int = 1) -> list[dict[str, Any]]:
    for _try in range(500):
        found = [line for line in written.lines if part in line["message"]]
        if len(found) >= least:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(written.text)


@pytest.mark.django_db(transaction=True)
async def test_a_database_that_is_away_is_one_line_of_each_kiosk_and_one_when_it_is_back(
    written: Written,
    kiosk: Kiosk,
    token: str,
    math_session: ClassSession,
    database_switch: Callable[[type[Exception] | None], None],
) -> None:
    async with KioskClient(token) as client:
        await client.until("sessions")
        for failure in (1, 2):
            database_switch(OperationalError)
            await lines_with(written, "does not answer", least=failure)
            database_switch(InterfaceError)
            await asyncio.sleep(0.3)
            database_switch(None)
            await lines_with(written, "well again", least=failure)
    away = await lines_with(written, "could not be read")
    assert [line["message"] for line in away] == [
        f"kiosk {kiosk.pk}: the sessions could not be read: the database does not answer "
        "(OperationalError)"
    ] * 2
    assert not any("error" in line for line in away)
    assert len(await lines_with(written, "well again")) == 2
    assert "eileen" not in written.text


@pytest.mark.django_db(transaction=True)
async def test_another_fault_is_told_with_its_place_and_only_once(
    written: Written,
    token: str,
    math_session: ClassSession,
    database_switch: Callable[[type[Exception] | None], None],
) -> None:
    async with KioskClient(token) as client:
        await client.until("sessions")
        database_switch(RuntimeError)
        await lines_with(written, "could not be read")
        await asyncio.sleep(0.3)
    (line,) = await lines_with(written, "could not be read")
    assert "RuntimeError" in line["error"]


@pytest.mark.django_db(transaction=True)
async def test_frames_that_meet_no_database_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    written: Written,
    token: str,
    math_session: ClassSession,
) -> None:
    def fail(*_arguments: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(consumers, "RECHECK_S", 60)
    async with KioskClient(token) as client:
        await client.until("sessions")
        monkeypatch.setattr("checkin.consumers.KioskConsumer.analyse", fail)
        for _frame in range(3):
            assert (await client.answer_to(GREY))["code"] == "error"
    (line,) = await lines_with(written, "a frame could not be answered")
    assert "error" not in line


@pytest.mark.django_db(transaction=True)
async def test_who_comes_while_the_database_is_away_is_one_line(
    written: Written,
    token: str,
    database_switch: Callable[[type[Exception] | None], None],
) -> None:
    database_switch(OperationalError)
    async with KioskClient(token) as client:
        assert await client.closing() == ("not_ready", 1013)
    (line,) = await lines_with(written, "not let in")
    assert "error" not in line


# Errors


def record_of(error: BaseException) -> logging.LogRecord:
    try:
        raise error
    except BaseException as raised:
        info = (type(raised), raised, raised.__traceback__)
    return logging.LogRecord("a", logging.ERROR, "f.py", 1, "it failed", (), info)


def test_texts_of_foreign_errors_are_left_out() -> None:
    error = IntegrityError("Key (email)=(eileen@example.edu) already exists.")
    error.__cause__ = ValueError("S-12345 is taken")
    line = json.loads(JsonFormatter().format(record_of(error)))
    assert "IntegrityError" in line["error"]
    assert "ValueError" in line["error"]
    assert "record_of" in line["error"], "where it happened is told"
    assert "eileen" not in line["error"]
    assert "S-12345" not in line["error"]


def test_texts_of_our_own_errors_are_told() -> None:
    told = LineFormatter().format(record_of(EngineError("model_missing", "arcface is missing")))
    assert "arcface is missing" in told


def test_who_develops_reads_all_of_it() -> None:
    told = LineFormatter(show_errors=True).format(record_of(ValueError("what it was")))
    assert "ValueError: what it was" in told


def test_a_chain_of_errors_that_bites_its_tail_ends() -> None:
    error, other = ValueError("a"), ValueError("b")
    error.__context__, other.__context__ = other, error
    assert LineFormatter().format(record_of(error)).count("ValueError") == 2


def test_a_line_for_people_ends_with_its_ids() -> None:
    record = logging.LogRecord("a", logging.INFO, "f.py", 1, "seen", (), None)
    with bound(request_id="0123456789abcdef", kiosk=7, user=lambda: None):
        assert LineFormatter().format(record).endswith("seen [request_id=0123456789abcdef kiosk=7]")
    assert LineFormatter().format(record).endswith("a seen")


def test_a_message_of_many_lines_is_one_line_of_json() -> None:
    record = logging.LogRecord("a", logging.INFO, "f.py", 1, "one\ntwo: %s", ("é",), None)
    assert json.loads(JsonFormatter().format(record))["message"] == "one\ntwo: é"
    assert "\n" not in JsonFormatter().format(record)


# A student of whom every trace would be seen

NAME, NUMBER, ADDRESS = "Zebedee Quuxbury", "QX-778899", "zebedee@canary.example"
SEARCHED = (
    "Zebedee",
    "Quuxbury",
    "zebedee",
    NUMBER,
    "778899",
    "canary.example",
    "hunter-of-snarks",
)


@pytest.fixture
def canary(eileen: Student) -> Student:
    """Eileen's face, and a name that stands nowhere else."""
    eileen.name, eileen.student_id, eileen.email = NAME, NUMBER, ADDRESS
    eileen.save()
    return eileen


@pytest.mark.django_db(transaction=True)
async def test_on_no_main_path_the_log_names_the_student(
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    quick: None,
    written: Written,
    canary: Student,
    eileens_template: Any,
    math: Course,
    math_session: ClassSession,
    alice: User,
    token: str,
    blinking_astronaut: list[bytes],
) -> None:
    settings.DEBUG = False
    await in_database(_sign_up_and_err)(monkeypatch, settings, canary)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(played(blinking_astronaut, fps=FPS))
    assert verdict["name"] == NAME
    await in_database(_at_the_desk)(canary, math, math_session, alice)
    assert await in_database(Attendance.objects.count)() >= 1
    messages = [line["message"] for line in written.lines]
    for path in (
        "login failed",
        "POST /accounts/login/",
        "POST /admin/",
        "was not sent",
        "Internal Server Error",
        "GET (no page) 404",
    ):
        assert any(path in message for message in messages), (path, messages)
    for trace in SEARCHED:
        assert trace not in written.text


def _sign_up_and_err(monkeypatch: pytest.MonkeyPatch, settings: Any, canary: Student) -> None:
    client = Client(raise_request_exception=False)
    form = {
        "username": "zebedee",
        "email": ADDRESS,
        "password1": "hunter-of-snarks",
        "password2": "hunter-of-snarks",
    }
    assert client.post("/accounts/signup/", form).status_code == 302
    client.post("/accounts/login/", {"login": ADDRESS, "password": "hunter-of-snarks-not"})
    client.post("/accounts/password/reset/", {"email": ADDRESS})
    client.get(f"/{NUMBER}/{NAME}/?q={ADDRESS}")
    # A mail server that refuses, and says whom.
    queue = get_connection("accounts.mail.QueueBackend")
    EmailMessage("For you", f"Hello {NAME}", to=[ADDRESS], connection=queue).send()
    monkeypatch.setattr(
        "accounts.mail_delivery.get_connection", lambda _transport: _refusing_transport()
    )
    deliver_due_mails()
    User.objects.all().filter(username="zebedee").delete()
    an_account_of(canary)
    client.force_login(canary.user)
    for page in ("/me/", "/face/", "/me/data/", "/me/pass/", "/me/attendance/", "/me/check-in/"):
        client.get(page, follow=True)

    def break_down(*_arguments: Any, **_options: Any) -> None:
        with connection.cursor():
            raise IntegrityError(f"Key (email)=({ADDRESS}) of {NAME} already exists.")

    with monkeypatch.context() as broken:
        broken.setattr("attendance_site.views.standing_of", break_down)
        assert client.get("/").status_code == 500


class _Refusing:
    def __enter__(self) -> _Refusing:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def send_messages(self, _messages: Any) -> int:
        raise RuntimeError(f"550 no mailbox for {ADDRESS}")


def _refusing_transport() -> Any:
    return _Refusing()


def _at_the_desk(canary: Student, math: Course, session: ClassSession, alice: User) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    for model in ("roster_student", "roster_courseenrolment", "checkin_attendance"):
        client.get(reverse(f"admin:{model}_changelist"), {"q": NUMBER})
    row = f"{NUMBER},{NAME},{ADDRESS}\n"
    answer = preview_list(client, math, "student_id,name,email\n" + row)
    if answer.context and "confirm_form" in answer.context:
        confirm(client, answer)
    preview_list(client, math, f"student_id,name,email\n{NUMBER},Another Name,{ADDRESS}\n")
    client.get(reverse("admin:checkin_reportexport_changelist"))
