"""What happens is told once, with what it tells of, in an order that can be read on from."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.events import Event, event_kind, event_kinds, publish
from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.alerts import services as alerts
from checkin.alerts.services import note_denied
from checkin.appeals.services import accept_appeal, open_appeal
from checkin.marking import key_of, mark, state_of, undo
from checkin.models import Attendance, AttendanceChange, Kiosk
from checkin.people.erasure import Account, erase_student
from checkin.people.merging import merge_students
from checkin.retention import purge
from checkin.services import Evidence, record_attendance
from checkin.sessions.services import close_session, reopen_session
from integrations.events.models import OutboxHead, OutboxMessage
from integrations.events.selectors import (
    CursorError,
    ExpiredCursorError,
    UnknownKindError,
    content_of,
    events_since,
)
from integrations.events.services import keep_events, publish_openings, sequence_events
from recognition.models import FaceRegistration
from recognition.registration import cancel_registration, reject_registration
from recognition.services import withdraw_consent
from roster.events import STUDENT_CHANGED, students_changed
from roster.models import ClassSession, Course, CourseEnrolment, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_member,
    a_registration,
    a_session,
    a_student,
    a_template,
    an_attempt,
    an_attendance,
    utc,
)

NINE = utc(2026, 3, 2, 9)
EVIDENCE = Evidence(model_id="dlib-resnet-v1", gallery_size=4, similarity=0.97, threshold=0.93)


@pytest.fixture
def session(math: Course) -> ClassSession:
    return a_session(math, starts_at=NINE, ends_at=NINE + timedelta(minutes=90), check_out=True)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts of these tests have no frame that a worker could look at."""
    monkeypatch.setattr(alerts, "_with_picture", lambda alert, *_frame: alert)


def told() -> list[str]:
    return list(OutboxMessage.objects.order_by("pk").values_list("kind", flat=True))


def last() -> OutboxMessage:
    return OutboxMessage.objects.order_by("pk")[len(told()) - 1]


def check_in(kiosk: Kiosk, session: ClassSession, template: object, minutes: int) -> Attendance:
    result = record_attendance(
        kiosk=kiosk,
        sessions=[session],
        template_id=template.pk,  # type: ignore[attr-defined]
        evidence=EVIDENCE,
        at=NINE + timedelta(minutes=minutes),
    )
    assert result.attendance is not None
    return result.attendance


def something_happened(student: Student, field: str = "name") -> None:
    with transaction.atomic():
        students_changed([(student, [field])], timezone.now())


# What the services tell


def test_an_arrival_and_a_leaving_are_told_and_a_repetition_is_not(
    kiosk: Kiosk, session: ClassSession, eileen: Student
) -> None:
    template = a_template(eileen, an_embedding(1))
    for minutes in (2, 3, 60):
        check_in(kiosk, session, template, minutes)
    assert told() == ["attendance.recorded", "attendance.checked_out"]
    arrived, left = OutboxMessage.objects.order_by("pk")
    assert content_of(arrived) == {
        "id": str(arrived.event_id),
        "type": "attendance.recorded",
        "version": 1,
        "timestamp": "2026-03-02T09:02:00.000Z",
        "data": {
            "student": eileen.pk,
            "student_id": "S-1",
            "course": session.course_id,
            "course_code": "MATH",
            "session": session.pk,
            "session_starts_at": "2026-03-02T09:00:00.000Z",
            "session_ends_at": "2026-03-02T10:30:00.000Z",
            "status": "present",
            "method": "face",
            "reason": "",
            "arrived_at": "2026-03-02T09:02:00.000Z",
            "left_at": None,
            "kiosk": kiosk.pk,
        },
    }
    assert left.payload["left_at"] == "2026-03-02T10:00:00.000Z"


def test_no_figure_of_a_comparison_is_told(
    kiosk: Kiosk, session: ClassSession, eileen: Student
) -> None:
    check_in(kiosk, session, a_template(eileen, an_embedding(1)), 2)
    text = json.dumps(last().payload)
    assert "0.97" not in text
    assert "Eileen" not in text


def test_a_mark_its_correction_and_their_undoing_are_told(
    session: ClassSession, eileen: Student, alice: User
) -> None:
    def marked(status: str, shown: Attendance | None) -> Attendance:
        return mark(
            session=session,
            student=eileen,
            status=status,
            by=alice,
            reason="was ill",
            at=NINE,
            shown=key_of(state_of(shown)),
        )

    row = marked("present", None)
    marked("excused", row)
    for change in AttendanceChange.objects.order_by("-pk"):
        undo(change=change, by=alice, at=NINE)
    assert [
        (message.kind, message.payload["status"])
        for message in OutboxMessage.objects.order_by("pk")
    ] == [
        ("attendance.recorded", "present"),
        ("attendance.changed", "excused"),
        ("attendance.changed", "present"),
        ("attendance.undone", None),
    ]
    assert "was ill" not in json.dumps(
        list(OutboxMessage.objects.values_list("payload", flat=True))
    )


def test_closing_tells_each_absence_and_reopening_takes_it_back(
    kiosk: Kiosk, session: ClassSession, eileen: Student, math: Course, alice: User
) -> None:
    a_student("S-8", "Somebody Else", math)
    math.present_from_percent = 50
    math.save()
    left = NINE + timedelta(minutes=20)
    an_attendance(session, eileen, kiosk=kiosk, left_at=left)
    close_session(session, NINE + timedelta(minutes=91), by=alice)
    assert told() == ["attendance.changed", "attendance.recorded", "session.closed"]
    changed, absent, closed = OutboxMessage.objects.order_by("pk")
    assert (changed.payload["student_id"], changed.payload["reason"]) == ("S-1", "short_stay")
    assert (absent.payload["student_id"], absent.payload["status"]) == ("S-8", "absent")
    assert closed.payload["absences"] == 1

    OutboxMessage.objects.all().delete()
    at = NINE + timedelta(minutes=100)
    reopen_session(
        session, at, by=alice, reason="a kiosk was broken", until=at + timedelta(hours=1)
    )
    assert told() == ["session.reopened", "attendance.undone", "attendance.changed"]
    assert last().payload["status"] == "present"
    assert Attendance.objects.get().status == "present"


def test_an_opening_is_told_once_by_whichever_server_sees_it(math_session: ClassSession) -> None:
    now = timezone.now()
    assert [publish_openings(now) for _server in range(3)] == [1, 0, 0]
    # Two servers that looked at the same moment: the second one's row is dropped.
    opening = OutboxMessage.objects.get()
    with transaction.atomic():
        keep_events(
            [
                Event(
                    kind=next(kind for kind in event_kinds() if kind.name == "session.opened"),
                    at=now,
                    payload={},
                    once=opening.once,
                )
            ]
        )
    assert OutboxMessage.objects.get().payload["session"] == math_session.pk


def test_a_session_that_was_opened_again_is_not_told_as_opened(math_session: ClassSession) -> None:
    ClassSession.objects.update(reopened_until=timezone.now() + timedelta(hours=3))
    assert publish_openings(timezone.now()) == 0


def test_registrations_and_consent_are_told_without_words(eileen: Student, alice: User) -> None:
    rejected = a_registration(eileen, an_embedding(1))
    reject_registration(registration=rejected, decided_by=alice, reason="Take off the hat")
    cancelled = a_registration(eileen, an_embedding(1))
    cancel_registration(cancelled)
    a_registration(eileen, an_embedding(1))
    draft = FaceRegistration.objects.create(student=a_student("S-7", "Drafts Only"))
    cancel_registration(draft)
    withdraw_consent(student=eileen)
    assert told() == [
        "registration.rejected",
        "registration.withdrawn",
        "registration.withdrawn",
        "consent.withdrawn",
    ]
    assert "hat" not in json.dumps(list(OutboxMessage.objects.values_list("payload", flat=True)))


def test_an_appeal_and_its_decision_are_told(
    session: ClassSession, eileen: Student, alice: User, math: Course
) -> None:
    row = an_attendance(session, eileen, status="absent", arrived_at=None)
    at = NINE + timedelta(hours=3)
    appeal = open_appeal(session=session, student=eileen, text="I was there", at=at)
    accept_appeal(
        appeal=appeal,
        by=alice,
        at=at,
        status="present",
        answer="Right",
        shown=key_of(state_of(row)),
    )
    assert told() == ["appeal.opened", "attendance.changed", "appeal.decided"]
    assert last().payload["status"] == "accepted"
    assert "I was there" not in json.dumps(last().payload)


def test_an_alert_is_told_once_and_names_nobody(
    kiosk: Kiosk, math_session: ClassSession, eileen: Student, no_pictures: None
) -> None:
    for _again in range(2):
        note_denied(
            kiosk=kiosk,
            session=math_session,
            attempt=an_attempt(kiosk, math_session),
            student=eileen,
            picture=b"no picture",
            at=timezone.now(),
        )
    assert told() == ["alert.raised"]
    assert last().student_id is None
    assert "student" not in last().payload


def test_forms_of_the_desk_tell_of_students_and_class_lists(
    as_admin: Client, math: Course, admin: User
) -> None:
    def send(page: str, *args: object, **fields: object) -> None:
        answer = as_admin.post(reverse(f"admin:{page}", args=args), fields)
        assert answer.status_code == 302, answer.content.decode()

    send("roster_student_add", student_id="S-9", name="Nine")
    student = Student.objects.get()
    send("roster_student_change", student.pk, student_id="S-9", name="Nine", email="n@example.edu")
    place = {"course": math.pk, "student": student.pk, "joined_on": "2026-01-01"}
    send("roster_courseenrolment_add", **place)
    enrolment = CourseEnrolment.objects.get()
    send("roster_courseenrolment_change", enrolment.pk, **place, left_on="2026-05-01")
    send("roster_courseenrolment_change", enrolment.pk, **place)
    send("roster_courseenrolment_delete", enrolment.pk, post="yes")
    assert told() == [
        "student.created",
        "student.changed",
        "enrolment.started",
        "enrolment.ended",
        "enrolment.started",
        "enrolment.ended",
    ]
    assert OutboxMessage.objects.get(kind="student.changed").payload["changed"] == ["email"]


def test_an_erased_student_takes_the_events_along_and_receivers_hear_of_it(
    session: ClassSession, eileen: Student, alice: User
) -> None:
    something_happened(eileen)
    pk = eileen.pk
    erase_student(student=eileen, account=Account.UNLINK)
    assert told() == ["student.erased"]
    assert last().payload == {"student": pk, "course": session.course_id}
    assert [one.kind for one in events_since(0, user=alice).events] == ["student.erased"]


def test_a_merge_hands_the_events_over(eileen: Student, math: Course) -> None:
    other = a_student("S-1b", "Eileen Collins", math)
    something_happened(other)
    other_pk = other.pk
    merge_students(keep=eileen, other=other)
    assert set(OutboxMessage.objects.values_list("student", flat=True)) == {eileen.pk}
    assert OutboxMessage.objects.get(kind="student.merged").payload["merged_student"] == other_pk


# In one transaction


def test_what_is_rolled_back_is_not_told(session: ClassSession, eileen: Student) -> None:
    with transaction.atomic():
        something_happened(eileen)
        transaction.set_rollback(True)
    assert told() == []


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_of_a_transaction_is_refused(eileen: Student) -> None:
    with pytest.raises(RuntimeError, match=r"student\.changed was published outside"):
        students_changed([(eileen, ["name"])], timezone.now())
    assert told() == []


def test_two_kinds_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two kinds of events"):
        event_kind("student.changed", label="again", permission="roster.view_student")


def test_every_kind_asks_for_a_permission_that_exists(admin: User) -> None:
    from django.contrib.auth.models import Permission

    known = {
        f"{one.content_type.app_label}.{one.codename}"
        for one in Permission.objects.select_related("content_type")
    }
    assert {kind.permission for kind in event_kinds()} <= known


# Reading


def test_a_reader_goes_on_from_the_cursor(eileen: Student, alice: User) -> None:
    for field in ("name", "email", "user"):
        something_happened(eileen, field)
    first = events_since(0, user=alice, limit=2)
    assert [one.payload["changed"] for one in first.events] == [["name"], ["email"]]
    assert first.more
    rest = events_since(first.cursor, user=alice)
    assert [one.payload["changed"] for one in rest.events] == [["user"]]
    assert not rest.more
    nothing = events_since(rest.cursor, user=alice)
    assert (nothing.events, nothing.cursor, nothing.more) == ([], rest.cursor, False)


def test_charlie_reads_nothing_of_the_courses_of_alice(
    session: ClassSession, eileen: Student, dmitri: Student, charlie: User, alice: User
) -> None:
    mark(
        session=session,
        student=eileen,
        status="present",
        by=alice,
        reason="",
        at=NINE,
        shown=key_of(None),
    )
    something_happened(eileen)
    something_happened(dmitri)
    read = events_since(0, user=charlie)
    assert [one.payload["student_id"] for one in read.events] == ["S-2"]
    # The cursor goes on, also behind what is not for Charlie.
    assert read.cursor == 3


def test_a_reader_is_told_only_the_kinds_that_the_role_allows(
    session: ClassSession, eileen: Student, kiosk: Kiosk, alice: User, no_pictures: None
) -> None:
    registrar = a_member(REGISTRAR, "rita")
    note_denied(
        kiosk=kiosk,
        session=session,
        attempt=an_attempt(kiosk, session),
        student=None,
        picture=b"no picture",
        at=NINE,
    )
    something_happened(eileen)
    kinds = [one.kind for one in events_since(0, user=registrar).events]
    assert kinds == ["student.changed"]
    both = [one.kind for one in events_since(0, user=alice).events]
    assert both == ["alert.raised", "student.changed"]
    registrar.groups.remove(Group.objects.get(name=REGISTRAR))
    again = User.objects.get(pk=registrar.pk)
    assert events_since(0, user=again).events == []


def test_only_the_kinds_that_were_asked_for_are_read(eileen: Student, alice: User) -> None:
    something_happened(eileen)
    assert events_since(0, user=alice, kinds=["attendance.recorded"]).events == []
    assert len(events_since(0, user=alice, kinds=["student.changed"]).events) == 1
    with pytest.raises(UnknownKindError, match=r"no event “student\.sang”, expected some of alert"):
        events_since(0, user=alice, kinds=["student.sang"])


def test_a_cursor_that_was_never_given_out_is_refused(eileen: Student, alice: User) -> None:
    something_happened(eileen)
    for cursor in (-1, 2):
        with pytest.raises(CursorError, match=f"Got the cursor {cursor}"):
            events_since(cursor, user=alice)
    with pytest.raises(ValueError, match="got the limit 0, expected 1 to 1000"):
        events_since(0, user=alice, limit=0)


def test_who_has_slept_for_longer_than_events_are_kept_is_told_so(
    eileen: Student, alice: User
) -> None:
    for field in ("name", "email", "user"):
        something_happened(eileen, field)
    sequence_events()
    old = OutboxMessage.objects.filter(position__lte=2)
    old.update(kept_since=timezone.now() - timedelta(days=31))
    assert purge(timezone.now())["events for other systems"] == 2
    with pytest.raises(ExpiredCursorError, match="kept no longer"):
        events_since(1, user=alice)
    assert len(events_since(2, user=alice).events) == 1
    assert len(events_since(0, user=alice).events) == 1


@pytest.mark.django_db(transaction=True)
def test_who_commits_later_is_read_later_and_nobody_is_missed(eileen: Student, alice: User) -> None:
    """One transaction writes its event, another one overtakes it, and a reader looks meanwhile."""
    written, overtaken = threading.Event(), threading.Event()
    # SQLite lets one transaction write at a time: there the second one waits for the first.
    may_overtake = connection.vendor == "postgresql"

    def slow() -> None:
        try:
            with transaction.atomic():
                students_changed([(eileen, ["name"])], timezone.now())
                written.set()
                if may_overtake:
                    assert overtaken.wait(60)
        finally:
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(60)
    something_happened(eileen, "email")
    meanwhile = events_since(0, user=alice)
    overtaken.set()
    thread.join(60)
    afterwards = events_since(meanwhile.cursor, user=alice)
    read = [one.payload["changed"][0] for one in (*meanwhile.events, *afterwards.events)]
    assert sorted(read) == ["email", "name"]
    if may_overtake:
        assert read == ["email", "name"]
        assert afterwards.events[0].pk < meanwhile.events[0].pk


@pytest.mark.django_db(transaction=True)
def test_positions_have_no_gap_and_no_double_whoever_gives_them(eileen: Student) -> None:
    servers, each = 4, 25
    ready = threading.Barrier(servers)

    def server() -> None:
        try:
            ready.wait(60)
            for _turn in range(each):
                something_happened(eileen)
                sequence_events()
        finally:
            connection.close()

    threads = [threading.Thread(target=server) for _ in range(servers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    sequence_events()
    positions = list(OutboxMessage.objects.order_by("position").values_list("position", flat=True))
    assert positions == list(range(1, servers * each + 1))
    assert OutboxHead.objects.get().position == servers * each


def test_many_events_are_one_statement_each_way(
    math: Course, django_assert_max_num_queries: object
) -> None:
    students = [a_student(f"S-{number}", "Many") for number in range(300)]
    with django_assert_max_num_queries(30), transaction.atomic():  # type: ignore[operator]
        students_changed([(student, ["name"]) for student in students], timezone.now())
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        assert sequence_events() == 300
    numbers = OutboxMessage.objects.order_by("position").values_list(
        "payload__student_id", flat=True
    )
    assert list(numbers) == [student.student_id for student in students]
    publish([])
    assert STUDENT_CHANGED in event_kinds()
