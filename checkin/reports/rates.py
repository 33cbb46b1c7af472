"""How much of a course students attended. Only closed sessions count.

An excused absence counts neither way: who was excused is asked for less. Whoever was on the list
for a part of the term has rows of that time only, and so these rules need no dates of joining.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet

from checkin.models import Attendance
from roster.models import ClassSession, Course

Status = Attendance.Status


@dataclass(frozen=True, slots=True)
class Rate:
    """How often each status was recorded, and the share that was attended."""

    present: int = 0
    late: int = 0
    excused: int = 0
    absent: int = 0

    @property
    def attended(self) -> int:
        return self.present + self.late

    @property
    def counted(self) -> int:
        return self.attended + self.absent

    @property
    def per_mille(self) -> int | None:
        """Rounded down, so that nobody seems to reach what they have missed."""
        return 1000 * self.attended // self.counted if self.counted else None

    @property
    def percentage(self) -> float | None:
        """With one place after the point.

        >>> Rate(present=1, late=1, excused=5, absent=1).percentage
        66.6
        """
        return None if self.per_mille is None else self.per_mille / 10

    def is_below(self, required: int) -> bool:
        """Compared as whole numbers; nobody is below anything before a session counts."""
        return 100 * self.attended < required * self.counted

    def __add__(self, other: Rate) -> Rate:
        return Rate(
            present=self.present + other.present,
            late=self.late + other.late,
            excused=self.excused + other.excused,
            absent=self.absent + other.absent,
        )


@dataclass(frozen=True, slots=True)
class Term:
    """Days from the first to the last, both within; without one there is no bound."""

    since: date | None = None
    until: date | None = None

    def of_sessions(self, zone_name: str) -> Q:
        """Sessions that start on these days in courses that are held in this time zone."""
        zone, found = ZoneInfo(zone_name), Q(course__timezone=zone_name)
        if self.since:
            found &= Q(starts_at__gte=_midnight(self.since, zone))
        if self.until:
            found &= Q(starts_at__lt=_midnight(self.until + timedelta(days=1), zone))
        return found


ALWAYS = Term()


def sessions_in(courses: QuerySet[Course], term: Term) -> QuerySet[ClassSession]:
    """Sessions of these courses that start in the term, by the clocks of each course."""
    sessions = ClassSession.objects.filter(course__in=courses)
    if term == ALWAYS:
        return sessions
    zones = courses.order_by().values_list("timezone", flat=True).distinct()
    in_term = Q(pk__in=[])
    for zone_name in zones:
        in_term |= term.of_sessions(zone_name)
    return sessions.filter(in_term)


def closed_sessions(courses: QuerySet[Course], term: Term = ALWAYS) -> QuerySet[ClassSession]:
    """Those that count: the missing have been written as absent."""
    return sessions_in(courses, term).filter(closed_at__isnull=False)


def rate_of(rows: QuerySet[Attendance]) -> Rate:
    """All rows together."""
    return Rate(**rows.order_by().aggregate(**_COUNTS))


def rates_by(rows: QuerySet[Attendance], *fields: str) -> Mapping[Any, Rate]:
    """One rate for each value of the field, or for each tuple of them; one query."""
    grouped = rows.order_by().values_list(*fields).annotate(**_COUNTS)
    rates = {}
    for row in grouped:
        key, counts = row[: len(fields)], row[len(fields) :]
        rates[key if len(fields) > 1 else key[0]] = Rate(*counts)
    return rates


def attendance_in(sessions: QuerySet[ClassSession]) -> QuerySet[Attendance]:
    """The rows of these sessions."""
    return Attendance.objects.filter(session__in=sessions.order_by().values("pk"))


_COUNTS = {
    status.value: Count("pk", filter=Q(status=status))
    for status in (Status.PRESENT, Status.LATE, Status.EXCUSED, Status.ABSENT)
}


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone)
