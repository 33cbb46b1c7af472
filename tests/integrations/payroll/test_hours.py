"""Hours by numbers worked out by hand, and a month of an office counted twice."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from checkin.models import Attendance
from integrations.payroll.hours import (
    BreakRule,
    Flag,
    Level,
    Mode,
    Presence,
    Rounding,
    lines_of,
    shifts_of,
)
from integrations.payroll.models import ExportProfile
from integrations.payroll.selectors import sheet_of
from roster.models import ClassSession, Course, Student
from tests.support.school import a_course, a_student

BERLIN = ZoneInfo("Europe/Berlin")
NO_BREAK = BreakRule()
DAY = date(2026, 3, 2)


def at(hour: int, minute: int = 0, *, day: date = DAY, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=zone).astimezone(UTC)


def a_presence(
    arrived: datetime,
    left: datetime | None,
    *,
    session: int = 1,
    person: int = 1,
    course: int = 1,
    day: date = DAY,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Presence:
    return Presence(
        person=person,
        session=session,
        course=course,
        day=day,
        starts_at=starts_at or at(0, day=day),
        ends_at=ends_at or at(0, day=day) + timedelta(days=1),
        arrived_at=arrived,
        left_at=left,
    )


def minutes(*presences: Presence, rule: BreakRule = NO_BREAK) -> list[int]:
    return [shift.seconds // 60 for shift in shifts_of(presences, rule)]


# What counts


def test_time_before_the_start_and_after_the_end_of_the_session_does_not_count() -> None:
    one = a_presence(at(7, 40), at(17, 25), starts_at=at(8), ends_at=at(17))
    assert minutes(one) == [540]


def test_who_did_not_check_out_has_no_hours_and_a_flag() -> None:
    [shift] = shifts_of([a_presence(at(8), None)], NO_BREAK)
    assert (shift.seconds, shift.flag) == (0, Flag.NO_LEAVING)


def test_a_missing_leaving_hides_nothing_of_the_next_session() -> None:
    assert minutes(a_presence(at(8), None, session=1), a_presence(at(9), at(10), session=2)) == [
        0,
        60,
    ]


def test_who_came_after_the_end_has_no_hours_and_a_flag() -> None:
    [shift] = shifts_of(
        [a_presence(at(17, 5), at(17, 9), starts_at=at(8), ends_at=at(17))], NO_BREAK
    )
    assert (shift.seconds, shift.flag) == (0, Flag.OUTSIDE)


def test_a_night_over_the_spring_change_of_clocks_has_an_hour_less() -> None:
    """22:00 to 06:00 on the clocks, and 7 hours long."""
    saturday, sunday = date(2026, 3, 28), date(2026, 3, 29)
    one = a_presence(
        at(22, day=saturday),
        at(6, day=sunday),
        day=saturday,
        starts_at=at(22, day=saturday),
        ends_at=at(6, day=sunday),
    )
    assert minutes(one) == [420]


def test_a_night_over_the_autumn_change_of_clocks_has_an_hour_more() -> None:
    saturday, sunday = date(2026, 10, 24), date(2026, 10, 25)
    one = a_presence(
        at(22, day=saturday),
        at(6, day=sunday),
        day=saturday,
        starts_at=at(22, day=saturday),
        ends_at=at(6, day=sunday),
    )
    assert minutes(one) == [540]


def test_two_sessions_at_once_count_once_for_the_one_entered_first() -> None:
    shifts = shifts_of(
        [
            a_presence(at(9), at(12), session=1),
            a_presence(at(10), at(11), session=2),
            a_presence(at(11, 30), at(13), session=3),
        ],
        NO_BREAK,
    )
    assert [(one.seconds // 60, one.flag) for one in shifts] == [
        (180, None),
        (0, Flag.OVERLAP),
        (60, Flag.OVERLAP),
    ]


def test_who_waits_before_a_session_loses_nothing_of_another() -> None:
    """In session 1, which begins at nine, since 8:50; in session 2 from 8:55 on."""
    found = minutes(
        a_presence(at(8, 50), at(10), session=1, starts_at=at(9)),
        a_presence(at(8, 55), at(10, 30), session=2, starts_at=at(8)),
    )
    assert sum(found) == 95


def test_people_do_not_share_time() -> None:
    assert minutes(a_presence(at(9), at(10), person=1), a_presence(at(9), at(10), person=2)) == [
        60,
        60,
    ]


# Breaks


@pytest.mark.parametrize(
    ("worked", "paid"), [(359, 359), (360, 360), (361, 360), (389, 360), (390, 360), (480, 450)]
)
def test_a_break_is_taken_off_a_long_day_but_never_below_its_limit(worked: int, paid: int) -> None:
    rule = BreakRule(after_min=360, minutes=30)
    assert minutes(a_presence(at(8), at(8) + timedelta(minutes=worked)), rule=rule) == [paid]


def test_the_break_of_a_day_in_parts_comes_off_the_last_ones() -> None:
    rule = BreakRule(after_min=360, minutes=30)
    parts = [
        a_presence(at(8), at(12), session=1),
        a_presence(at(13), at(17), session=2),
        a_presence(at(18), at(18, 10), session=3),
    ]
    assert minutes(*parts, rule=rule) == [240, 220, 0]


def test_each_day_has_its_own_break() -> None:
    rule = BreakRule(after_min=300, minutes=60)
    tuesday = DAY + timedelta(days=1)
    assert minutes(
        a_presence(at(8), at(16), session=1),
        a_presence(at(8, day=tuesday), at(12, day=tuesday), session=2, day=tuesday),
        rule=rule,
    ) == [420, 240]


# Rounding, by hand

ROUNDED = [
    # step, minutes and seconds worked, nearest, up, down
    (5, (2, 29), 0, 5, 0),
    (5, (2, 30), 5, 5, 0),
    (5, (5, 0), 5, 5, 5),
    (5, (7, 29), 5, 10, 5),
    (6, (2, 59), 0, 6, 0),
    (6, (3, 0), 6, 6, 0),
    (6, (456, 0), 456, 456, 456),
    (6, (458, 59), 456, 462, 456),
    (6, (459, 0), 462, 462, 456),
    (15, (7, 29), 0, 15, 0),
    (15, (7, 30), 15, 15, 0),
    (15, (15, 1), 15, 30, 15),
    (15, (0, 1), 0, 15, 0),
    (15, (0, 0), 0, 0, 0),
    (1, (10, 30), 11, 11, 10),
]


@pytest.mark.parametrize(("step", "worked", "nearest", "up", "down"), ROUNDED)
def test_rounding_of_one_length(
    step: int, worked: tuple[int, int], nearest: int, up: int, down: int
) -> None:
    seconds = worked[0] * 60 + worked[1]
    found = [Rounding(mode, step).of(seconds) / 60 for mode in (Mode.NEAREST, Mode.UP, Mode.DOWN)]
    assert found == [nearest, up, down]


def rounded(level: Level, grouping: Level, step: int = 15) -> list[int]:
    """Two shifts of 64 and 52 minutes on Monday, one of 8 on Tuesday."""
    tuesday = DAY + timedelta(days=1)
    presences = [
        a_presence(at(8), at(9, 4), session=1),
        a_presence(at(10), at(10, 52), session=2),
        a_presence(at(8, day=tuesday), at(8, 8, day=tuesday), session=3, day=tuesday),
    ]
    lines = lines_of(
        shifts_of(presences, NO_BREAK),
        grouping=grouping,
        by_course=False,
        rounding=Rounding(Mode.NEAREST, step, level),
    )
    return [line.seconds // 60 for line in lines]


def test_what_is_rounded_makes_the_difference() -> None:
    # Shifts: 64 → 60, 52 → 45, 8 → 15.
    assert rounded(Level.SHIFT, Level.SHIFT) == [60, 45, 15]
    assert rounded(Level.SHIFT, Level.DAY) == [105, 15]
    assert rounded(Level.SHIFT, Level.PERIOD) == [120]
    # Days: 116 → 120, 8 → 15.
    assert rounded(Level.DAY, Level.DAY) == [120, 15]
    assert rounded(Level.DAY, Level.PERIOD) == [135]
    # The whole: 124 → 120.
    assert rounded(Level.PERIOD, Level.PERIOD) == [120]


def test_nothing_larger_than_a_line_is_rounded() -> None:
    with pytest.raises(ValueError, match="per day and lines per shift"):
        rounded(Level.DAY, Level.SHIFT)


def test_a_line_of_each_course_where_that_is_wanted() -> None:
    shifts = shifts_of(
        [
            a_presence(at(8), at(9), session=1, course=1),
            a_presence(at(9), at(11), session=2, course=2),
            a_presence(at(11), at(12), session=3, course=1),
        ],
        NO_BREAK,
    )
    lines = lines_of(shifts, grouping=Level.DAY, by_course=True, rounding=Rounding())
    assert [line.seconds // 60 for line in lines] == [120, 120]


# A month of an office, counted a second time in whole minutes of the world's clock

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 31)
RULE = BreakRule(after_min=360, minutes=30)
#: 2026-03-29, 01:00 UTC: the clocks of Berlin go from UTC+1 to UTC+2. Written down, not asked of
#: a library.
CHANGE_MIN = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()) // 60
EPOCH_DAY_MIN = 24 * 60


def world_minute(day: date, clock_min: int) -> int:
    """Minutes since 1970 in UTC of a time on Berlin's clocks that exists once."""
    naive = (day - date(1970, 1, 1)).days * EPOCH_DAY_MIN + clock_min
    winter = naive - 60
    return winter if winter < CHANGE_MIN else naive - 120


def moment(world_min: int) -> datetime:
    return datetime.fromtimestamp(world_min * 60, UTC)


class Office:
    """Ten people, a day session and a night session each day, and meetings in the middle."""

    def __init__(self, lecturer: User) -> None:
        self.random = random.Random(29)
        zone = "Europe/Berlin"
        self.day = a_course("OFFICE", lecturer, timezone=zone)
        self.night = a_course("NIGHT", lecturer, timezone=zone)
        # The same place in the world, with a clock of its own.
        self.meeting = a_course("MEET", lecturer, timezone="Europe/London")
        self.people = [a_student(f"P-{n:02}", f"Person {n:02}") for n in range(10)]
        self.sessions: list[ClassSession] = []
        self.rows: list[Attendance] = []
        #: Of each person and day, the minutes in which they were there.
        self.there: dict[tuple[int, date], set[int]] = defaultdict(set)
        self.flagged = 0
        for number in range((LAST - FIRST).days + 1):
            self._hold(FIRST + timedelta(days=number))
        ClassSession.objects.bulk_create(self.sessions)
        Attendance.objects.bulk_create(self.rows)

    def _hold(self, day: date) -> None:
        next_day = day + timedelta(days=1)
        office = self._session(self.day, world_minute(day, 7 * 60), world_minute(day, 20 * 60))
        night = self._session(
            self.night, world_minute(day, 22 * 60), world_minute(next_day, 6 * 60)
        )
        meeting = self._session(
            self.meeting, world_minute(day, 11 * 60), world_minute(day, 12 * 60)
        )
        for number, person in enumerate(self.people):
            if (day.toordinal() + number) % 7 < 2:
                continue
            if (day.toordinal() + number) % 5 == 0:
                self._visit(day, night, person, 21 * 60 + 40, next_day, 5 * 60 + 30)
                continue
            self._visit(day, office, person, 6 * 60 + 30, day, 15 * 60)
            if number % 3 == 0:
                self._visit(day, meeting, person, 10 * 60 + 55, day, 11 * 60 + 40)

    def _session(self, course: Course, start_min: int, end_min: int) -> ClassSession:
        session = ClassSession(
            course=course,
            starts_at=moment(start_min),
            ends_at=moment(end_min),
            closed_at=moment(end_min),
            check_out=True,
        )
        self.sessions.append(session)
        return session

    def _visit(
        self,
        day: date,
        session: ClassSession,
        person: Student,
        from_clock: int,
        until_day: date,
        until_clock: int,
    ) -> None:
        arrived = world_minute(day, from_clock + self.random.randrange(40))
        left = world_minute(until_day, until_clock + self.random.randrange(120))
        forgotten = self.random.random() < 0.04
        self.rows.append(
            Attendance(
                session=session,
                student=person,
                status="present",
                method="face",
                arrived_at=moment(arrived),
                left_at=None if forgotten else moment(left),
            )
        )
        if forgotten:
            self.flagged += 1
            return
        start, end = (int(one.timestamp()) // 60 for one in (session.starts_at, session.ends_at))
        self.there[person.pk, day] |= set(range(max(arrived, start), min(left, end)))

    def paid(self, person: Student, day: date) -> int:
        """Minutes after the break."""
        worked = len(self.there[person.pk, day])
        return worked if worked <= 360 else max(360, worked - 30)

    def days(self) -> Iterator[date]:
        return (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1))


@pytest.fixture
def office(alice: User) -> Office:
    return Office(alice)


def sheet(profile: ExportProfile) -> dict[tuple[int, date | None], int]:
    profile.break_after_min, profile.break_min = RULE.after_min, RULE.minutes
    found = sheet_of(profile, Course.objects.all(), first_day=FIRST, last_day=LAST)
    result: dict[tuple[int, date | None], int] = defaultdict(int)
    for row in found.rows:
        assert row.seconds % 60 == 0
        result[row.student.pk, row.day] += row.seconds // 60
    return result


def test_a_month_of_an_office_over_the_change_of_clocks_is_counted_right(office: Office) -> None:
    """Every figure: of each person, day and shift, and of the month, rounded and not."""
    by_day = sheet(ExportProfile(grouping="day"))
    by_shift = sheet(ExportProfile(grouping="shift"))
    by_period = sheet(ExportProfile(grouping="period"))
    up = sheet(
        ExportProfile(grouping="day", rounding="up", rounding_step_min=15, rounding_level="day")
    )
    nearest = sheet(
        ExportProfile(
            grouping="period", rounding="nearest", rounding_step_min=6, rounding_level="day"
        )
    )
    compared = 0
    for person in office.people:
        whole = whole_nearest = 0
        for day in office.days():
            paid = office.paid(person, day)
            assert by_day.get((person.pk, day), 0) == paid
            assert by_shift.get((person.pk, day), 0) == paid
            assert up.get((person.pk, day), 0) == -(-paid // 15) * 15
            whole += paid
            whole_nearest += (paid + 3) // 6 * 6
            compared += 3
        assert by_period[person.pk, None] == whole
        assert nearest[person.pk, None] == whole_nearest
        compared += 2
    assert compared == 10 * (31 * 3 + 2)
    changed_night = [office.paid(person, date(2026, 3, 28)) for person in office.people]
    assert any(changed_night)


def test_every_shift_without_a_leaving_is_told_of(office: Office) -> None:
    found = sheet_of(
        ExportProfile(grouping="period"), Course.objects.all(), first_day=FIRST, last_day=LAST
    )
    assert office.flagged > 5
    no_leaving = [one for one in found.flagged if one.flag == Flag.NO_LEAVING]
    assert len(no_leaving) == office.flagged


def test_the_number_of_queries_does_not_grow_with_people_and_sessions(office: Office) -> None:
    def queries(last_day: date) -> int:
        with CaptureQueriesContext(connection) as found:
            sheet_of(ExportProfile(), Course.objects.all(), first_day=FIRST, last_day=last_day)
        return len(found)

    assert queries(FIRST) == queries(LAST) <= 8


def test_a_shift_after_midnight_belongs_to_the_day_on_which_its_session_starts(
    office: Office,
) -> None:
    """The night from the 31st is of March, that from the last of February is not there at all."""
    rows = sheet_of(
        ExportProfile(grouping="shift"),
        Course.objects.filter(code="NIGHT"),
        first_day=LAST,
        last_day=LAST,
    ).rows
    assert {row.day for row in rows} <= {LAST}
    assert all(row.left is None or row.left.date() == date(2026, 4, 1) for row in rows)
