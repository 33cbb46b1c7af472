"""Strangers, spoofs and wrong passes: one alert for each, mailed to few, decided on once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from django.core import mail as outgoing
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image as PillowImage

from accounts.mail_delivery import deliver_due_mails
from accounts.models import User
from accounts.roles import ADMINISTRATOR, LECTURER, REGISTRAR
from checkin.alerts.mail import MOST_MAILED_PER_HOUR, send_due_alerts
from checkin.alerts.models import Alert
from checkin.alerts.services import (
    LONGEST_WAIT,
    MOST_PER_SESSION,
    QUIET,
    SPOOFS_AT_ALL,
    SPOOFS_IN_A_ROW,
    AlertDecidedError,
    forget_faces,
    identify,
    ignore,
    note_denied,
    note_spoof,
    note_stranger,
    welcome_guest,
)
from checkin.appeals.not_me import disown, keep_probe
from checkin.models import Attendance, Kiosk, Outcome
from checkin.retention import purge
from recognition.engine.types import Embedding, Face
from recognition.sealing import TemplateUnreadableError
from recognition.services import withdraw_consent
from recognition.workers import worker_pool
from roster.models import ClassSession, Course, Room, Student
from tests.support import pictures
from tests.support.face_samples import an_embedding
from tests.support.letterbox import mail_server
from tests.support.live_server import free_port
from tests.support.school import (
    MODEL_ID,
    a_member,
    a_session,
    a_student,
    a_template,
    an_account_of,
    an_attempt,
    an_attendance,
)
from tests.support.shared import lfw_pictures, needs_faces
from tests.support.traces import pieces_of, tables_with

PEOPLE, VISITS = 5, 4


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture(scope="session")
def strangers() -> dict[str, list[tuple[bytes, Embedding]]]:
    """Pictures of some people of LFW with what the engine makes of each."""
    found: dict[str, list[tuple[bytes, Embedding]]] = {}
    for name, paths in lfw_pictures().items():
        if len(paths) >= VISITS and len(found) < PEOPLE:
            contents = [path.read_bytes() for path in paths[:VISITS]]
            faces = [
                worker_pool().analyse_photo(content).result().main_face for content in contents
            ]
            found[name] = [
                (content, face.embedding)
                for content, face in zip(contents, faces, strict=True)
                if face is not None and face.embedding is not None
            ]
    return found


@pytest.fixture
def second_kiosk(room_101: Room) -> Kiosk:
    return Kiosk.objects.create(name="Window of 101", room=room_101)


Seen = Callable[..., Alert | None]


@pytest.fixture
def seen(kiosk: Kiosk, math_session: ClassSession, now: datetime) -> Seen:
    """A face that was refused as unknown, as a kiosk notes it."""

    def note(embedding: Embedding, *, picture: bytes = b"", **fields: Any) -> Alert | None:
        at = fields.pop("at", now)
        where = {
            "kiosk": fields.pop("kiosk", kiosk),
            "session": fields.pop("session", math_session),
        }
        figures = {"model_id": MODEL_ID, "similarity": 0.90, "threshold": 0.95, **fields}
        attempt = an_attempt(where["kiosk"], where["session"], at=at, **figures)
        return note_stranger(**where, attempt=attempt, embedding=embedding, picture=picture, at=at)

    return note


@pytest.fixture
def stranger(seen: Seen, astronaut_embedding: Embedding) -> Alert:
    """The astronaut, who is on no class list, with her picture."""
    alert = seen(astronaut_embedding, picture=pictures.portrait())
    assert alert is not None
    return alert


def refuse_as_spoof(kiosk: Kiosk, session: ClassSession, at: datetime) -> Alert | None:
    attempt = an_attempt(kiosk, session, outcome=Outcome.SPOOF, at=at)
    return note_spoof(
        kiosk=kiosk, session=session, attempt=attempt, picture=pictures.portrait(), at=at
    )


def deny(
    kiosk: Kiosk, session: ClassSession, at: datetime, student: Student | None = None
) -> Alert | None:
    attempt = an_attempt(kiosk, session, outcome=Outcome.DENIED, at=at, student=student)
    return note_denied(
        kiosk=kiosk,
        session=session,
        attempt=attempt,
        student=student,
        picture=pictures.portrait(),
        at=at,
    )


def recipients() -> list[str]:
    return sorted(mail.to[0] for mail in outgoing.outbox)


# One alert for one person


@needs_faces
def test_each_stranger_of_a_session_raises_one_alert_however_often_they_come(
    strangers: dict[str, list[tuple[bytes, Embedding]]], seen: Seen, now: datetime
) -> None:
    visits = [(name, visit) for name, rows in strangers.items() for visit in rows]
    random.Random(1).shuffle(visits)
    raised: dict[str, set[int]] = {}
    for number, (name, (picture, embedding)) in enumerate(visits):
        alert = seen(embedding, picture=picture, at=now + timedelta(seconds=number))
        assert alert is not None
        raised.setdefault(name, set()).add(alert.pk)

    assert len(strangers) == PEOPLE
    assert [len(pks) for pks in raised.values()] == [1] * PEOPLE
    assert Alert.objects.count() == PEOPLE
    for name, [pk] in raised.items():
        assert Alert.objects.get(pk=pk).times == len(strangers[name])
    for alert in Alert.objects.all():
        assert np.linalg.norm(alert.embedding()) == pytest.approx(1.0, abs=1e-5)


def test_the_same_person_in_another_session_is_another_alert(
    seen: Seen, math: Course, room_101: Room
) -> None:
    seen(an_embedding(1))
    seen(an_embedding(1), session=a_session(math, room=room_101))
    assert Alert.objects.count() == 2


def test_a_face_of_another_model_is_never_compared(seen: Seen) -> None:
    seen(an_embedding(1))
    seen(an_embedding(1), model_id="another-model-v1")
    assert Alert.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_kiosks_at_the_same_moment_raise_one_alert(
    seen: Seen, kiosk: Kiosk, second_kiosk: Kiosk
) -> None:
    ready = threading.Barrier(2)

    def at_one(door: Kiosk) -> int | None:
        try:
            ready.wait(30)
            alert = seen(an_embedding(1), kiosk=door)
            return alert.pk if alert else None
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        pks = set(threads.map(at_one, [kiosk, second_kiosk]))
    alert = Alert.objects.get()
    assert pks == {alert.pk}
    assert alert.times == 2


def test_a_session_has_a_greatest_number_of_alerts(seen: Seen) -> None:
    for person in range(MOST_PER_SESSION):
        assert seen(an_embedding(person)) is not None
    assert seen(an_embedding(MOST_PER_SESSION)) is None
    assert seen(an_embedding(0)) is not None, "who is known already is still counted"
    assert Alert.objects.count() == MOST_PER_SESSION


def test_the_database_keeps_no_picture_of_a_decided_alert(stranger: Alert) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.filter(pk=stranger.pk).update(
            decision="ignored", decided_at=timezone.now(), due_at=None
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.filter(pk=stranger.pk).update(kind="spoof")
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.filter(pk=stranger.pk).update(decision="guest", sealed_picture=b"")


# The picture


def test_the_picture_is_of_head_and_shoulders_and_without_metadata(
    stranger: Alert, astronaut_face: Face
) -> None:
    stranger.refresh_from_db()
    jpeg = stranger.picture()
    picture = PillowImage.open(BytesIO(jpeg))
    assert picture.format == "JPEG"
    assert not picture.getexif()
    assert picture.width <= 2.3 * astronaut_face.box.width < 512
    assert worker_pool().analyse_photo(jpeg).result().main_face is not None
    for piece in pieces_of(jpeg):
        assert tables_with(piece) == set()


@pytest.mark.parametrize(
    "picture",
    [b"", b"no picture", pictures.truncated(pictures.portrait()), pictures.nobody()],
    ids=["nothing", "text", "half a JPEG", "nobody in it"],
)
def test_a_bad_picture_leaves_an_alert_without_one(seen: Seen, picture: bytes) -> None:
    alert = seen(an_embedding(1), picture=picture)
    assert alert is not None
    alert.refresh_from_db()
    assert not alert.sealed_picture


def test_whoever_came_before_the_camera_meanwhile_is_not_shown(seen: Seen) -> None:
    alert = seen(an_embedding(1), picture=pictures.portrait())
    assert alert is not None
    assert not alert.sealed_picture


def test_the_next_visit_brings_the_picture_that_was_missing(
    seen: Seen, astronaut_embedding: Embedding
) -> None:
    seen(astronaut_embedding, picture=b"no picture")
    again = seen(astronaut_embedding, picture=pictures.portrait())
    assert again is not None
    assert Alert.objects.get().picture()


def test_the_bytes_of_one_alert_do_not_open_in_another(stranger: Alert, seen: Seen) -> None:
    other = seen(an_embedding(7))
    assert other is not None
    Alert.objects.filter(pk=other.pk).update(
        sealed_picture=stranger.sealed_picture, sealed_embedding=stranger.sealed_embedding
    )
    other.refresh_from_db()
    with pytest.raises(TemplateUnreadableError):
        other.picture()
    with pytest.raises(TemplateUnreadableError):
        other.embedding()


# When and to whom a mail goes


def test_the_mail_waits_until_the_face_was_not_seen_for_a_minute(seen: Seen, now: datetime) -> None:
    seen(an_embedding(1))
    seen(an_embedding(1), at=now + timedelta(seconds=50))
    assert send_due_alerts(now + QUIET) == 0
    assert send_due_alerts(now + timedelta(seconds=50) + QUIET) == 1
    assert send_due_alerts(now + timedelta(hours=1)) == 0
    assert recipients() == ["alice@example.edu"]


def test_who_stays_before_the_kiosk_does_not_put_the_mail_off_for_ever(
    seen: Seen, now: datetime
) -> None:
    for seconds in range(0, 200, 20):
        seen(an_embedding(1), at=now + timedelta(seconds=seconds))
    assert send_due_alerts(now + LONGEST_WAIT) == 1


def test_who_is_recognised_at_the_next_try_is_nobody_to_tell_of(
    stranger: Alert,
    kiosk: Kiosk,
    math_session: ClassSession,
    eileen: Student,
    astronaut_embedding: Embedding,
    now: datetime,
) -> None:
    template = a_template(eileen, astronaut_embedding)
    accepted = an_attempt(
        kiosk,
        math_session,
        outcome=Outcome.PRESENT,
        student=eileen,
        template=template,
        model_id=MODEL_ID,
    )
    keep_probe(attempt=accepted, embedding=astronaut_embedding)
    assert send_due_alerts(now + QUIET) == 0

    stranger.refresh_from_db()
    assert stranger.decision == Alert.Decision.LET_IN
    assert not stranger.sealed_picture
    assert not stranger.sealed_embedding
    assert stranger.decided_by is None
    assert not outgoing.outbox


def test_who_was_recorded_before_raises_no_alert(
    seen: Seen, kiosk: Kiosk, math_session: ClassSession, eileen: Student
) -> None:
    accepted = an_attempt(
        kiosk,
        math_session,
        outcome=Outcome.PRESENT,
        student=eileen,
        template=a_template(eileen, an_embedding(1)),
        model_id=MODEL_ID,
    )
    keep_probe(attempt=accepted, embedding=an_embedding(1))
    assert seen(an_embedding(1)) is None
    assert seen(an_embedding(2)) is not None


def test_who_was_let_in_to_the_other_session_of_the_kiosk_is_no_stranger_to_this_one(
    stranger: Alert,
    kiosk: Kiosk,
    eileen: Student,
    math: Course,
    astronaut_embedding: Embedding,
    now: datetime,
) -> None:
    accepted = an_attempt(
        kiosk,
        a_session(math),
        outcome=Outcome.PRESENT,
        student=eileen,
        template=a_template(eileen, astronaut_embedding),
        model_id=MODEL_ID,
    )
    keep_probe(attempt=accepted, embedding=astronaut_embedding)
    assert send_due_alerts(now + QUIET) == 0
    assert Alert.objects.get().decision == Alert.Decision.LET_IN


def test_a_face_that_said_not_me_does_not_count_as_let_in(
    seen: Seen, kiosk: Kiosk, math_session: ClassSession, eileen: Student, now: datetime
) -> None:
    accepted = an_attempt(
        kiosk,
        math_session,
        outcome=Outcome.PRESENT,
        student=eileen,
        template=a_template(eileen, an_embedding(1)),
        model_id=MODEL_ID,
        at=now,
    )
    keep_probe(attempt=accepted, embedding=an_embedding(1))
    an_attendance(math_session, eileen, arrived_at=now, kiosk=kiosk)
    disown(attempt=accepted, at=now, at_kiosk=True)
    assert seen(an_embedding(1)) is not None


def test_who_shows_a_pass_right_after_stays_at_the_desk_only(
    stranger: Alert,
    kiosk: Kiosk,
    math_session: ClassSession,
    eileen: Student,
    now: datetime,
) -> None:
    an_attendance(
        math_session,
        eileen,
        method=Attendance.Method.PASS,
        kiosk=kiosk,
        arrived_at=now + timedelta(seconds=20),
    )
    assert send_due_alerts(now + QUIET) == 0
    stranger.refresh_from_db()
    assert stranger.decision == Alert.Decision.OPEN
    assert not outgoing.outbox


def test_a_pass_of_the_one_after_the_next_does_not_hide_a_stranger(
    stranger: Alert,
    kiosk: Kiosk,
    math_session: ClassSession,
    eileen: Student,
    now: datetime,
) -> None:
    an_attempt(kiosk, math_session, outcome=Outcome.PRESENT, at=now + timedelta(seconds=10))
    an_attendance(
        math_session,
        eileen,
        method=Attendance.Method.PASS,
        kiosk=kiosk,
        arrived_at=now + timedelta(seconds=20),
    )
    assert send_due_alerts(now + QUIET) == 1


def test_who_is_nearly_recognised_is_shown_at_the_desk_and_mailed_to_nobody(
    seen: Seen, now: datetime
) -> None:
    assert seen(an_embedding(1), similarity=0.940, threshold=0.95) is not None
    assert send_due_alerts(now + QUIET) == 0
    seen(an_embedding(1), similarity=0.920, threshold=0.95)
    assert send_due_alerts(now + QUIET) == 1


@pytest.mark.parametrize(
    ("alerts_to", "expected"),
    [
        ("nobody", []),
        ("lecturers", ["alice@example.edu"]),
        ("staff", ["admin@example.edu", "alice@example.edu", "root@example.edu"]),
        (
            "registered",
            ["alice@example.edu", "eileen@example.edu", "grace@example.edu"],
        ),
    ],
)
def test_those_are_told_whom_the_course_names(
    alerts_to: str,
    expected: list[str],
    stranger: Alert,
    math: Course,
    charlie: User,
    eileen: Student,
    dmitri: Student,
    now: datetime,
) -> None:
    a_member(REGISTRAR, "registrar")
    a_member(ADMINISTRATOR, "admin")
    User.objects.create_superuser("root", "root@example.edu")
    gone = a_member(LECTURER, "gone")
    gone.is_active = False
    gone.save()
    math.lecturers.add(gone)
    an_account_of(eileen)
    a_student("S-3", "Grace Hopper", math, email="grace@example.edu")
    a_student("S-4", "No Address", math)
    blocked = a_student("S-5", "Blocked Account", math, email="blocked@example.edu")
    an_account_of(blocked, is_active=False)
    Course.objects.filter(pk=math.pk).update(alerts_to=alerts_to)

    assert send_due_alerts(now + QUIET) == bool(expected)
    assert recipients() == expected
    stranger.refresh_from_db()
    assert (stranger.mailed_at is not None) == bool(expected)


def test_the_class_is_told_nothing_but_picture_course_time_and_room(
    stranger: Alert, math: Course, eileen: Student, now: datetime
) -> None:
    Course.objects.filter(pk=math.pk).update(alerts_to="registered")
    send_due_alerts(now + QUIET)
    to_staff, to_class = sorted(outgoing.outbox, key=lambda mail: mail.to[0])
    assert reverse("admin:checkin_alert_change", args=[stranger.pk]) in to_staff.body
    assert "/admin/" not in to_class.body
    assert "Door of 101" not in to_class.body
    assert "MATH Linear Algebra" in to_class.body
    assert "101" in to_class.body
    assert stranger.session.clock(stranger.first_at) in to_class.body
    assert [attached[0] for attached in to_class.attachments] == ["face.jpg"]


def test_of_spoofs_and_wrong_passes_only_the_lecturers_are_told(
    kiosk: Kiosk, math_session: ClassSession, math: Course, eileen: Student, now: datetime
) -> None:
    """The picture may be a classmate's, held up by somebody else."""
    Course.objects.filter(pk=math.pk).update(alerts_to="registered")
    deny(kiosk, math_session, now, eileen)
    for second in range(SPOOFS_IN_A_ROW):
        refuse_as_spoof(kiosk, math_session, now + timedelta(seconds=second))
    assert send_due_alerts(now + QUIET) == 2
    assert recipients() == ["alice@example.edu", "alice@example.edu"]


def test_a_session_sends_few_mails_an_hour_and_then_says_how_many_were_held_back(
    seen: Seen, now: datetime
) -> None:
    for person in range(MOST_MAILED_PER_HOUR + 2):
        seen(an_embedding(person))
    assert send_due_alerts(now + QUIET) == MOST_MAILED_PER_HOUR
    assert len(outgoing.outbox) == MOST_MAILED_PER_HOUR
    assert Alert.objects.filter(held_back=True, mailed_at=None, due_at=None).count() == 2

    later = now + timedelta(hours=1, minutes=2)
    seen(an_embedding(100), at=later)
    assert send_due_alerts(later + QUIET) == 1
    assert "2 further alerts of this session were not mailed" in outgoing.outbox[-1].body
    assert "not mailed" not in outgoing.outbox[0].body


@pytest.mark.django_db(transaction=True)
def test_servers_that_look_at_the_same_moment_send_one_mail(stranger: Alert, now: datetime) -> None:
    ready = threading.Barrier(4)

    def server(_number: int) -> int:
        try:
            ready.wait(30)
            return send_due_alerts(now + QUIET)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(server, range(4))) == 1
    assert len(outgoing.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_a_real_mail_server_gets_the_picture(stranger: Alert, now: datetime, settings: Any) -> None:
    port = free_port()
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    settings.MAIL_TRANSPORT = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    with mail_server(port) as box:
        send_due_alerts(now + QUIET)
        deliver_due_mails()
        mail = box.wait_for("Unknown face in MATH")
    [attached] = mail.iter_attachments()
    assert attached.get_content_type() == "image/jpeg"
    face = worker_pool().analyse_photo(attached.get_content()).result().main_face
    assert face is not None
    assert face.embedding is not None
    assert float(face.embedding @ stranger.embedding()) > 0.97
    for piece in pieces_of(attached.get_content()):
        assert tables_with(piece) == set()


# Spoofs and wrong passes


def test_spoofs_in_a_row_are_one_alert_of_the_kiosk_and_then_only_counted(
    kiosk: Kiosk, math_session: ClassSession, now: datetime
) -> None:
    for second in range(SPOOFS_IN_A_ROW - 1):
        assert refuse_as_spoof(kiosk, math_session, now + timedelta(seconds=second)) is None
    alert = refuse_as_spoof(kiosk, math_session, now + timedelta(seconds=30))
    assert alert is not None
    assert alert.picture()
    assert alert.times == SPOOFS_IN_A_ROW
    again = refuse_as_spoof(kiosk, math_session, now + timedelta(minutes=30))
    assert again == alert
    assert Alert.objects.get().times == SPOOFS_IN_A_ROW + 1


def test_people_who_blink_too_late_now_and_then_are_no_spoofs(
    kiosk: Kiosk, math_session: ClassSession, now: datetime
) -> None:
    raised = []
    for number in range(SPOOFS_AT_ALL):
        at = now + timedelta(seconds=20 * number)
        raised.append(refuse_as_spoof(kiosk, math_session, at) is not None)
        an_attempt(kiosk, math_session, outcome=Outcome.PRESENT, at=at + timedelta(seconds=10))
    assert raised == [False] * (SPOOFS_AT_ALL - 1) + [True]


def test_spoofs_far_apart_are_no_alert(
    kiosk: Kiosk, math_session: ClassSession, now: datetime
) -> None:
    for number in range(5):
        assert refuse_as_spoof(kiosk, math_session, now + number * timedelta(minutes=6)) is None


def test_each_kiosk_has_an_alert_of_its_own(
    kiosk: Kiosk, second_kiosk: Kiosk, math_session: ClassSession, now: datetime
) -> None:
    for door in (kiosk, second_kiosk):
        for second in range(SPOOFS_IN_A_ROW):
            refuse_as_spoof(door, math_session, now + timedelta(seconds=second))
    assert Alert.objects.filter(kind="spoof").count() == 2


def test_five_wrong_passes_name_whose_pass_was_asked_for(
    kiosk: Kiosk, math_session: ClassSession, eileen: Student, now: datetime
) -> None:
    of_eileen = deny(kiosk, math_session, now, eileen)
    of_nobody = deny(kiosk, math_session, now)
    assert of_eileen is not None
    assert of_nobody is not None
    assert of_eileen.student == eileen
    assert of_nobody.student is None
    assert deny(kiosk, math_session, now, eileen) == of_eileen
    assert send_due_alerts(now) == 2
    assert [len(mail.attachments) for mail in outgoing.outbox] == [1, 1]


# Decisions


def test_every_decision_takes_the_picture_at_once(
    stranger: Alert, alice: User, eileen: Student, now: datetime
) -> None:
    stranger.refresh_from_db()
    sealed = bytes(stranger.sealed_picture)
    face = bytes(stranger.sealed_embedding)
    assert tables_with(sealed) == {"checkin_alert"}
    identify(alert=stranger, student=eileen, by=alice, at=now)
    assert tables_with(*pieces_of(sealed)) == set()
    assert tables_with(face) == set()
    stranger.refresh_from_db()
    assert stranger.student == eileen
    assert stranger.decided_by == alice
    assert not Attendance.objects.exists(), "nothing is marked by it"


def test_whoever_is_named_is_asked_to_register_again(
    stranger: Alert, alice: User, eileen: Student, now: datetime
) -> None:
    identify(alert=stranger, student=eileen, by=alice, at=now)
    [mail] = outgoing.outbox
    assert mail.to == ["eileen@example.edu"]
    assert "/face/" in mail.body
    assert not mail.attachments


def test_nobody_of_another_class_can_be_named(
    stranger: Alert, alice: User, dmitri: Student, now: datetime
) -> None:
    with pytest.raises(AlertDecidedError, match="not on the class list"):
        identify(alert=stranger, student=dmitri, by=alice, at=now)
    stranger.refresh_from_db()
    assert stranger.decision == Alert.Decision.OPEN


def test_a_guest_raises_no_alert_in_the_course_until_the_alert_expires(
    seen: Seen,
    alice: User,
    math: Course,
    chem: Course,
    room_101: Room,
    now: datetime,
    settings: Any,
) -> None:
    alert = seen(an_embedding(1))
    assert alert is not None
    welcome_guest(alert=alert, by=alice, at=now)
    assert not Alert.objects.get().sealed_picture
    next_time = a_session(math, room=room_101)
    assert seen(an_embedding(1)) is None
    assert seen(an_embedding(1), session=next_time) is None
    assert seen(an_embedding(1), session=a_session(chem)) is not None, "a guest of MATH only"
    expired = now + timedelta(days=settings.ALERT_RETENTION_DAYS, seconds=1)
    assert seen(an_embedding(1), session=next_time, at=expired) is not None


def test_an_ignored_face_raises_nothing_more_in_its_session_and_is_forgotten_after_it(
    seen: Seen, alice: User, math_session: ClassSession, now: datetime
) -> None:
    alert = seen(an_embedding(1))
    assert alert is not None
    ignore(alert=alert, by=alice, at=now)
    assert seen(an_embedding(1)) is None
    assert Alert.objects.get().times == 2
    assert forget_faces(now) == 0
    assert forget_faces(math_session.ends_at) == 1
    assert not Alert.objects.get().sealed_embedding
    assert send_due_alerts(now + timedelta(hours=1)) == 0


def test_a_withdrawn_consent_takes_the_picture_of_a_denied_student(
    kiosk: Kiosk, math_session: ClassSession, eileen: Student, now: datetime
) -> None:
    a_template(eileen, an_embedding(1))
    deny(kiosk, math_session, now, eileen)
    assert forget_faces(now) == 0
    withdraw_consent(student=eileen)
    assert forget_faces(now) == 1
    assert not Alert.objects.get().sealed_picture


def test_the_second_decision_is_told_of_the_first(
    stranger: Alert, alice: User, now: datetime
) -> None:
    ignore(alert=stranger, by=alice, at=now)
    with pytest.raises(AlertDecidedError, match="ignored"):
        welcome_guest(alert=stranger, by=alice, at=now)


def test_a_lecturer_of_another_course_decides_nothing(
    stranger: Alert, charlie: User, eileen: Student, now: datetime
) -> None:
    for decide in (
        lambda: ignore(alert=stranger, by=charlie, at=now),
        lambda: welcome_guest(alert=stranger, by=charlie, at=now),
        lambda: identify(alert=stranger, student=eileen, by=charlie, at=now),
    ):
        with pytest.raises(AlertDecidedError, match="not yours"):
            decide()
    assert Alert.objects.get().decision == Alert.Decision.OPEN


def test_alerts_go_after_their_period_and_not_before(
    stranger: Alert, now: datetime, settings: Any
) -> None:
    kind = "alerts of strangers, spoofs and wrong passes"
    period = timedelta(days=settings.ALERT_RETENTION_DAYS)
    assert purge(now + period)[kind] == 0
    assert purge(now + period + timedelta(seconds=1))[kind] == 1
    assert not Alert.objects.exists()


# The desk


def page_of(alert: Alert) -> str:
    return reverse("admin:checkin_alert_change", args=[alert.pk])


def picture_of(alert: Alert) -> str:
    return reverse("admin:checkin_alert_picture", args=[alert.pk])


def test_the_picture_is_shown_to_the_lecturer_and_kept_nowhere_on_the_way(
    stranger: Alert, as_alice: Client
) -> None:
    stranger.refresh_from_db()
    page = as_alice.get(page_of(stranger))
    assert picture_of(stranger) in page.text
    assert {"no-store", "private"} <= set(page.headers["Cache-Control"].split(", "))
    answer = as_alice.get(picture_of(stranger))
    assert answer.content == stranger.picture()
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert {"no-store", "private"} <= set(answer.headers["Cache-Control"].split(", "))


def test_a_foreign_lecturer_finds_neither_alert_nor_picture_and_decides_nothing(
    stranger: Alert, charlie: User, eileen: Student, client: Client
) -> None:
    client.force_login(charlie)
    assert client.get(page_of(stranger)).status_code == 404
    assert client.get(picture_of(stranger)).status_code == 404
    posted = {"decision": "identified", "student": eileen.pk}
    assert client.post(page_of(stranger), posted).status_code == 404
    listed = client.get(reverse("admin:checkin_alert_changelist"))
    assert listed.context["cl"].result_count == 0
    client.post(
        reverse("admin:checkin_alert_changelist"),
        {"action": "ignore_chosen", "_selected_action": [stranger.pk]},
    )
    assert Alert.objects.get().decision == Alert.Decision.OPEN


def test_nobody_is_named_as_a_look_alike(
    stranger: Alert, eileen: Student, as_alice: Client, seen: Seen
) -> None:
    seen(an_embedding(3), similarity=0.94, threshold=0.95)
    page = as_alice.get(page_of(stranger))
    before_the_choice = page.text.split("<select")[0]
    assert "Eileen" not in before_the_choice


def test_this_is_x_leads_to_the_mark_and_to_a_new_registration(
    stranger: Alert, eileen: Student, as_alice: Client, math_session: ClassSession
) -> None:
    posted = {"decision": "identified", "student": eileen.pk}
    decided = as_alice.post(page_of(stranger), posted, follow=True)
    mark = reverse("admin:checkin_attendance_live_student", args=[math_session.pk, eileen.pk])
    assert mark in decided.text
    assert reverse("admin:recognition_studentface_change", args=[eileen.pk]) in decided.text
    assert as_alice.get(mark).status_code == 200
    assert as_alice.get(picture_of(stranger)).status_code == 404
    assert not Attendance.objects.exists()
    history = as_alice.get(reverse("admin:checkin_alert_history", args=[stranger.pk]))
    assert "identified" in history.text


@pytest.mark.parametrize("student", ["", "999999", "x", "\0"])
def test_a_choice_that_is_none_is_refused_in_words(
    stranger: Alert, as_alice: Client, student: str
) -> None:
    answer = as_alice.post(page_of(stranger), {"decision": "identified", "student": student})
    assert answer.status_code == 200
    assert "Choose" in answer.text
    assert Alert.objects.get().decision == Alert.Decision.OPEN


@pytest.mark.parametrize("decision", ["", "let_in", "open", "everything"])
def test_a_decision_that_is_none_changes_nothing(
    stranger: Alert, as_alice: Client, decision: str
) -> None:
    answer = as_alice.post(page_of(stranger), {"decision": decision}, follow=True)
    assert "Choose one of the decisions" in answer.text
    assert Alert.objects.get().decision == Alert.Decision.OPEN


def test_many_are_ignored_at_once(seen: Seen, as_alice: Client) -> None:
    chosen = [seen(an_embedding(person)) for person in range(3)]
    answer = as_alice.post(
        reverse("admin:checkin_alert_changelist"),
        {
            "action": "ignore_chosen",
            "_selected_action": [alert.pk for alert in chosen[:2] if alert],
        },
        follow=True,
    )
    assert "2 alerts were ignored" in answer.text
    assert Alert.objects.filter(decision="ignored").count() == 2


def test_the_list_has_what_waits_first_and_narrows_to_a_session(
    seen: Seen, alice: User, as_alice: Client, math: Course, now: datetime
) -> None:
    decided = seen(an_embedding(1), at=now + timedelta(minutes=1))
    waiting = seen(an_embedding(2))
    assert decided is not None
    ignore(alert=decided, by=alice, at=now)
    other = a_session(math)
    seen(an_embedding(3), session=other)
    url = reverse("admin:checkin_alert_changelist")
    rows = list(as_alice.get(url).context["cl"].result_list)
    assert rows[-1] == decided
    of_session = as_alice.get(url, {"session": waiting.session_id if waiting else 0})
    assert list(of_session.context["cl"].result_list) == [waiting, decided]
    assert as_alice.get(url, {"sealed_embedding__startswith": "x"}).status_code == 400


def test_the_desk_and_the_live_page_say_how_many_wait(
    stranger: Alert, as_alice: Client, charlie: User
) -> None:
    assert "1 open alert" in as_alice.get("/admin/").text
    live = as_alice.get(reverse("admin:checkin_attendance_live", args=[stranger.session_id])).text
    assert "1 alert waits" in live
    as_alice.force_login(charlie)
    assert "open alert" not in as_alice.get("/admin/").text


def test_a_registrar_sees_no_alert(stranger: Alert, client: Client) -> None:
    client.force_login(a_member(REGISTRAR, "registrar"))
    assert client.get(page_of(stranger)).status_code == 403
    assert client.get(picture_of(stranger)).status_code == 403
    assert "open alert" not in client.get("/admin/").text
    live = client.get(reverse("admin:checkin_attendance_live", args=[stranger.session_id]))
    assert "alert waits" not in live.text


@pytest.mark.parametrize("key", ["x", "9" * 30, "999999"])
def test_an_address_of_no_alert_is_not_found(as_alice: Client, key: str, db: None) -> None:
    assert as_alice.get(f"/admin/checkin/alert/{key}/change/").status_code == 404
