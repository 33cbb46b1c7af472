"""An entry by pass, alone or with a face: what it writes, what it spends, what it counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from checkin import services
from checkin.appeals.models import KeptProbe
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from checkin.passes.models import EntryPass, PassUse
from checkin.passes.second_factor import MAX_WRONG_PASSES, WRONG_PASSES_WITHIN, is_denied
from checkin.passes.services import PassRefusal, rotating_payload
from checkin.services import CheckinResult, Evidence, record_attendance, record_pass
from recognition.models import FaceTemplate
from roster.models import ClassSession, Course, EntryPolicy, Room, Student
from tests.support.cards import a_pass_of, unknown_pass
from tests.support.face_samples import an_embedding
from tests.support.school import a_session, a_student, a_template, an_attendance, enrol_in

pytestmark = pytest.mark.django_db

EVIDENCE = Evidence(model_id="dlib-resnet-v1", gallery_size=30, similarity=0.97, threshold=0.95)
NO_FACE = Evidence(model_id="", gallery_size=0)
AT_ONCE = 8
SECOND = timedelta(seconds=1)

Show = Callable[..., CheckinResult]


@pytest.fixture
def template(eileen: Student) -> FaceTemplate:
    return a_template(eileen, an_embedding(1))


@pytest.fixture
def strict(math_session: ClassSession) -> ClassSession:
    """Wants face and pass."""
    math_session.own_entry_policy = EntryPolicy.FACE_AND_PASS
    math_session.save()
    return math_session


@pytest.fixture
def show(kiosk: Kiosk) -> Show:
    """Hold a pass before the kiosk and nothing else."""

    def show(
        payload: str, *sessions: ClassSession, at: datetime | None = None, door: Kiosk = kiosk
    ) -> CheckinResult:
        return record_pass(
            kiosk=door,
            sessions=sessions,
            payload=payload,
            evidence=NO_FACE,
            at=at or timezone.now(),
        )

    return show


@pytest.fixture
def come(kiosk: Kiosk, template: FaceTemplate) -> Show:
    """Eileen's face was recognised; then she shows this pass, or none."""

    def come(
        session: ClassSession, payload: str | None, *, at: datetime | None = None
    ) -> CheckinResult:
        return record_attendance(
            kiosk=kiosk,
            sessions=[session],
            template_id=template.pk,
            evidence=EVIDENCE,
            at=at or timezone.now(),
            embedding=an_embedding(1),
            payload=payload,
        )

    return come


def is_unspent(code: str, student: Student) -> bool:
    unused = EntryPass.objects.filter(student=student, used_at=None, revoked_at=None)
    return unused.filter(code_hash=hashlib.sha256(code.encode()).hexdigest()).exists()


# A pass alone


def test_a_pass_alone_is_enough_where_the_course_says_so(show, math_session, eileen, kiosk) -> None:
    result = show(a_pass_of(eileen), math_session)

    row = Attendance.objects.get()
    assert (result.outcome, result.attendance) == (Outcome.PRESENT, row)
    assert (row.student, row.session, row.kiosk) == (eileen, math_session, kiosk)
    assert (row.status, row.method) == ("present", "pass")
    attempt = CheckinAttempt.objects.get()
    assert result.attempt == attempt
    assert (attempt.outcome, attempt.student, attempt.session) == ("present", eileen, math_session)
    assert (attempt.template, attempt.similarity, attempt.liveness) == (None, None, {})


def test_who_shows_a_pass_late_is_late(show, math, room_101, eileen) -> None:
    session = a_session(math, room=room_101, starts_at=timezone.now() - timedelta(minutes=11))

    assert show(a_pass_of(eileen), session).outcome is Outcome.LATE


def test_a_rotating_pass_is_enough_too(show, math_session, eileen) -> None:
    now = timezone.now()
    code = rotating_payload(student=eileen, session=math_session, at=now)

    assert show(code, math_session, at=now).outcome is Outcome.PRESENT
    assert show(code, math_session, at=now + SECOND).reason == PassRefusal.USED


@pytest.mark.parametrize("policy", [EntryPolicy.FACE, EntryPolicy.FACE_AND_PASS])
def test_a_pass_alone_opens_no_session_that_wants_a_face(show, math_session, eileen, policy):
    math_session.own_entry_policy = policy
    math_session.save()
    code = a_pass_of(eileen)
    result = show(code, math_session)

    assert result.refused is not None
    assert result.refused.refusal is PassRefusal.NOT_ENOUGH
    assert Attendance.objects.count() == PassUse.objects.count() == 0
    assert CheckinAttempt.objects.count() == 0
    assert is_unspent(code, eileen)


def test_of_two_open_sessions_the_one_that_takes_a_pass_is_entered(
    show, chem, room_101, strict, eileen
) -> None:
    enrol_in(chem, eileen)
    lenient = a_session(chem, room=room_101)

    result = show(a_pass_of(eileen), strict, lenient)

    assert result.outcome is Outcome.PRESENT
    assert Attendance.objects.get().session == lenient


def test_who_was_recorded_by_face_keeps_the_pass(show, math_session, eileen) -> None:
    an_attendance(math_session, eileen)
    code = a_pass_of(eileen)
    result = show(code, math_session)

    assert result.outcome is Outcome.ALREADY
    assert result.attendance is not None
    assert result.attendance.student == eileen
    assert PassUse.objects.count() == 0
    assert is_unspent(code, eileen)
    assert Attendance.objects.get().method == "face"


def test_somebody_of_another_class_keeps_the_pass(show, math_session, dmitri) -> None:
    code = a_pass_of(dmitri)
    result = show(code, math_session)

    assert (result.outcome, result.reason) == (Outcome.SECOND_FACTOR, PassRefusal.NOT_IN_CLASS)
    assert Attendance.objects.count() == 0
    assert is_unspent(code, dmitri)
    assert CheckinAttempt.objects.get().student is None


def test_a_pass_checks_out_after_the_shortest_stay(show, math, room_101, eileen) -> None:
    start = timezone.now() - timedelta(minutes=5)
    session = a_session(math, room=room_101, starts_at=start, check_out=True)
    assert show(a_pass_of(eileen), session, at=start).outcome is Outcome.PRESENT
    result = show(a_pass_of(eileen), session, at=start + timedelta(minutes=30))

    assert result.outcome is Outcome.CHECKED_OUT
    assert Attendance.objects.get().left_at == start + timedelta(minutes=30)


def test_a_session_closed_meanwhile_spends_no_pass(show, math_session, eileen) -> None:
    code = a_pass_of(eileen)
    ClassSession.objects.update(closed_at=timezone.now() - SECOND)

    assert show(code, math_session).outcome is Outcome.SESSION_CLOSED
    assert is_unspent(code, eileen)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda student: unknown_pass(), "unknown"),
        (lambda student: a_pass_of(student, at=timezone.now() - timedelta(days=30)), "expired"),
        (lambda student: (a_pass_of(student), a_pass_of(student))[0], "revoked"),
    ],
    ids=["unknown", "old", "replaced"],
)
def test_a_wrong_pass_is_kept_with_its_reason_and_names_nobody(
    show, math_session, eileen, make, reason
) -> None:
    result = show(make(eileen), math_session)

    assert (result.outcome, result.reason) == (Outcome.SECOND_FACTOR, reason)
    attempt = CheckinAttempt.objects.get()
    assert (attempt.outcome, attempt.reason) == ("second_factor", reason)
    assert (attempt.student, attempt.session) == (None, math_session)


@pytest.mark.parametrize("code", ["https://example.edu", "", "\0", "ROLLCALL", "x" * 200])
def test_a_code_of_something_else_is_no_attempt(show, math_session, code) -> None:
    result = show(code, math_session)

    assert result.refused is not None
    assert result.refused.refusal is PassRefusal.FOREIGN
    assert (result.attempt, CheckinAttempt.objects.count()) == (None, 0)


def test_the_fifth_wrong_pass_at_a_kiosk_is_denied(show, math_session) -> None:
    at = timezone.now()
    outcomes = [
        show(unknown_pass(), math_session, at=at + number * SECOND).outcome
        for number in range(MAX_WRONG_PASSES + 1)
    ]

    assert outcomes == [*["second_factor"] * 4, "denied", "second_factor"]
    denied = CheckinAttempt.objects.get(outcome="denied")
    assert (denied.reason, denied.student) == ("wrong_passes", None)


def test_wrong_passes_at_several_kiosks_or_long_ago_are_not_added_up(
    show, math_session, room_101
) -> None:
    other = Kiosk.objects.create(name="Other door", room=room_101)
    at = timezone.now()
    long_ago = [show(unknown_pass(), math_session, at=at - timedelta(minutes=3)) for _ in range(4)]
    elsewhere = [show(unknown_pass(), math_session, at=at, door=other) for _ in range(4)]
    here = show(unknown_pass(), math_session, at=at)

    assert {one.outcome for one in [*long_ago, *elsewhere, here]} == {Outcome.SECOND_FACTOR}


def test_somebody_who_enters_in_between_begins_the_count_anew(show, math_session, eileen) -> None:
    at = timezone.now()
    for number in range(4):
        show(unknown_pass(), math_session, at=at + number * SECOND)
    assert show(a_pass_of(eileen), math_session, at=at + 4 * SECOND).attendance

    assert show(unknown_pass(), math_session, at=at + 5 * SECOND).outcome is Outcome.SECOND_FACTOR


# Face and pass


def test_a_face_alone_is_not_enough_where_a_pass_is_wanted(come, strict) -> None:
    result = come(strict, None)

    assert (result.outcome, result.attendance) == (Outcome.SECOND_FACTOR, None)
    assert Attendance.objects.count() == KeptProbe.objects.count() == 0


def test_face_and_pass_together_are(come, strict, eileen, template) -> None:
    result = come(strict, a_pass_of(eileen))

    assert result.outcome is Outcome.PRESENT
    assert Attendance.objects.get().method == "face_pass"
    attempt = CheckinAttempt.objects.get()
    assert (attempt.student, attempt.template) == (eileen, template)
    assert PassUse.objects.get().session == strict
    assert KeptProbe.objects.get().attempt == attempt


def test_another_students_pass_does_not_do(come, strict, math) -> None:
    other = a_student("S-3", "Amara Okafor", math)
    code = a_pass_of(other)
    result = come(strict, code)

    assert (result.outcome, result.reason) == (Outcome.SECOND_FACTOR, PassRefusal.OTHER_STUDENT)
    assert Attendance.objects.count() == 0
    assert is_unspent(code, other)


def test_a_used_pass_does_not_do(come, strict, eileen, math) -> None:
    code = a_pass_of(eileen)
    come(strict, code)
    Attendance.objects.all().delete()

    assert come(strict, code).reason == PassRefusal.USED
    assert Attendance.objects.count() == 0


def test_who_is_recorded_already_spends_no_pass(come, strict, eileen) -> None:
    an_attendance(strict, eileen)
    code = a_pass_of(eileen)

    assert come(strict, code).outcome is Outcome.ALREADY
    assert is_unspent(code, eileen)


def test_five_wrong_passes_deny_the_student_for_some_minutes(come, strict, eileen) -> None:
    at = timezone.now()
    outcomes = [
        come(strict, code, at=at + number * SECOND).outcome
        for number, code in enumerate(["https://example.edu", *(unknown_pass() for _ in range(4))])
    ]
    right = a_pass_of(eileen)
    still = come(strict, right, at=at + 10 * SECOND)

    assert outcomes == [*["second_factor"] * 4, "denied"]
    assert (still.outcome, still.reason) == (Outcome.DENIED, "still_denied")
    assert is_denied(eileen, strict, at + 10 * SECOND)
    assert is_unspent(right, eileen)
    later = at + WRONG_PASSES_WITHIN + 5 * SECOND
    assert not is_denied(eileen, strict, later)
    assert come(strict, right, at=later).attendance is not None


def test_wrong_passes_count_for_this_student_and_session_only(
    come, strict, eileen, math, room_101, kiosk
) -> None:
    other = a_student("S-3", "Amara Okafor", math)
    others = a_template(other, an_embedding(2))
    at = timezone.now()
    for _ in range(4):
        record_attendance(
            kiosk=kiosk,
            sessions=[strict],
            template_id=others.pk,
            evidence=EVIDENCE,
            at=at,
            payload=unknown_pass(),
        )

    assert come(strict, unknown_pass(), at=at).outcome is Outcome.SECOND_FACTOR
    assert is_denied(other, strict, at) is is_denied(eileen, strict, at) is False


@pytest.mark.django_db(transaction=True)
def test_a_used_one_time_pass_is_replaced_after_the_entry_and_only_then(
    come, strict, eileen
) -> None:
    first = a_pass_of(eileen)
    come(strict, unknown_pass())
    assert EntryPass.objects.count() == 1
    assert come(strict, first).attendance is not None

    newest = EntryPass.objects.exclude(used_at__isnull=False).get()
    assert newest.student == eileen
    assert newest.issued_by is None


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_cannot_be_made_takes_back_no_entry(come, strict, eileen, monkeypatch) -> None:
    def broken(*_args: Any) -> None:
        raise OSError("no fonts")

    monkeypatch.setattr(services, "replace_used", broken)

    assert come(strict, a_pass_of(eileen)).attendance is not None
    assert Attendance.objects.count() == 1


# At the same instant


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["one_time", "rotating"])
def test_one_pass_at_many_kiosks_at_the_same_instant_enters_once(
    math: Course, chem: Course, eileen: Student, kind: str
) -> None:
    """Each kiosk has a session of its own, so that nothing but the pass can stop the others."""
    at = timezone.now()
    doors = []
    for number in range(AT_ONCE):
        room = Room.objects.create(name=f"Room {number}")
        session = a_session(math, room=room)
        doors.append((Kiosk.objects.create(name=f"Door {number}", room=room), session))
    if kind == "one_time":
        code = a_pass_of(eileen)
    else:
        code = rotating_payload(student=eileen, session=doors[0][1], at=at)
        doors = [(door, doors[0][1]) for door, _session in doors]
    together = Barrier(AT_ONCE)

    def show(door: tuple[Kiosk, ClassSession]) -> CheckinResult:
        try:
            together.wait()
            return record_pass(
                kiosk=door[0], sessions=[door[1]], payload=code, evidence=NO_FACE, at=at
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        results = list(threads.map(show, doors))

    entered = [result for result in results if result.outcome is Outcome.PRESENT]
    assert len(entered) == 1
    assert Attendance.objects.count() == PassUse.objects.count() == 1
    assert CheckinAttempt.objects.count() == AT_ONCE
    assert {result.reason for result in results if result not in entered} <= {
        "used",
        "wrong_passes",
    }
