"""Questions of the desk's entry page: what waits, what is on today, what deserves a look.

Each asks for all courses of a user at once, so that the number of queries does not grow with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.timesince import timesince

from accounts.models import User
from checkin.kiosks.health import SILENT_AFTER, Standing, advice_for, standing_of
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from recognition.models import FaceRegistration, Resemblance, StudentFace
from recognition.selectors import with_recognisability
from roster.models import ClassSession, Course, CourseEnrolment, RosterClaim
from roster.selectors import courses_of, students_of

SHOWN_WAITING = 5
TREND_DAYS = 21
KIOSK_MISSED_AFTER = timedelta(minutes=5)
#: So many refusals of one kind in a course and a day deserve a look.
REPEATED = {Outcome.SPOOF: 3, Outcome.UNKNOWN: 10}


# What waits for a decision


@dataclass(frozen=True, slots=True)
class WaitingRegistrations:
    count: int
    same_face: int
    oldest: list[FaceRegistration]  # annotated with waits_since and is_double


def waiting_registrations(user: User) -> WaitingRegistrations:
    """Registrations of the user's students that nobody decided yet, the oldest first."""
    doubles = Resemblance.objects.filter(
        student=OuterRef("student"), kind=Resemblance.Kind.SAME_FACE
    )
    waiting = (
        FaceRegistration.objects.filter(
            status=FaceRegistration.Status.PENDING, student__in=students_of(user)
        )
        .annotate(waits_since=Coalesce("submitted_at", "created_at"), is_double=Exists(doubles))
        .select_related("student")
        .order_by("waits_since", "pk")
    )
    numbers = waiting.order_by().aggregate(
        count=Count("pk"), same_face=Count("pk", filter=Q(is_double=True))
    )
    return WaitingRegistrations(oldest=list(waiting[:SHOWN_WAITING]), **numbers)


def waiting_claims(user: User) -> QuerySet[RosterClaim]:
    """Claims to the user's students that nobody decided yet, the oldest first."""
    return RosterClaim.objects.filter(
        status=RosterClaim.Status.WAITING, student__in=students_of(user)
    ).order_by("made_at", "pk")


def waiting_for(since: datetime, *, at: datetime) -> str:
    """How long in the largest unit: “3 days”."""
    return timesince(since, at, depth=1)


# Sessions and who came


class ClassListSizes:
    """How many stood on each course's list on any day, read once."""

    def __init__(self, courses: QuerySet[Course]) -> None:
        self._spans: dict[int, list[tuple[date, date | None, int]]] = defaultdict(list)
        spans = (
            CourseEnrolment.objects.filter(course__in=courses)
            .values_list("course", "joined_on", "left_on")
            .annotate(Count("pk"))
            .order_by()
        )
        for course_pk, joined_on, left_on, count in spans:
            self._spans[course_pk].append((joined_on, left_on, count))

    def on(self, day: date, *, course_pk: int) -> int:
        return sum(
            count
            for joined_on, left_on, count in self._spans[course_pk]
            if joined_on <= day and (left_on is None or left_on > day)
        )


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """A session and how full it is. The state is open, next, later or done."""

    session: ClassSession
    state: str
    expected: int
    present: int
    late: int

    @property
    def arrived(self) -> int:
        return self.present + self.late

    @property
    def hours(self) -> str:
        """From and to, as the course's clocks tell them; the zone where it is not the site's."""
        course = self.session.course
        starts, ends = (
            f"{timezone.localtime(moment, course.zone):%H:%M}"
            for moment in (self.session.starts_at, self.session.ends_at)
        )
        zone = "" if course.timezone == settings.TIME_ZONE else f" ({course.timezone})"
        return f"{starts}–{ends}{zone}"


def day_of(session: ClassSession) -> date:
    """The day on which the session starts where the course is held."""
    return timezone.localtime(session.starts_at, session.course.zone).date()


def sessions_today(user: User, *, at: datetime) -> list[SessionFigures]:
    """What is on today where the course is held, and what still is open from the day before."""
    around = _sessions_between(user, at - timedelta(hours=36), at + timedelta(hours=36))
    sessions = [
        session
        for session in around
        if day_of(session) == timezone.localtime(at, session.course.zone).date()
        or session.is_open(at)
    ]
    upcoming = [session for session in sessions if _is_to_come(session, at)]
    next_start = min((session.starts_at for session in upcoming), default=None)
    came, expected = _arrivals(sessions), ClassListSizes(courses_of(user))
    return [
        SessionFigures(
            session=session,
            state=_state(session, at, next_start),
            expected=expected.on(day_of(session), course_pk=session.course_id),
            present=came[session.pk, Attendance.Status.PRESENT],
            late=came[session.pk, Attendance.Status.LATE],
        )
        for session in sessions
    ]


def next_session(user: User, *, at: datetime) -> ClassSession | None:
    """The first session of the user's courses that has not begun."""
    to_come = ClassSession.objects.filter(
        course__in=courses_of(user), closed_at=None, starts_at__gt=at
    )
    return to_come.select_related("course", "room").order_by("starts_at", "pk").first()


@dataclass(slots=True)
class DayOfAttendance:
    """What came of the sessions of one day."""

    day: date
    session_pks: list[int] = field(default_factory=list)
    expected: int = 0
    present: int = 0
    late: int = 0

    @property
    def scale(self) -> int:
        """The full height of the day's bar: who left the list since has come all the same."""
        return max(self.expected, self.present + self.late, 1)

    @property
    def per_cent(self) -> int:
        return round(100 * (self.present + self.late) / self.scale)

    @property
    def missing(self) -> int:
        return self.scale - self.present - self.late


def attendance_by_day(user: User, *, at: datetime) -> list[DayOfAttendance]:
    """The days of the last three weeks on which sessions were held, the earliest first."""
    sessions = [
        session
        for session in _sessions_between(user, at - timedelta(days=TREND_DAYS), at)
        if session.closed_at is not None or session.ends_at <= at
    ]
    came, expected = _arrivals(sessions), ClassListSizes(courses_of(user))
    days: dict[date, DayOfAttendance] = {}
    for session in sessions:
        day = day_of(session)
        figures = days.setdefault(day, DayOfAttendance(day))
        figures.session_pks.append(session.pk)
        figures.expected += expected.on(day, course_pk=session.course_id)
        figures.present += came[session.pk, Attendance.Status.PRESENT]
        figures.late += came[session.pk, Attendance.Status.LATE]
    return sorted(
        (figures for figures in days.values() if figures.expected), key=lambda day: day.day
    )


def _sessions_between(user: User, start: datetime, end: datetime) -> list[ClassSession]:
    sessions = ClassSession.objects.filter(
        course__in=courses_of(user), starts_at__gt=start, starts_at__lt=end
    )
    return list(sessions.select_related("course", "room").order_by("starts_at", "course__code"))


def _is_to_come(session: ClassSession, at: datetime) -> bool:
    return session.closed_at is None and at < session.opens_at


def _state(session: ClassSession, at: datetime, next_start: datetime | None) -> str:
    if session.is_open(at):
        return "open"
    if not _is_to_come(session, at):
        return "done"
    return "next" if session.starts_at == next_start else "later"


def _arrivals(sessions: Iterable[ClassSession]) -> Counter[tuple[int, str]]:
    """Rows by session and status."""
    counted = (
        Attendance.objects.filter(session__in=[session.pk for session in sessions])
        .values_list("session", "status")
        .annotate(Count("pk"))
        .order_by()
    )
    return Counter({(session_pk, status): count for session_pk, status, count in counted})


# Who can be recognised


@dataclass(frozen=True, slots=True)
class CourseCoverage:
    """How many of today's class list are in each state of `with_recognisability`."""

    course: Course
    counts: Counter[str]

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def ready(self) -> int:
        return self.counts["ready"]

    @property
    def per_cent(self) -> int:
        return round(100 * self.ready / self.total) if self.total else 0


def coverage(user: User, *, at: datetime, model_id: str) -> list[CourseCoverage]:
    """Every course of the user, with or without students."""
    courses = list(courses_of(user))
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    rows = (
        _on_lists_of(courses, at, model_id)
        .values_list("enrolments__course", "recognisability")
        .annotate(Count("pk"))
        .order_by()
    )
    for course_pk, code, count in rows:
        counts[course_pk][code] = count
    return [CourseCoverage(course, counts[course.pk]) for course in courses]


def must_re_enrol(user: User, *, at: datetime, model_id: str) -> int:
    """Students, not places on lists, whose templates the model in use cannot read."""
    students = _on_lists_of(list(courses_of(user)), at, model_id)
    return students.filter(recognisability="re_enrol").values("pk").distinct().count()


def _on_lists_of(courses: Sequence[Course], at: datetime, model_id: str) -> QuerySet[Any, Any]:
    """One row for each place on today's lists; it is not the same day in every time zone."""
    days: dict[date, list[int]] = defaultdict(list)
    for course in courses:
        days[timezone.localtime(at, course.zone).date()].append(course.pk)
    on_list = Q(pk__in=[])
    for day, course_pks in days.items():
        on_list |= Q(
            Q(enrolments__left_on=None) | Q(enrolments__left_on__gt=day),
            enrolments__course__in=course_pks,
            enrolments__joined_on__lte=day,
        )
    return with_recognisability(StudentFace.objects.filter(on_list), model_id=model_id)


# What deserves a look now


@dataclass(frozen=True, slots=True)
class MissedKiosk:
    kiosk: Kiosk
    session: ClassSession


@dataclass(frozen=True, slots=True)
class AilingKiosk:
    """One that is there and sees nothing, or not well. ``advice`` says what is to be done."""

    kiosk: Kiosk
    session: ClassSession
    standing: Standing
    advice: str


@dataclass(frozen=True, slots=True)
class RepeatedRefusals:
    course: Course
    outcome: Outcome
    count: int
    session_pks: list[int]


def missed_kiosks(sessions: Sequence[ClassSession], *, at: datetime) -> list[MissedKiosk]:
    """Kiosks that should serve one of these open sessions and have not been seen lately."""
    silent = _kiosks_for(sessions).filter(
        Q(last_seen_at=None) | Q(last_seen_at__lt=at - KIOSK_MISSED_AFTER)
    )
    return [MissedKiosk(kiosk, _served_by(kiosk, sessions)) for kiosk in silent]


def ailing_kiosks(sessions: Sequence[ClassSession], *, at: datetime) -> list[AilingKiosk]:
    """Kiosks of these open sessions that are online and have no picture, or a bad one."""
    there = _kiosks_for(sessions).filter(last_seen_at__gt=at - SILENT_AFTER)
    return [
        AilingKiosk(kiosk, _served_by(kiosk, sessions), standing, advice_for(kiosk, standing))
        for kiosk in there
        if (standing := standing_of(kiosk, at=at)) is not Standing.ONLINE
    ]


def _kiosks_for(sessions: Sequence[ClassSession]) -> QuerySet[Kiosk]:
    serving = Kiosk.objects.filter(
        Q(room__in=[session.room_id for session in sessions if session.room_id])
        | Q(courses__in=[session.course_id for session in sessions]),
        revoked_at=None,
    )
    return serving.distinct().prefetch_related("courses")


def _served_by(kiosk: Kiosk, sessions: Sequence[ClassSession]) -> ClassSession:
    return next(session for session in sessions if _serves(kiosk, session))


def _serves(kiosk: Kiosk, session: ClassSession) -> bool:
    if session.room_id is not None and session.room_id == kiosk.room_id:
        return True
    return any(course.pk == session.course_id for course in kiosk.courses.all())


def repeated_refusals(sessions: Iterable[ClassSession]) -> list[RepeatedRefusals]:
    """Courses in whose sessions kiosks refused faces more often than usual."""
    courses = {session.pk: session.course for session in sessions}
    counted = (
        CheckinAttempt.objects.filter(session__in=list(courses), outcome__in=list(REPEATED))
        .values_list("session", "outcome")
        .annotate(Count("pk"))
        .order_by("outcome", "session")
    )
    found: dict[tuple[Course, Outcome], dict[int, int]] = defaultdict(dict)
    for session_pk, outcome, count in counted:
        found[courses[session_pk], Outcome(outcome)][session_pk] = count
    return [
        RepeatedRefusals(course, outcome, sum(counts.values()), list(counts))
        for (course, outcome), counts in found.items()
        if sum(counts.values()) >= REPEATED[outcome]
    ]
