"""Making files of working hours, and sending them when it is time."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.background import WorkWaits
from accounts.models import User
from checkin.models import Report, ReportExport
from checkin.reports.exports import ExportUnreadableError, content_of, keep_file
from integrations.payroll.files import UnwritableError, file_name, written
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from integrations.payroll.selectors import Sheet, courses_in, sheet_of
from integrations.payroll.targets import TARGETS, DeliveryError, Parcel
from roster.models import Course

logger = logging.getLogger(__name__)

State = ExportRun.State
Rhythm = ExportSchedule.Rhythm

MAX_DAYS = 366
#: Together they last for a day and a half.
MAX_ATTEMPTS = 12
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
#: A run that was begun longer ago was begun by a process that is gone.
LEASE = timedelta(minutes=15)
#: What was missed while no server ran is made up for, so far back.
MOST_MISSED = 400

exports_wait = WorkWaits("integrations.tasks.send_exports")

CONTENT_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class RefusedError(Exception):
    """Nothing was done; the text is for the person who asked for it."""


# Files


def check_period(first_day: date, last_day: date) -> None:
    """
    Raises:
        RefusedError: these are no days of which a file is made.
    """
    if last_day < first_day:
        raise RefusedError(_("The last day lies before the first."))
    if (last_day - first_day).days >= MAX_DAYS:
        raise RefusedError(
            _("A file has at most %(most)d days. Make several.") % {"most": MAX_DAYS}
        )


def make_file(
    *,
    profile: ExportProfile,
    courses: QuerySet[Course],
    first_day: date,
    last_day: date,
    user: User,
    at: datetime,
) -> ReportExport:
    """Write the file and keep it among the exports, as long as those are kept.

    Raises:
        RefusedError: the days are too many, or the wrong way round.
        UnwritableError: the profile cannot write what is there.
    """
    check_period(first_day, last_day)
    sheet = sheet_of(profile, courses, first_day=first_day, last_day=last_day)
    return _kept(sheet, profile, user, at)


def _kept(
    sheet: Sheet,
    profile: ExportProfile,
    user: User | None,
    at: datetime,
    *,
    schedule_pk: int | None = None,
) -> ReportExport:
    return keep_file(
        content=written(sheet, profile),
        report=Report.HOURS,
        subject=f"{profile.name}, {sheet.first_day} – {sheet.last_day}",
        kind=profile.file_kind,
        file_name=file_name(profile, sheet, schedule_pk=schedule_pk),
        row_count=len(sheet.rows),
        courses=sheet.courses,
        user=user,
        made_at=at,
    )


# When


def next_occurrence(schedule: ExportSchedule, after: datetime) -> datetime:
    """The first moment after this one at which the schedule is due.

    A time that the clocks leave out is taken an hour later, one that they have twice the first
    time.
    """
    zone = ZoneInfo(schedule.timezone)
    day = after.astimezone(zone).date()
    while True:
        if _is_on(schedule, day):
            due = datetime.combine(day, schedule.at, tzinfo=zone).astimezone(UTC)
            if due > after:
                return due
        day += timedelta(days=1)


def period_of(schedule: ExportSchedule, due: datetime) -> tuple[date, date]:
    """The days of which the file that is due then tells: all of them are over in its time zone."""
    today = due.astimezone(ZoneInfo(schedule.timezone)).date()
    if schedule.rhythm == Rhythm.DAILY:
        yesterday = today - timedelta(days=1)
        return yesterday, yesterday
    if schedule.rhythm == Rhythm.WEEKLY:
        monday = today - timedelta(days=today.weekday() + 7)
        return monday, monday + timedelta(days=6)
    last = today.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def _is_on(schedule: ExportSchedule, day: date) -> bool:
    if schedule.rhythm == Rhythm.WEEKLY:
        return day.weekday() == schedule.weekday
    return schedule.rhythm == Rhythm.DAILY or day.day == schedule.month_day


@transaction.atomic
def save_schedule(schedule: ExportSchedule, *, by: User, at: datetime) -> None:
    """Store a schedule, new or changed: from now on it is due as it says.

    It covers what ``by`` may see, who is answerable for it from now on.

    Raises:
        RefusedError: nothing can be sent there.
    """
    if why_not := why_not_there(schedule.target, schedule.place):
        raise RefusedError(why_not)
    schedule.owner = by
    schedule.next_at = next_occurrence(schedule, at)
    schedule.save()
    logger.info("user %s saved scheduled export %s", by.pk, schedule.pk)


def why_not_there(target: str, place: str) -> str:
    """What is wrong with a target; empty if nothing is."""
    return TARGETS[target].why_not(place)


# What is due


def run_due_exports(at: datetime | None = None) -> int:
    """Plan what is due, make and send it; returns how many files arrived.

    Any number of processes may: each period is planned once and sent by one of them.
    """
    at = at or timezone.now()
    for pk in ExportSchedule.objects.filter(active=True, next_at__lte=at).values_list("pk"):
        _plan(pk[0], at)
    return sum(_sent(pk, at) for pk in _due(at).values_list("pk", flat=True))


@transaction.atomic
def _plan(schedule_pk: int, at: datetime) -> None:
    """One run for each time that was due, also for those that a server which stood still missed."""
    schedule = ExportSchedule.objects.select_for_update().filter(pk=schedule_pk).first()
    if schedule is None or not schedule.active:
        return
    for _missed in range(MOST_MISSED):
        if schedule.next_at > at:
            break
        first_day, last_day = period_of(schedule, schedule.next_at)
        ExportRun.objects.get_or_create(
            schedule=schedule,
            first_day=first_day,
            last_day=last_day,
            defaults={"next_attempt_at": at, "created_at": at},
        )
        schedule.next_at = next_occurrence(schedule, schedule.next_at)
    schedule.save(update_fields=["next_at"])


@transaction.atomic
def run_now(*, schedule: ExportSchedule, at: datetime) -> ExportRun:
    """Have the file of the last full period sent at once; the thread beside the server does it.

    Raises:
        RefusedError: it was delivered already, or is being sent.
    """
    first_day, last_day = period_of(schedule, at)
    run, _created = ExportRun.objects.get_or_create(
        schedule=schedule,
        first_day=first_day,
        last_day=last_day,
        defaults={"next_attempt_at": at, "created_at": at},
    )
    try_again(run=run, at=at)
    return run


def try_again(*, run: ExportRun, at: datetime) -> None:
    """Let a run that waits or was given up be sent at once.

    Raises:
        RefusedError: it was delivered already, or is being sent.
    """
    renewed = ExportRun.objects.filter(pk=run.pk, state__in=[State.WAITING, State.FAILED]).update(
        state=State.WAITING, attempts=0, next_attempt_at=at
    )
    if not renewed:
        run.refresh_from_db()
        if run.state == State.DELIVERED:
            raise RefusedError(
                _("The file of %(period)s was delivered already: it is not sent twice.")
                % {"period": run}
            )
        raise RefusedError(_("The file of %(period)s is being sent.") % {"period": run})
    transaction.on_commit(exports_wait.tell, robust=True)


def _due(at: datetime) -> QuerySet[ExportRun]:
    return ExportRun.objects.filter(
        Q(state=State.WAITING, next_attempt_at__lte=at)
        | Q(state=State.RUNNING, claimed_at__lt=at - LEASE)
    ).order_by("next_attempt_at", "pk")


def _sent(run_pk: int, at: datetime) -> bool:
    # The condition lets one of several processes have it.
    claimed = _due(at).filter(pk=run_pk).order_by()
    if not claimed.update(state=State.RUNNING, claimed_at=at, attempts=F("attempts") + 1):
        return False
    run = ExportRun.objects.select_related("schedule__profile", "schedule__owner", "export").get(
        pk=run_pk
    )
    try:
        place = _deliver(run, at)
    except (DeliveryError, RefusedError, UnwritableError, ExportUnreadableError) as error:
        _put_off(run, str(error), at)
        return False
    except Exception as error:
        # Its text may hold more than ids.
        logger.error("run %s of a scheduled export failed: %s", run.pk, type(error).__name__)
        _put_off(run, _("An unexpected fault: %(kind)s.") % {"kind": type(error).__name__}, at)
        return False
    _mine(run).update(
        state=State.DELIVERED, delivered_at=timezone.now(), delivered_to=place[:500], error=""
    )
    logger.info("run %s of a scheduled export was delivered", run.pk)
    return True


def _deliver(run: ExportRun, at: datetime) -> str:
    export = run.export or _made(run, at)
    parcel = Parcel(
        file_name=export.file_name,
        content=content_of(export),
        content_type=CONTENT_TYPES[export.kind],
        delivery_id=run.delivery_id,
    )
    return TARGETS[run.schedule.target].deliver(run.schedule.place, parcel)


@transaction.atomic
def _made(run: ExportRun, at: datetime) -> ReportExport:
    """The file, kept before it goes anywhere: a second attempt sends the same bytes."""
    schedule = run.schedule
    if schedule.owner is None or not schedule.owner.is_active:
        raise RefusedError(
            _("The account on whose behalf it runs is gone. Save the schedule again.")
        )
    courses = courses_in(schedule.profile, schedule.owner)
    sheet = sheet_of(schedule.profile, courses, first_day=run.first_day, last_day=run.last_day)
    if not sheet.courses:
        raise RefusedError(
            _("None of the profile's courses is visible to who the schedule belongs to.")
        )
    if sheet.not_closed:
        raise RefusedError(
            ngettext(
                "%(count)d session of these days is not closed yet.",
                "%(count)d sessions of these days are not closed yet.",
                sheet.not_closed,
            )
            % {"count": sheet.not_closed}
        )
    export = _kept(sheet, schedule.profile, schedule.owner, at, schedule_pk=schedule.pk)
    ExportRun.objects.filter(pk=run.pk).update(export=export)
    return export


def _put_off(run: ExportRun, error: str, at: datetime) -> None:
    given_up = run.attempts >= MAX_ATTEMPTS
    wait = min(FIRST_WAIT * 2 ** (run.attempts - 1), LONGEST_WAIT)
    _mine(run).update(
        state=State.FAILED if given_up else State.WAITING,
        next_attempt_at=at + wait,
        error=error[:500],
    )


def _mine(run: ExportRun) -> QuerySet[ExportRun]:
    """Not if it took so long that another process has begun it anew."""
    return ExportRun.objects.filter(pk=run.pk, state=State.RUNNING, attempts=run.attempts)
