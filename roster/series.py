"""Weekly series: which sessions they hold, and bringing those into line with a changed series.

A series touches only its sessions to come that nobody has changed and on which nothing was
recorded. What has opened, was changed by hand or has records stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from dateutil.rrule import WEEKLY, rrule, weekdays
from django.db import transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from roster.models import ClassSession, Course, Holiday, Room, SessionSeries

MAX_SESSIONS = 400
NAMED_CLASHES = 3

BY_CODE = {str(weekday): weekday for weekday in weekdays}


class SeriesRefusedError(Exception):
    """The series cannot be held like this. The text says why, for the person who asked."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A session that a series wants to hold."""

    day: date
    starts_at: datetime
    ends_at: datetime

    def overlaps(self, session: ClassSession) -> bool:
        return self.starts_at < session.ends_at and session.starts_at < self.ends_at


@dataclass(slots=True)
class SeriesPlan:
    """What saving a series does to its sessions."""

    new: list[Slot] = field(default_factory=list)
    moved: list[tuple[ClassSession, Slot]] = field(default_factory=list)
    same: list[Slot] = field(default_factory=list)
    gone: list[ClassSession] = field(default_factory=list)
    kept: list[ClassSession] = field(default_factory=list)
    passed: list[Slot] = field(default_factory=list)
    holidays: list[tuple[date, Holiday]] = field(default_factory=list)
    own_clashes: list[tuple[Slot, ClassSession]] = field(default_factory=list)
    room_clashes: list[tuple[Slot, ClassSession]] = field(default_factory=list)

    @property
    def written(self) -> list[Slot]:
        return [*self.new, *(slot for _session, slot in self.moved)]


# Questions


def dates_of(series: SessionSeries) -> Iterator[date]:
    """Every date of the rule, holidays among them."""
    rule = rrule(
        WEEKLY,
        dtstart=datetime.combine(series.first_day, series.start_time),
        until=datetime.combine(series.last_day, series.end_time),
        interval=series.interval_weeks,
        byweekday=[BY_CODE[code] for code in series.weekdays],
    )
    return (moment.date() for moment in rule)


def overlapping(
    *,
    starts_at: datetime,
    ends_at: datetime,
    course: Course | None = None,
    room: Room | None = None,
    apart_from: ClassSession | None = None,
) -> QuerySet[ClassSession]:
    """Sessions of the course, or in the room, that are held at this time too."""
    found = ClassSession.objects.filter(starts_at__lt=ends_at, ends_at__gt=starts_at)
    if course is not None:
        found = found.filter(course=course)
    if room is not None:
        found = found.filter(room=room)
    if apart_from is not None and apart_from.pk:
        found = found.exclude(pk=apart_from.pk)
    return found.select_related("course").order_by("starts_at", "pk")


def plan_series(series: SessionSeries, *, at: datetime) -> SeriesPlan:
    """What saving the series, stored or not, would do. Nothing is written.

    Raises:
        SeriesRefusedError: there is no date, too many, or one that the clocks do not have.
    """
    plan = SeriesPlan()
    slots = _slots_without_holidays(series, plan)
    existing = {session.series_day: session for session in _sessions_of(series)}
    free = set(_free_to_change(series, at=at))
    for slot in slots:
        _place(slot, existing.pop(slot.day, None), series, free, plan, at)
    for session in existing.values():
        if session in free:
            plan.gone.append(session)
        elif session.opens_at > at:
            plan.kept.append(session)
    _find_clashes(series, plan)
    return plan


def _slots_without_holidays(series: SessionSeries, plan: SeriesPlan) -> list[Slot]:
    days = list(dates_of(series))
    if not days:
        raise SeriesRefusedError(
            _("None of these weekdays lies between the first day and the last day.")
        )
    if len(days) > MAX_SESSIONS:
        raise SeriesRefusedError(
            _("These are %(count)d sessions, at most %(most)d are allowed. Choose an earlier end.")
            % {"count": len(days), "most": MAX_SESSIONS}
        )
    holidays = list(_holidays_of(series))
    slots = []
    for day in days:
        holiday = next((one for one in holidays if one.first_day <= day <= one.last_day), None)
        if holiday is not None:
            plan.holidays.append((day, holiday))
        elif day.isoformat() not in series.left_out:
            slots.append(_slot_on(day, series))
    return slots


def _holidays_of(series: SessionSeries) -> QuerySet[Holiday]:
    return Holiday.objects.filter(
        Q(course=None) | Q(course=series.course_id),
        first_day__lte=series.last_day,
        last_day__gte=series.first_day,
    )


def _slot_on(day: date, series: SessionSeries) -> Slot:
    zone = series.course.zone
    starts_at, ends_at = (
        timezone.make_aware(datetime.combine(day, clock), zone).astimezone(UTC)
        for clock in (series.start_time, series.end_time)
    )
    if ends_at <= starts_at:
        raise SeriesRefusedError(
            _("On %(day)s the clocks of %(zone)s are changed within these hours.")
            % {"day": day, "zone": zone}
        )
    return Slot(day, starts_at, ends_at)


def _sessions_of(series: SessionSeries) -> QuerySet[ClassSession]:
    return (
        ClassSession.objects.filter(series=series.pk) if series.pk else ClassSession.objects.none()
    )


def _free_to_change(series: SessionSeries, *, at: datetime) -> list[ClassSession]:
    """Sessions to come that nobody changed and on which nothing hangs."""
    untouched = _sessions_of(series).filter(changed_by_hand=False, closed_at=None)
    # What later apps hang on a session is theirs to know; anything at all keeps it.
    for relation in ClassSession._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel):
            rows = relation.related_model._base_manager
            hanging = rows.filter(**{relation.field.name: OuterRef("pk")})
            untouched = untouched.filter(~Exists(hanging))
    return [session for session in untouched if session.opens_at > at]


def _place(
    slot: Slot,
    session: ClassSession | None,
    series: SessionSeries,
    free: set[ClassSession],
    plan: SeriesPlan,
    at: datetime,
) -> None:
    if session is None:
        (plan.new if slot.starts_at > at else plan.passed).append(slot)
    elif session not in free:
        if session.opens_at > at:
            plan.kept.append(session)
    elif slot.starts_at <= at or _is_held_so(session, slot, series):
        plan.same.append(slot)
    else:
        plan.moved.append((session, slot))


def _is_held_so(session: ClassSession, slot: Slot, series: SessionSeries) -> bool:
    return (session.starts_at, session.ends_at, session.room_id) == (
        slot.starts_at,
        slot.ends_at,
        series.room_id,
    )


def _find_clashes(series: SessionSeries, plan: SeriesPlan) -> None:
    written = plan.written
    if not written:
        return
    starts_at = min(slot.starts_at for slot in written)
    ends_at = max(slot.ends_at for slot in written)
    making_room = {session.pk for session, _slot in plan.moved} | {one.pk for one in plan.gone}
    own = [
        session
        for session in overlapping(course=series.course, starts_at=starts_at, ends_at=ends_at)
        if session.pk not in making_room
    ]
    plan.own_clashes = _clashes(written, own)
    if series.room is not None:
        others = overlapping(room=series.room, starts_at=starts_at, ends_at=ends_at)
        plan.room_clashes = _clashes(written, others.exclude(course=series.course_id))


def _clashes(
    slots: Iterable[Slot], sessions: Iterable[ClassSession]
) -> list[tuple[Slot, ClassSession]]:
    sessions = list(sessions)
    return [(slot, session) for slot in slots for session in sessions if slot.overlaps(session)]


@dataclass(frozen=True, slots=True)
class PreviewedDate:
    """One line of the preview: the day, and in one word what becomes of it."""

    day: date
    fate: str
    holiday: str = ""
    clock: str = ""
    room_taken: bool = False


def preview_of(plan: SeriesPlan, series: SessionSeries) -> list[PreviewedDate]:
    """Every date that the plan knows, in order."""
    taken = {slot for slot, _session in plan.room_clashes}
    lines = [
        PreviewedDate(slot.day, fate, room_taken=slot in taken)
        for fate, slots in (
            ("new", plan.new),
            ("moved", [slot for _session, slot in plan.moved]),
            ("same", plan.same),
            ("passed", plan.passed),
        )
        for slot in slots
    ]
    lines += [PreviewedDate(day, "holiday", holiday.name) for day, holiday in plan.holidays]
    for fate, sessions in (("gone", plan.gone), ("kept", plan.kept)):
        for session in sessions:
            clock = session.clock(session.starts_at)
            lines.append(
                PreviewedDate(session.series_day or session.starts_at.date(), fate, clock=clock)
            )
    return sorted(lines, key=lambda line: (line.day, line.fate))


def clash_sentence(plan: SeriesPlan) -> str:
    """Which sessions of the same course are in the way."""
    named = ", ".join(
        session.clock(session.starts_at) for _slot, session in plan.own_clashes[:NAMED_CLASHES]
    )
    more = len(plan.own_clashes) - NAMED_CLASHES
    if more > 0:
        named = _("%(named)s and %(more)d more") % {"named": named, "more": more}
    return _(
        "The course has sessions at these times already: %(named)s. Choose another time, or delete "
        "those first."
    ) % {"named": named}


# What writes


@transaction.atomic
def save_series(series: SessionSeries, *, at: datetime) -> SeriesPlan:
    """Store a series, new or changed, and bring its sessions into line.

    Raises:
        SeriesRefusedError: it would hold a session while the course has another one.
    """
    # Two who write series of one course wait for each other, or both would find the time free.
    Course.objects.select_for_update().get(pk=series.course_id)
    plan = plan_series(series, at=at)
    if plan.own_clashes:
        raise SeriesRefusedError(clash_sentence(plan))
    series.save()
    _write(series, plan)
    return plan


@transaction.atomic
def delete_series(series: SessionSeries, *, at: datetime) -> tuple[int, int]:
    """End a series; how many sessions went and how many stay, as single ones."""
    gone = _free_to_change(series, at=at)
    ClassSession.objects.filter(pk__in=[session.pk for session in gone]).delete()
    stay = _sessions_of(series).count()
    series.delete()
    return len(gone), stay


@transaction.atomic
def delete_session(session: ClassSession) -> None:
    """Delete a session; a series that held it does not bring it back."""
    if session.series is not None and session.series_day is not None:
        session.series.left_out = [*session.series.left_out, session.series_day.isoformat()]
        session.series.save(update_fields=["left_out"])
    session.delete()


@transaction.atomic
def save_holiday(holiday: Holiday, *, at: datetime) -> int:
    """Store a holiday and bring the series that it touches into line; how many sessions went."""
    before = Holiday.objects.filter(pk=holiday.pk).first()
    holiday.save()
    return _follow_holidays([one for one in (before, holiday) if one], at=at)


@transaction.atomic
def delete_holiday(holiday: Holiday, *, at: datetime) -> None:
    """The series hold their sessions on these days again."""
    holiday_was = Holiday(course=holiday.course)
    holiday.delete()
    _follow_holidays([holiday_was], at=at)


def _follow_holidays(holidays: list[Holiday], *, at: datetime) -> int:
    touched = SessionSeries.objects.filter(last_day__gte=timezone.localdate(at))
    if all(holiday.course_id for holiday in holidays):
        touched = touched.filter(course__in=[holiday.course_id for holiday in holidays])
    gone = 0
    for series in touched.select_related("course").order_by("course_id", "pk"):
        Course.objects.select_for_update().get(pk=series.course_id)
        plan = plan_series(series, at=at)
        taken = {slot for slot, _session in plan.own_clashes}
        # Somebody used the days for another session: that one stays.
        plan.new = [slot for slot in plan.new if slot not in taken]
        plan.moved = []
        _write(series, plan)
        gone += len(plan.gone)
    return gone


def _write(series: SessionSeries, plan: SeriesPlan) -> None:
    ClassSession.objects.filter(pk__in=[session.pk for session in plan.gone]).delete()
    for session, slot in plan.moved:
        session.starts_at, session.ends_at = slot.starts_at, slot.ends_at
        session.room = series.room
        session.save(update_fields=["starts_at", "ends_at", "room"])
    ClassSession.objects.bulk_create(_session_in(slot, series) for slot in plan.new)


def _session_in(slot: Slot, series: SessionSeries) -> ClassSession:
    return ClassSession(
        course=series.course,
        room=series.room,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        opens_early_min=series.course.opens_early_min,
        late_after_min=series.course.late_after_min,
        check_out=series.course.check_out,
        series=series,
        series_day=slot.day,
    )
