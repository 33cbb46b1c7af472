"""What the charts of reports show: bars over time, weeks and weekdays, times of arrival."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from checkin.reports.rates import Rate
from roster.models import ClassSession

BIN_MIN = 5
FIRST_BIN_MIN, LAST_BIN_MIN = -15, 30
HEAT_STEPS = (50, 70, 80, 90)
LABELLED_BARS = 7
MONDAY_TO_FRIDAY = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """The statuses of one session or week, one above the other."""

    label: str
    title: str
    rate: Rate
    shows_label: bool = True

    @property
    def scale(self) -> int:
        return max(self.rate.counted + self.rate.excused, 1)

    @property
    def late_y(self) -> int:
        return self.rate.absent + self.rate.excused

    @property
    def present_y(self) -> int:
        return self.late_y + self.rate.late


@dataclass(frozen=True, slots=True)
class HeatCell:
    rate: Rate

    @property
    def per_cent(self) -> int | None:
        per_mille = self.rate.per_mille
        return None if per_mille is None else per_mille // 10

    @property
    def level(self) -> int:
        """From 0, half or less, to 4."""
        per_cent = self.per_cent or 0
        return sum(per_cent >= step for step in HEAT_STEPS)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A line for each weekday, with a cell or nothing for each week."""

    weeks: list[date]
    lines: list[tuple[str, list[HeatCell | None]]]


@dataclass(frozen=True, slots=True)
class Bin:
    """How many arrived in five minutes, counted from the start; the ends take the rest."""

    label: str
    count: int
    most: int

    @property
    def top(self) -> int:
        return self.most - self.count


@dataclass(frozen=True, slots=True)
class Held:
    """A session on the day and at the time that its course's clocks tell."""

    session: ClassSession
    rate: Rate

    @property
    def day(self) -> date:
        return timezone.localtime(self.session.starts_at, self.session.course.zone).date()

    @property
    def week(self) -> date:
        return self.day - timedelta(days=self.day.weekday())


@dataclass(frozen=True)
class Charts:
    """Of sessions that were held, the earliest first."""

    held: Sequence[Held]
    arrivals_min: Sequence[int] = ()
    by_week: bool = False

    @cached_property
    def trend(self) -> list[Bar]:
        return week_bars(self.held) if self.by_week else session_bars(self.held)

    @cached_property
    def heat(self) -> HeatMap | None:
        return heat_map(self.held) if self.held else None

    @cached_property
    def arrivals(self) -> list[Bin]:
        return arrival_bins(self.arrivals_min) if self.arrivals_min else []


def session_bars(held: Sequence[Held]) -> list[Bar]:
    step = -(-len(held) // LABELLED_BARS)
    return [
        Bar(
            label=date_format(one.day, "j M"),
            title=one.session.clock(one.session.starts_at),
            rate=one.rate,
            shows_label=number % step == 0,
        )
        for number, one in enumerate(held)
    ]


def week_bars(held: Sequence[Held]) -> list[Bar]:
    rates: dict[date, Rate] = defaultdict(Rate)
    for one in held:
        rates[one.week] += one.rate
    step = -(-len(rates) // LABELLED_BARS) if rates else 1
    return [
        Bar(
            label=date_format(week, "j M"),
            title=_("Week of %(day)s") % {"day": date_format(week, "j F Y")},
            rate=rate,
            shows_label=number % step == 0,
        )
        for number, (week, rate) in enumerate(sorted(rates.items()))
    ]


def heat_map(held: Iterable[Held]) -> HeatMap:
    """Weeks without a session stand in their place, so that gaps are seen."""
    cells: dict[tuple[int, date], Rate] = defaultdict(Rate)
    for one in held:
        cells[one.day.weekday(), one.week] += one.rate
    weeks = sorted({week for _weekday, week in cells})
    days = range(max(MONDAY_TO_FRIDAY, max(weekday for weekday, _week in cells) + 1))
    every_week = [
        weeks[0] + timedelta(weeks=number) for number in range((weeks[-1] - weeks[0]).days // 7 + 1)
    ]
    return HeatMap(
        every_week,
        [
            (
                str(WEEKDAYS_ABBR[weekday]),
                [
                    HeatCell(cells[weekday, week]) if (weekday, week) in cells else None
                    for week in every_week
                ],
            )
            for weekday in days
        ],
    )


def arrival_bins(arrivals_min: Iterable[int]) -> list[Bin]:
    """Whole minutes after the start, negative before it.

    >>> [(bin.label, bin.count) for bin in arrival_bins([-40, 0, 4, 5, 99]) if bin.count]
    [('before −15', 1), ('0', 2), ('5', 1), ('from 30', 1)]
    """
    counts = Counter(
        min(max(minutes // BIN_MIN * BIN_MIN, FIRST_BIN_MIN - BIN_MIN), LAST_BIN_MIN)
        for minutes in arrivals_min
    )
    starts = range(FIRST_BIN_MIN - BIN_MIN, LAST_BIN_MIN + 1, BIN_MIN)
    most = max(counts.values(), default=1)
    return [Bin(_bin_label(start), counts[start], most) for start in starts]


def _bin_label(start: int) -> str:
    if start < FIRST_BIN_MIN:
        return _("before %(minutes)s") % {"minutes": _signed(FIRST_BIN_MIN)}
    if start == LAST_BIN_MIN:
        return _("from %(minutes)s") % {"minutes": LAST_BIN_MIN}
    return _signed(start)


def _signed(minutes: int) -> str:
    return str(minutes).replace("-", "−")
