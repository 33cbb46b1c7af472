"""Locking days of which no attendance is changed any more, and unlocking them."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from checkin.locks import locked_sessions
from checkin.reports.rates import Term, sessions_in
from roster.models import ClassSession, Course, PeriodLock
from roster.selectors import SEE_EVERY_COURSE, courses_of

logger = logging.getLogger(__name__)

MAX_DAYS = 366
MAX_REASON_LENGTH = 300
NAMED_SESSIONS = 3


class LockRefusedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


def locks_of(user: User) -> QuerySet[PeriodLock]:
    """Those that concern this user: of the institution, and of the courses that they may see."""
    locks = PeriodLock.objects.select_related("course", "locked_by", "unlocked_by")
    if user.has_perm(SEE_EVERY_COURSE):
        return locks
    return locks.filter(course=None) | locks.filter(course__in=courses_of(user))


def why_not_to_lock(*, first_day: date, last_day: date, course: Course | None, at: datetime) -> str:
    """Why these days cannot be locked now; empty where they can."""
    if last_day < first_day:
        return _("The last day lies before the first.")
    if (last_day - first_day).days >= MAX_DAYS:
        return _("At most %(most)d days are locked at once.") % {"most": MAX_DAYS}
    courses = _covered(course)
    for zone in courses.order_by().values_list("timezone", flat=True).distinct():
        if last_day >= timezone.localtime(at, ZoneInfo(zone)).date():
            return _("%(day)s is not over yet in %(zone)s. Lock days that have passed.") % {
                "day": last_day,
                "zone": zone,
            }
    return _not_closed_sentence(_sessions(courses, first_day, last_day), at)


@transaction.atomic
def lock_period(
    *,
    first_day: date,
    last_day: date,
    course: Course | None,
    by: User,
    reason: str,
    at: datetime,
) -> PeriodLock:
    """Lock days of one course, or of all: what is recorded in their sessions stays as it is.

    Raises:
        LockRefusedError: it is not theirs to lock, the days are not over, a session of them is
            not closed, or there is no reason.
    """
    if not by.has_perm("roster.add_periodlock") or not _may_cover(by, course):
        raise LockRefusedError(_("These days are not yours to lock."))
    reason = _checked(reason)
    sessions = _sessions(_covered(course), first_day, last_day)
    # Whoever is changing a record now holds its session: the lock comes after them, or they
    # wait and find it.
    list(locked_sessions().filter(pk__in=sessions.order_by().values("pk")).order_by("pk"))
    why_not = why_not_to_lock(first_day=first_day, last_day=last_day, course=course, at=at)
    if why_not:
        raise LockRefusedError(why_not)
    lock = PeriodLock.objects.create(
        course=course,
        first_day=first_day,
        last_day=last_day,
        reason=reason,
        locked_at=at,
        locked_by=by,
    )
    logger.info("user %s locked period %s", by.pk, lock.pk)
    return lock


@transaction.atomic
def unlock_period(*, lock: PeriodLock, by: User, reason: str, at: datetime) -> None:
    """Let the days be changed again; the row keeps both who locked and who unlocked them.

    Raises:
        LockRefusedError: it is not theirs to unlock, was unlocked already, or there is no reason.
    """
    if not by.has_perm("roster.change_periodlock") or not _may_cover(by, lock.course):
        raise LockRefusedError(_("These days are not yours to unlock."))
    reason = _checked(reason)
    # The condition lets one of two at the same time win.
    unlocked = PeriodLock.objects.filter(pk=lock.pk, unlocked_at=None).update(
        unlocked_at=at, unlocked_by=by, unlock_reason=reason
    )
    if not unlocked:
        raise LockRefusedError(_("%(days)s were unlocked already.") % {"days": lock})
    logger.info("user %s unlocked period %s", by.pk, lock.pk)


def _covered(course: Course | None) -> QuerySet[Course]:
    return Course.objects.all() if course is None else Course.objects.filter(pk=course.pk)


def _sessions(courses: QuerySet[Course], first: date, last: date) -> QuerySet[ClassSession]:
    return sessions_in(courses, Term(since=first, until=last))


def _may_cover(user: User, course: Course | None) -> bool:
    if course is None:
        return user.has_perm(SEE_EVERY_COURSE)
    return courses_of(user).filter(pk=course.pk).exists()


def _not_closed_sentence(sessions: QuerySet[ClassSession], at: datetime) -> str:
    # What was recorded in older ones is deleted already, and nobody closes them any more.
    kept_since = at - timedelta(days=settings.RECORD_RETENTION_DAYS)
    waiting = sessions.filter(closed_at=None, ends_at__gt=kept_since)
    count = waiting.count()
    if not count:
        return ""
    named = [str(one) for one in waiting.select_related("course")[:NAMED_SESSIONS]]
    named += ["…"] * (count > NAMED_SESSIONS)
    return ngettext(
        "%(count)d session of these days is not closed: %(named)s. Close it first.",
        "%(count)d sessions of these days are not closed: %(named)s. Close them first.",
        count,
    ) % {"count": count, "named": ", ".join(named)}


def _checked(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason:
        raise LockRefusedError(_("Give a reason: it is kept with the lock."))
    if len(reason) > MAX_REASON_LENGTH:
        raise LockRefusedError(
            _("The reason has %(got)d characters, at most %(most)d are kept. Make it shorter.")
            % {"got": len(reason), "most": MAX_REASON_LENGTH}
        )
    if "\0" in reason:
        raise LockRefusedError(_("The reason holds a character that cannot be stored."))
    return reason
