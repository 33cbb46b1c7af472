"""People are told where they chose to be, of what they may see, and the own network is safe."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.roles import ADMINISTRATOR
from checkin.alerts.mail import send_due_alerts
from checkin.alerts.models import Alert
from checkin.events import attendance_warned
from checkin.models import AttendanceWarning, Kiosk
from checkin.sessions.services import close_session
from integrations.events.services import sequence_events
from integrations.notifications import channels
from integrations.notifications.channels import ChannelRefusedError, check, shown
from integrations.notifications.delivery import next_due, notify_due, take_up_notifications
from integrations.notifications.models import Notification, NotificationChannel
from integrations.notifications.services import open_channel, send_test
from roster.models import ClassSession, Course, Student
from tests.support.letterbox import mail_server
from tests.support.receiver import Receiver, a_receiver
from tests.support.school import a_member, a_student, an_account_of, utc

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/general"
ROOT = Path(__file__).parent.parent.parent
State = Notification.State


@pytest.fixture(autouse=True)
def _local(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as listening:
        yield listening


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What would be sent: address, title, text. The sending itself has tests of its own."""
    messages: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        "integrations.notifications.delivery.send",
        lambda url, *, title, body: messages.append((url, title, body)),
    )
    return messages


def a_channel(owner: User, url: str = SLACK, **fields: object) -> NotificationChannel:
    given = {"name": "Chat", "told": ["alert", "warning", "summary"], **fields}
    channel = NotificationChannel(**given)
    open_channel(channel, owner=owner, url=url)
    return channel


def warn(student: Student, course: Course) -> None:
    with transaction.atomic():
        warning = AttendanceWarning.objects.create(
            student=student, course=course, threshold=75, attended=1, counted=4
        )
        attendance_warned([warning], timezone.now())


def send_all() -> int:
    sequence_events()
    take_up_notifications()
    return notify_due()


# Sent for real


def test_a_message_arrives_at_an_http_receiver_and_holds_no_name(
    receiver: Receiver, alice: User, eileen: Student, math: Course
) -> None:
    a_channel(alice, f"json://127.0.0.1:{receiver.port}/hooks")
    warn(eileen, math)
    assert send_all() == 1
    told = json.loads(receiver.received[0].body)
    assert told["message"] == (
        "Low attendance in MATH: student S-1 attended 1 of 4 sessions, 75 % are required."
    )
    assert "Eileen" not in receiver.received[0].body.decode()
    assert send_all() == 0
    assert NotificationChannel.objects.get().last_sent_at is not None


def test_a_message_arrives_at_a_mail_server(alice: User, eileen: Student, math: Course) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    url = f"mailto://127.0.0.1:{port}?from=rollcall@example.edu&to=alice@example.edu&mode=insecure"
    with mail_server(port) as box:
        a_channel(alice, url)
        warn(eileen, math)
        send_all()
        mail = box.wait_for("Rollcall")
    assert "student S-1 attended 1 of 4" in str(mail)


def test_a_service_that_is_down_is_tried_again(
    receiver: Receiver, alice: User, eileen: Student, math: Course
) -> None:
    receiver.answers = [(500, {}, b"no")]
    channel = a_channel(alice, f"json://127.0.0.1:{receiver.port}/hooks")
    warn(eileen, math)
    send_all()
    waiting = Notification.objects.get()
    assert (waiting.state, waiting.tries) == (State.WAITING, 1)
    channel.refresh_from_db()
    assert channel.last_said == "The service did not take the message."
    Notification.objects.update(due_at=timezone.now())
    send_all()
    assert Notification.objects.get().state == State.SENT
    assert len(receiver.received) == 2


def test_a_process_that_sends_reaches_nothing_private_whatever_apprise_does(
    receiver: Receiver,
) -> None:
    """Asked without the check before it: the connection itself is refused."""
    asked = {
        "url": f"json://127.0.0.1:{receiver.port}/hooks",
        "title": "",
        "body": "hello",
        "allowed": [],
    }
    done = subprocess.run(
        [sys.executable, "-m", "integrations.notifications.sender"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert json.loads(done.stdout)["sent"] is False
    assert receiver.received == []


GUARDED = """
import socket, subprocess, os
from integrations.notifications.sender import ForbiddenError, guard
guard(["10.9.0.0/16"])
def refused(call):
    try:
        call()
    except ForbiddenError:
        return "refused"
    except OSError:
        return "tried"
    return "done"
def connect(address, family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    return lambda: sock.connect(address)
print(refused(connect(("127.0.0.1", 9))))
print(refused(connect(("169.254.169.254", 80))))
print(refused(connect(("::ffff:127.0.0.1", 9), socket.AF_INET6)))
print(refused(connect("/var/run/docker.sock", socket.AF_UNIX)))
print(refused(lambda: subprocess.run(["true"])))
print(refused(lambda: os.system("true")))
print(refused(connect(("10.9.1.1", 9))) != "refused")
print(refused(connect(("93.184.216.34", 9))) != "refused")
"""


def test_the_guard_refuses_the_own_network_and_other_programs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GUARDED], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.stdout.split() == ["refused"] * 6 + ["True"] * 2, done.stderr


# Where to


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "exec://rm",
        "syslog://",
        "dbus://",
        "windows://",
        "macosx://",
        "",
        "slack",
        "slack://incomplete",
    ],
)
def test_what_is_no_service_of_the_network_is_refused(url: str) -> None:
    with pytest.raises(ChannelRefusedError):
        check(url)


@pytest.mark.parametrize(
    "url",
    [
        *(f"{scheme}://user:secret@127.0.0.1/a" for scheme in ("jsons", "xmls", "forms")),
        *(f"{scheme}://user:secret@127.0.0.1/a" for scheme in ("mqtts", "ntfys")),
        "mailtos://user:secret@93.184.216.34?smtp=10.0.0.1&from=a@example.edu&to=b@example.edu",
    ],
)
def test_a_service_in_the_own_network_is_refused(url: str, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = []
    with pytest.raises(ChannelRefusedError, match="which is not public") as refusal:
        check(url)
    assert "secret" not in str(refusal.value)


def test_without_encryption_only_what_is_allowed_is_taken(settings: Settings) -> None:
    settings.DEBUG = False
    check("json://127.0.0.1/hooks")
    settings.WEBHOOK_ALLOWED_HOSTS = []
    with pytest.raises(ChannelRefusedError, match=r"“json” is not encrypted\. Use jsons instead\."):
        check("json://93.184.216.34/hooks")


def test_the_address_is_kept_encrypted_and_shown_masked(alice: User) -> None:
    channel = a_channel(alice, "mailtos://user:hunter2@93.184.216.34?to=a@example.edu")
    assert b"hunter2" not in bytes(channel.sealed_url)
    assert "hunter2" not in channel.shown
    assert "hunter2" in channel.url()
    assert shown(SLACK).startswith("slack://T...2/A...D/T...Q/")


# What


def test_an_alert_is_told_when_it_stands(
    alice: User, math_session: ClassSession, kiosk: Kiosk, sent: list[tuple[str, str, str]]
) -> None:
    a_channel(alice)
    now = timezone.now()
    alert = Alert.objects.create(
        kind=Alert.Kind.STRANGER, session=math_session, kiosk=kiosk, due_at=now
    )
    send_all()
    assert sent == []
    send_due_alerts(now)
    send_all()
    ((_url, title, body),) = sent
    assert title == "Rollcall"
    assert body.startswith("A live face at a kiosk was not recognised in MATH ")
    assert body.endswith(reverse("admin:checkin_alert_change", args=[alert.pk]))


def test_a_closed_session_is_told_with_its_counts(
    alice: User, math_session: ClassSession, eileen: Student, sent: list[tuple[str, str, str]]
) -> None:
    a_channel(alice)
    close_session(math_session, timezone.now(), by=alice)
    send_all()
    assert sent[0][2].endswith("was closed: 1 absent.")


def test_what_is_due_together_is_one_message(
    alice: User, math: Course, sent: list[tuple[str, str, str]]
) -> None:
    a_channel(alice)
    for number in range(3):
        warn(a_student(f"S-{number}", f"Nr {number}", math), math)
    send_all()
    ((_url, title, body),) = sent
    assert title == "Rollcall: 3 messages"
    assert [f"S-{number}" in body for number in range(3)] == [True] * 3


def test_charlie_is_told_nothing_of_the_courses_of_alice(
    alice: User, charlie: User, math: Course, eileen: Student, sent: list[tuple[str, str, str]]
) -> None:
    a_channel(charlie)
    warn(eileen, math)
    send_all()
    assert sent == []


def test_a_student_is_told_of_the_own_warnings_only(
    eileen: Student, math: Course, sent: list[tuple[str, str, str]]
) -> None:
    a_channel(an_account_of(eileen))
    warn(a_student("S-9", "Bob", math), math)
    warn(eileen, math)
    send_all()
    ((_url, _title, body),) = sent
    assert "S-1" in body
    assert "S-9" not in body


def test_what_the_owner_may_not_see_any_more_is_not_sent(
    alice: User, math: Course, eileen: Student, sent: list[tuple[str, str, str]]
) -> None:
    a_channel(alice)
    warn(eileen, math)
    sequence_events()
    take_up_notifications()
    math.lecturers.clear()
    notify_due()
    assert sent == []
    assert Notification.objects.get().state == State.GIVEN_UP


def test_once_a_day_waits_for_the_hour_of_the_course(alice: User, math: Course) -> None:
    math.timezone = "Asia/Shanghai"
    math.save()
    channel = a_channel(alice, rhythm="daily", course=math)
    assert next_due(channel, utc(2026, 3, 2, 9)) == utc(2026, 3, 2, 10)
    assert next_due(channel, utc(2026, 3, 2, 10)) == utc(2026, 3, 3, 10)


def test_old_news_is_given_up(
    alice: User, math: Course, eileen: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = a_channel(alice)
    warn(eileen, math)
    sequence_events()
    take_up_notifications()
    Notification.objects.update(give_up_at=timezone.now() - timedelta(seconds=1))
    channel.sealed_url = b"cannot be opened"
    channel.save()
    notify_due()
    assert Notification.objects.get().state == State.GIVEN_UP


# Pages


def test_somebody_adds_tests_and_removes_a_channel(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = reverse("own_channels")
    fields = {"name": "Team", "url": SLACK, "told": ["alert"], "rhythm": "daily"}
    assert client.post(page, fields).status_code == 302
    channel = NotificationChannel.objects.get()
    assert channel.owner == alice
    text = client.get(page).content.decode()
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in text
    assert "slack://T...2" in text
    client.post(reverse("test_own_channel", args=[channel.pk]))
    assert Notification.objects.get().message.kind == "notification.test"
    client.post(reverse("remove_own_channel", args=[channel.pk]))
    assert not NotificationChannel.objects.exists()


def test_a_wrong_address_is_said_in_the_form(client: Client, alice: User) -> None:
    client.force_login(alice)
    fields = {"name": "Team", "url": "file:///tmp/x", "told": ["alert"], "rhythm": "daily"}
    text = client.post(reverse("own_channels"), fields).content.decode()
    assert "Got “file”, expected one of" in text
    assert not NotificationChannel.objects.exists()


def test_charlie_can_neither_test_nor_remove_the_channel_of_alice(
    client: Client, alice: User, charlie: User
) -> None:
    channel = a_channel(alice)
    client.force_login(charlie)
    for name in ("test_own_channel", "remove_own_channel"):
        assert client.post(reverse(name, args=[channel.pk])).status_code == 404
    assert NotificationChannel.objects.exists()


def test_a_student_can_choose_only_the_own_warnings(client: Client, eileen: Student) -> None:
    client.force_login(an_account_of(eileen))
    page = reverse("own_channels")
    client.post(page, {"name": "Mine", "url": SLACK, "told": ["alert"], "rhythm": "daily"})
    assert not NotificationChannel.objects.exists()
    client.post(page, {"name": "Mine", "url": SLACK, "told": ["warning"], "rhythm": "daily"})
    assert NotificationChannel.objects.get().told == ["warning"]


def test_at_the_desk_a_channel_is_added_and_keeps_its_address_when_none_is_typed(
    client: Client, db: None
) -> None:
    client.force_login(a_member(ADMINISTRATOR, "ada"))
    add = reverse("admin:integrations_notificationchannel_add")
    fields = {"name": "School", "url": SLACK, "told": ["alert"], "rhythm": "at_once"}
    assert client.post(add, fields).status_code == 302
    channel = NotificationChannel.objects.get()
    page = reverse("admin:integrations_notificationchannel_change", args=[channel.pk])
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in client.get(page).content.decode()
    client.post(page, {**fields, "url": "", "name": "The school"})
    channel.refresh_from_db()
    assert (channel.name, channel.url()) == ("The school", SLACK)


def test_a_test_is_a_message_of_its_own(alice: User, sent: list[tuple[str, str, str]]) -> None:
    send_test(a_channel(alice), at=timezone.now())
    assert notify_due() == 1
    assert sent[0][2] == "This is a test. Rollcall reaches you here."
    assert channels.scheme_of(sent[0][0]) == "slack"
