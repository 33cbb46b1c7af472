"""Working hours from arrivals and leavings. Pure: no database, no clock.

The rules, as `docs/payroll.md` tells them to people:

- Hours are elapsed time between two moments in UTC, so that a change of the clocks counts as what
  it was.
- Only time between the start and the end of the session counts.
- A shift belongs to the day on which its session starts, also after midnight.
- Who did not check out gets no hours for it and a flag: nothing is guessed.
- Time that somebody spent in two sessions at once counts once, for the one that they entered first.
- A break is taken off a day's time only by the profile's own rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

MINUTE_S = 60


class Flag(StrEnum):
    """Why a shift has no hours, or fewer than it seems."""

    NO_LEAVING = "no_leaving"
    OUTSIDE = "outside"
    OVERLAP = "overlap"


class Mode(StrEnum):
    NONE = "none"
    NEAREST = "nearest"
    UP = "up"
    DOWN = "down"


class Level(StrEnum):
    """Of what: one shift, a person's day, or all of a person's time in the period."""

    SHIFT = "shift"
    DAY = "day"
    PERIOD = "period"


LEVELS = list(Level)


@dataclass(frozen=True, slots=True)
class Presence:
    """One person in one session, as it was recorded. All moments are aware."""

    person: int
    session: int
    course: int
    day: date
    starts_at: datetime
    ends_at: datetime
    arrived_at: datetime
    left_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shift:
    """What counts of a presence, in whole seconds; ``break_s`` is taken off already."""

    presence: Presence
    seconds: int
    break_s: int = 0
    flag: Flag | None = None

    @property
    def day(self) -> date:
        return self.presence.day


@dataclass(frozen=True, slots=True)
class BreakRule:
    """Of a day with more than ``after_min`` counted minutes, ``minutes`` are taken off.

    Never so many that fewer than ``after_min`` are left: who works a minute more does not earn
    less.
    """

    after_min: int = 0
    minutes: int = 0

    def seconds_off(self, counted_s: int) -> int:
        """
        >>> rule = BreakRule(after_min=360, minutes=30)
        >>> [rule.seconds_off(minutes * 60) // 60 for minutes in (360, 375, 390, 480)]
        [0, 15, 30, 30]
        """
        return max(0, min(self.minutes * MINUTE_S, counted_s - self.after_min * MINUTE_S))


@dataclass(frozen=True, slots=True)
class Rounding:
    """To a whole number of steps; a half goes up to the next one with ``nearest``."""

    mode: Mode = Mode.NONE
    step_min: int = 1
    level: Level = Level.SHIFT

    def of(self, seconds: int) -> int:
        """
        >>> quarter = 15
        >>> [Rounding(mode, quarter).of(7 * 60 + 30) // 60 for mode in Mode if mode != Mode.NONE]
        [15, 15, 0]
        """
        if self.mode == Mode.NONE:
            return seconds
        step_s = self.step_min * MINUTE_S
        if self.mode == Mode.UP:
            return -(-seconds // step_s) * step_s
        if self.mode == Mode.DOWN:
            return seconds // step_s * step_s
        return (2 * seconds + step_s) // (2 * step_s) * step_s


@dataclass(frozen=True, slots=True)
class Line:
    """Some shifts of one person, and their time after rounding."""

    shifts: tuple[Shift, ...]
    seconds: int

    @property
    def person(self) -> int:
        return self.shifts[0].presence.person

    @property
    def break_s(self) -> int:
        return sum(shift.break_s for shift in self.shifts)

    @property
    def flagged(self) -> list[Shift]:
        return [shift for shift in self.shifts if shift.flag is not None]


def shifts_of(presences: Iterable[Presence], rule: BreakRule) -> list[Shift]:
    """What counts of each presence, in the order of arrival of each person."""
    by_person: dict[int, list[Presence]] = defaultdict(list)
    for presence in presences:
        by_person[presence.person].append(presence)
    return [shift for own in by_person.values() for shift in _without_breaks(_counted(own), rule)]


def lines_of(
    shifts: Iterable[Shift], *, grouping: Level, by_course: bool, rounding: Rounding
) -> list[Line]:
    """One line per shift, per person and day, or per person; and per course, if asked for.

    Raises:
        ValueError: the rounding is of something larger than a line, which then has no share of it.
    """
    if LEVELS.index(rounding.level) > LEVELS.index(grouping):
        raise ValueError(
            f"got rounding per {rounding.level} and lines per {grouping}; a line must hold at "
            "least what is rounded"
        )
    groups = _grouped(shifts, grouping, by_course=by_course)
    return [Line(tuple(group), _rounded(group, rounding)) for group in groups]


def _grouped(shifts: Iterable[Shift], level: Level, *, by_course: bool) -> list[list[Shift]]:
    groups: dict[tuple[object, ...], list[Shift]] = defaultdict(list)
    for shift in shifts:
        one = shift.presence
        key: tuple[object, ...] = (one.person, one.course if by_course else None)
        if level == Level.DAY:
            key += (one.day,)
        elif level == Level.SHIFT:
            key += (one.session,)
        groups[key].append(shift)
    return list(groups.values())


def _rounded(shifts: Sequence[Shift], rounding: Rounding) -> int:
    parts = _grouped(shifts, rounding.level, by_course=False)
    return sum(rounding.of(sum(shift.seconds for shift in part)) for part in parts)


def _counted(presences: Iterable[Presence]) -> list[Shift]:
    """Of one person, by the moment from which each counts."""
    shifts = []
    counted_until: datetime | None = None
    for one in sorted(presences, key=lambda one: (_counts_from(one), one.session)):
        since, until = _counts_from(one), min(one.left_at or one.ends_at, one.ends_at)
        if one.left_at is None:
            shifts.append(Shift(one, 0, flag=Flag.NO_LEAVING))
        elif until <= since:
            shifts.append(Shift(one, 0, flag=Flag.OUTSIDE))
        else:
            # In the order of their beginnings one mark is enough: what reaches over it began
            # before this one, and so covers everything from here to the mark.
            own_since = since if counted_until is None else max(since, counted_until)
            seconds = max(0, round((until - own_since).total_seconds()))
            shifts.append(Shift(one, seconds, flag=Flag.OVERLAP if own_since > since else None))
            counted_until = until if counted_until is None else max(counted_until, until)
    return shifts


def _counts_from(presence: Presence) -> datetime:
    return max(presence.arrived_at, presence.starts_at)


def _without_breaks(shifts: list[Shift], rule: BreakRule) -> list[Shift]:
    """Each day's break comes off its last shifts."""
    off: dict[date, int] = {}
    for day in {shift.day for shift in shifts}:
        off[day] = rule.seconds_off(sum(one.seconds for one in shifts if one.day == day))
    result = []
    for shift in reversed(shifts):
        taken = min(off[shift.day], shift.seconds)
        off[shift.day] -= taken
        result.append(replace(shift, seconds=shift.seconds - taken, break_s=taken))
    return result[::-1]
