"""Events reach other systems: signed, each at least once, those of a student in their order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.utils import timezone
from django.utils.http import http_date
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from accounts.models import User
from accounts.roles import ADMINISTRATOR
from integrations.events.models import OutboxMessage
from integrations.events.services import sequence_events
from integrations.targets import Answer
from integrations.webhooks import delivery as delivering
from integrations.webhooks.delivery import deliver_due, quiet_after, take_up_events, wait_after
from integrations.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from integrations.webhooks.services import (
    open_endpoint,
    rotate_secret,
    send_again,
    send_test,
    switch_off,
    switch_on,
)
from roster.events import students_changed
from roster.models import Course, Student
from tests.support.live_server import database_url
from tests.support.receiver import Receiver, a_receiver
from tests.support.school import a_member, a_student

State = WebhookDelivery.State


@pytest.fixture(autouse=True)
def _local(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as listening:
        yield listening


@pytest.fixture
def secret(endpoint: WebhookEndpoint) -> str:
    return endpoint.shown_secret  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def endpoint(receiver: Receiver, alice: User) -> WebhookEndpoint:
    """Alice's: it is told what she may see."""
    return an_endpoint(receiver.url, alice)


def an_endpoint(url: str, owner: User, **fields: object) -> WebhookEndpoint:
    endpoint = WebhookEndpoint(name=f"Nr {uuid.uuid4()}", url=url, **fields)
    endpoint.shown_secret = open_endpoint(  # type: ignore[attr-defined]
        endpoint, owner=owner, at=timezone.now()
    )
    return endpoint


def happen(student: Student, *fields: str) -> None:
    for field in fields:
        with transaction.atomic():
            students_changed([(student, [field])], timezone.now())


def send_all() -> int:
    """Everything that a server's loops do, once."""
    sequence_events()
    take_up_events()
    return deliver_due()


def all_due() -> None:
    """As if the wait after a failure were over."""
    WebhookDelivery.objects.filter(state=State.WAITING).update(due_at=timezone.now())


def changed(receiver: Receiver) -> list[str]:
    return [json.loads(one.body)["data"]["changed"][0] for one in receiver.received]


def states() -> dict[str, int]:
    return dict(Counter(WebhookDelivery.objects.values_list("state", flat=True)))


# Signed


def test_the_independent_library_verifies_what_arrives(
    endpoint: WebhookEndpoint, secret: str, receiver: Receiver, eileen: Student
) -> None:
    happen(eileen, "name")
    send_all()
    arrived = receiver.received[0]
    told = Webhook(secret).verify(arrived.body, arrived.headers)
    message = OutboxMessage.objects.get()
    assert told["type"] == "student.changed"
    assert told["id"] == arrived.headers["webhook-id"] == str(message.event_id)
    assert told["data"] == {"student": eileen.pk, "student_id": "S-1", "changed": ["name"]}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(arrived.body + b" ", arrived.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(arrived.body, arrived.headers | {"webhook-id": "another"})


def test_both_secrets_verify_for_a_day_after_a_change(
    endpoint: WebhookEndpoint, secret: str, receiver: Receiver, eileen: Student
) -> None:
    newer = rotate_secret(endpoint, at=timezone.now())
    happen(eileen, "name")
    send_all()
    first = receiver.received[0]
    for valid in (secret, newer):
        Webhook(valid).verify(first.body, first.headers)

    WebhookEndpoint.objects.update(previous_until=timezone.now())
    happen(eileen, "email")
    send_all()
    second = receiver.received[1]
    Webhook(newer).verify(second.body, second.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(second.body, second.headers)


def test_the_secret_is_stored_encrypted_and_for_its_webhook_only(
    endpoint: WebhookEndpoint, secret: str, alice: User
) -> None:
    assert secret.encode() not in bytes(endpoint.sealed_secret)
    other = an_endpoint("http://127.0.0.1:1/", alice)
    other.sealed_secret = endpoint.sealed_secret
    with pytest.raises(Exception, match="was sealed for something else"):
        other.secrets(timezone.now())


# What is told


def test_only_what_the_owner_may_see_is_told(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student, dmitri: Student
) -> None:
    happen(eileen, "name")
    happen(dmitri, "email")
    send_all()
    assert changed(receiver) == ["name"]


def test_what_the_owner_may_not_see_any_more_is_withheld(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student, math: Course
) -> None:
    happen(eileen, "name")
    sequence_events()
    take_up_events()
    math.lecturers.clear()
    deliver_due()
    assert receiver.received == []
    assert states() == {State.WITHHELD: 1}


def test_an_endpoint_chooses_events_and_courses(
    receiver: Receiver, admin: User, eileen: Student, dmitri: Student, chem: Course
) -> None:
    other_kind = an_endpoint(receiver.url, admin, kinds=["attendance.recorded"])
    only_chem = an_endpoint(receiver.url, admin, kinds=["student.changed"])
    only_chem.courses.add(chem)
    happen(eileen, "name")
    happen(dmitri, "email")
    send_all()
    assert changed(receiver) == ["email"]
    assert not other_kind.deliveries.exists()


def test_a_new_endpoint_is_told_nothing_of_the_past(
    receiver: Receiver, alice: User, eileen: Student
) -> None:
    happen(eileen, "name")
    an_endpoint(receiver.url, alice)
    happen(eileen, "email")
    send_all()
    assert changed(receiver) == ["email"]


def test_an_erased_student_is_not_told_of_any_more(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    happen(eileen, "name")
    sequence_events()
    take_up_events()
    eileen.delete()
    assert deliver_due() == 0
    assert not WebhookDelivery.objects.exists()


# At least once, in order


def test_a_receiver_that_was_down_gets_everything_in_the_order_of_each_student(
    alice: User, math: Course
) -> None:
    students = [a_student(f"S-{number}", f"Nr {number}", math) for number in range(5)]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    an_endpoint(f"http://127.0.0.1:{port}/hooks", alice)
    for turn in range(8):
        for student in students:
            happen(student, f"field {turn}")
    for _try in range(3):
        send_all()
        all_due()
    assert states() == {State.WAITING: 40}
    assert "refused" in WebhookAttempt.objects.latest("pk").said

    # It comes back, and says no to every third for a while.
    answers = [(503 if number % 3 == 0 else 200, {}, b"busy") for number in range(30)]
    with a_receiver(port, answers=list(answers)) as back:
        for _try in range(40):
            all_due()
            if not send_all():
                break
        assert states() == {State.DELIVERED: 40}
        accepted: dict[str, list[str]] = defaultdict(list)
        for one, (status, *_rest) in zip(
            back.received, answers + [(200, {}, b"")] * 40, strict=False
        ):
            told = json.loads(one.body)
            if status == 200:
                accepted[told["data"]["student_id"]].append(told["data"]["changed"][0])
        in_order = [f"field {turn}" for turn in range(8)]
        assert accepted == {student.student_id: in_order for student in students}
        ids = {json.loads(one.body)["id"] for one in back.received}
        assert len(ids) == 40


def test_what_fails_for_one_student_holds_up_only_that_student(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student, math: Course
) -> None:
    receiver.answers = [(500, {}, b"no")]
    bob = a_student("S-9", "Bob", math)
    happen(eileen, "first", "second")
    happen(bob, "third")
    send_all()
    assert changed(receiver) == ["first", "third"]
    all_due()
    send_all()
    assert changed(receiver) == ["first", "third", "first", "second"]


def test_tries_are_farther_and_farther_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering.random, "uniform", lambda least, most: 1.0)
    waits = [wait_after(tries).total_seconds() for tries in range(1, 14)]
    assert waits[:9] == [10, 20, 40, 80, 160, 320, 640, 1280, 2560]
    assert waits[-1] == 6 * 3600
    monkeypatch.undo()
    assert len({wait_after(1) for _try in range(5)}) > 1


# What a receiver asks for


@pytest.mark.parametrize(
    ("status", "asked", "seconds"),
    [
        (429, "120", 120),
        (503, " 120 ", 120),
        (503, "Mon, 02 Mar 2026 09:02:00 GMT", 120),
        (503, "Monday, 02-Mar-26 09:02:00 GMT", 120),
        (429, "9" * 40, 24 * 3600),
        (429, "Tue, 02 Mar 2027 09:00:00 GMT", 24 * 3600),
        (429, "Mon, 02 Mar 2026 08:00:00 GMT", 0),
        (429, "-5", 0),
        (429, "soon", 0),
        (429, "²", 0),
        (429, "", 0),
        (500, "120", 0),
    ],
)
def test_for_how_long_a_receiver_asks_to_be_left_alone(
    status: int, asked: str, seconds: int
) -> None:
    answer = Answer(status=status, text="", duration_ms=1, retry_after=asked)
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert quiet_after(answer, at) == timedelta(seconds=seconds)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_for_it_is_sent_nothing_meanwhile(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student, math: Course, status: int
) -> None:
    receiver.answers = [(status, {"Retry-After": "3600"}, b"busy")]
    happen(eileen, "first")
    happen(a_student("S-9", "Bob", math), "second")
    began = timezone.now()
    send_all()
    # The second was due, and what happens from now on is.
    happen(eileen, "third")
    assert send_all() == 0
    assert changed(receiver) == ["first"]
    tried = WebhookDelivery.objects.get(tries=1)
    assert tried.due_at is not None
    assert tried.due_at >= began + timedelta(hours=1)

    after_an_hour(endpoint)
    send_all()
    assert changed(receiver) == ["first", "first", "second", "third"]


def test_a_date_of_http_is_read_as_it_comes_over_the_line(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    until = timezone.now().replace(microsecond=0) + timedelta(hours=1)
    receiver.answers = [(503, {"Retry-After": http_date(until.timestamp())}, b"")]
    happen(eileen, "name")
    send_all()
    endpoint.refresh_from_db()
    assert endpoint.quiet_until is not None
    assert abs(endpoint.quiet_until - until) < timedelta(seconds=1)


def test_who_asks_for_less_than_the_usual_wait_gets_the_usual_wait(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    receiver.answers = [(429, {"Retry-After": "1"}, b"")]
    happen(eileen, "name")
    began = timezone.now()
    send_all()
    due_at = WebhookDelivery.objects.get().due_at
    assert due_at is not None
    assert due_at >= began + timedelta(seconds=8)


def test_what_is_asked_for_costs_no_last_try_before_it_is_given_up(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    receiver.answers = [(503, {"Retry-After": "86400"}, b"")] * 2
    happen(eileen, "name")
    sequence_events()
    take_up_events()
    give_up_at = timezone.now() + timedelta(hours=5)
    WebhookDelivery.objects.update(give_up_at=give_up_at)
    deliver_due()
    assert WebhookDelivery.objects.get().due_at == give_up_at

    now = timezone.now()
    WebhookEndpoint.objects.update(quiet_until=now)
    WebhookDelivery.objects.update(due_at=now, give_up_at=now)
    assert deliver_due() == 1
    assert states() == {State.GIVEN_UP: 1}


@pytest.mark.parametrize("by_hand", [send_test, switch_on])
def test_what_somebody_does_by_hand_ends_the_wait(
    endpoint: WebhookEndpoint, receiver: Receiver, by_hand: Callable[..., object]
) -> None:
    WebhookEndpoint.objects.update(quiet_until=timezone.now() + timedelta(hours=1))
    send_test(endpoint, at=timezone.now())
    WebhookEndpoint.objects.update(quiet_until=timezone.now() + timedelta(hours=1))
    assert deliver_due() == 0
    by_hand(endpoint, at=timezone.now())
    assert deliver_due() > 0


def after_an_hour(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(quiet_until=timezone.now())
    all_due()


def test_after_three_days_it_is_given_up_and_administrators_are_told_once(
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    eileen: Student,
    math: Course,
    mailoutbox: list[EmailMessage],
) -> None:
    a_member(ADMINISTRATOR, "ada")
    receiver.answers = [(500, {}, b"no"), (500, {}, b"no")]
    happen(eileen, "name")
    happen(a_student("S-9", "Bob", math), "name")
    sequence_events()
    take_up_events()
    first = WebhookDelivery.objects.order_by("pk")[0]
    assert first.give_up_at - first.queued_at == timedelta(days=3)
    WebhookDelivery.objects.update(give_up_at=timezone.now())
    deliver_due()
    assert states() == {State.GIVEN_UP: 2}
    (mail,) = mailoutbox
    assert mail.to == ["ada@example.edu"]
    assert "Eileen" not in mail.body

    # What comes next is not held up by it, and what was given up can be sent again.
    happen(eileen, "email")
    send_all()
    send_again(WebhookDelivery.objects.order_by("pk")[0], at=timezone.now())
    deliver_due()
    assert changed(receiver) == ["name", "name", "email", "name"]
    assert receiver.received[0].headers["webhook-id"] == receiver.received[3].headers["webhook-id"]


def test_410_switches_the_endpoint_off_and_switching_on_goes_on_where_it_was(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    receiver.answers = [(410, {}, b"moved away")]
    happen(eileen, "name", "email")
    send_all()
    endpoint.refresh_from_db()
    assert endpoint.disabled_reason == "gone"
    happen(eileen, "user")
    all_due()
    assert send_all() == 0

    switch_on(endpoint, at=timezone.now())
    send_all()
    assert changed(receiver) == ["name", "name", "email", "user"]


def test_a_test_arrives_at_its_endpoint_only_and_is_read_by_nobody_else(
    endpoint: WebhookEndpoint, receiver: Receiver, admin: User
) -> None:
    an_endpoint(receiver.url, admin)
    send_test(endpoint, at=timezone.now())
    send_all()
    assert [json.loads(one.body)["type"] for one in receiver.received] == ["webhook.test"]


def test_a_redirect_is_not_followed_and_the_log_says_so(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    with a_receiver() as elsewhere:
        receiver.answers = [(307, {"Location": elsewhere.url}, b"")]
        happen(eileen, "name")
        send_all()
        assert elsewhere.received == []
    attempt = WebhookAttempt.objects.get()
    assert (attempt.status, attempt.said[:10]) == (307, "A redirect")
    assert states() == {State.WAITING: 1}


def test_of_a_long_answer_only_the_beginning_is_kept(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    receiver.answers = [(200, {}, b"thank\0you " * 100_000)]
    happen(eileen, "name")
    send_all()
    attempt = WebhookAttempt.objects.get()
    assert len(attempt.said) == 300
    assert attempt.said.startswith("thank�you")
    assert states() == {State.DELIVERED: 1}


# Several servers


@pytest.mark.django_db(transaction=True)
def test_four_servers_send_each_event_once_and_in_order(
    endpoint: WebhookEndpoint, receiver: Receiver, math: Course
) -> None:
    students = [a_student(f"S-{number}", f"Nr {number}", math) for number in range(4)]
    for turn in range(6):
        for student in students:
            happen(student, str(turn))
    ready = threading.Barrier(4)

    def server() -> None:
        try:
            ready.wait(60)
            for _round in range(200):
                send_all()
                if not WebhookDelivery.objects.filter(state=State.WAITING).exists():
                    return
        finally:
            connection.close()

    threads = [threading.Thread(target=server) for _server in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    told: dict[str, list[str]] = defaultdict(list)
    for one in receiver.received:
        event = json.loads(one.body)["data"]
        told[event["student_id"]].append(event["changed"][0])
    assert told == {student.student_id: list("012345") for student in students}


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_server_had_claimed_is_sent_by_another(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    """The server is a process of its own, and is killed while the receiver has not answered."""
    happen(eileen, "first", "second")
    sequence_events()
    take_up_events()
    arrived, killed = threading.Event(), threading.Event()

    def hold(_received: object) -> None:
        arrived.set()
        killed.wait(60)

    receiver.before = hold
    code = (
        "import django; django.setup();"
        "from integrations.webhooks.delivery import deliver_due; deliver_due()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1",
            "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
        },
    )
    try:
        assert arrived.wait(120), "the other server has sent nothing"
        child.send_signal(signal.SIGKILL)
        child.wait(60)
    finally:
        killed.set()
        child.kill()
        child.wait(60)
    receiver.before = lambda _received: None
    # Claimed: nobody else sends it, or what comes after it, before the claim has run out.
    assert send_all() == 0
    all_due()
    send_all()
    assert changed(receiver) == ["first", "first", "second"]
    assert states() == {State.DELIVERED: 2}


@pytest.mark.django_db(transaction=True)
def test_a_slow_receiver_holds_up_no_other(
    endpoint: WebhookEndpoint, receiver: Receiver, alice: User, eileen: Student
) -> None:
    other_is_served = threading.Event()
    receiver.before = lambda _received: other_is_served.wait(60) and None
    with a_receiver(before=lambda _received: other_is_served.set()) as quick:
        an_endpoint(quick.url, alice)
        happen(eileen, "name")
        send_all()
        assert len(quick.received) == 1
    assert states() == {State.DELIVERED: 2}


def test_without_anything_due_no_thread_is_started(
    endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked every few seconds, for as long as a server runs."""
    monkeypatch.delattr(delivering, "ThreadPoolExecutor")
    assert deliver_due() == 0


def test_switched_off_nothing_is_sent(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student
) -> None:
    happen(eileen, "name")
    sequence_events()
    take_up_events()
    switch_off(endpoint, at=timezone.now())
    assert send_all() == 0
    assert receiver.received == []


def test_a_owner_who_lost_the_role_is_told_nothing(
    endpoint: WebhookEndpoint, receiver: Receiver, eileen: Student, alice: User
) -> None:
    alice.groups.remove(Group.objects.get(name="Lecturer"))
    happen(eileen, "name")
    send_all()
    assert receiver.received == []
