"""Notices of entry: who is told that somebody arrived, when, and in which words.

A course says who may be told, and each account chooses whether it wants to be. Only arrivals at a
kiosk or on the own device are told: a class photo and a mark by hand are a lecturer's own act, and
nobody else can have stood there in the student's place.

The own entry can be told at once. Entries of others are always gathered, by the quarter of an hour
or by the day: with one mail for each, a class of 300 who all want to know would send 90,000.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import notice, send_notice, send_together
from accounts.models import User
from checkin.models import Attendance
from checkin.notices.models import DigestMarker, HowOften, NoticeChoice
from checkin.texts import shown_name
from roster.models import Course, CourseEnrolment

logger = logging.getLogger(__name__)

Method = Attendance.Method
Told = Course.EntryNotices

TOLD_METHODS = (Method.FACE, Method.FACE_AND_PASS, Method.PASS)
OWN_CHOICES = (HowOften.NEVER, HowOften.AT_ONCE, HowOften.DAILY)
COURSE_CHOICES = (HowOften.NEVER, HowOften.SOON, HowOften.DAILY)
GATHERED = (HowOften.SOON, HowOften.DAILY)

SOON = timedelta(minutes=15)
#: An arrival is committed within this time of the moment that it bears.
SETTLES_WITHIN = timedelta(minutes=1)
#: After a longer standstill what is older is not told any more.
LONGEST_BACK = timedelta(days=3)
#: So many entries of others are named for each course in one mail; the rest is counted.
NAMED_PER_COURSE = 50


# At once


def tell_of_entry(attendance: Attendance, at: datetime) -> None:
    """Queue the mail to the student, if they want it at once, in the caller's transaction.

    To be called when an arrival at a kiosk or on the own device was created.
    """
    session, user = attendance.session, attendance.student.user
    if session.course.entry_notices_to == Told.NOBODY or user is None or not user.is_active:
        return
    wanted = NoticeChoice.objects.filter(user=user, course=None, how_often=HowOften.AT_ONCE)
    if not wanted.exists():
        return
    with in_language_of(user):
        send_notice(
            to=user.email,
            subject=_("You were marked %(status)s in %(course)s at %(time)s")
            % {
                "status": attendance.get_status_display(),
                "course": session.course.code,
                "time": session.clock(at)[-5:],
            },
            template="entry",
            context={
                "attendance": attendance,
                "session": session,
                "moment": session.clock(at),
                **_addresses(),
            },
        )


# Choices


@dataclass(frozen=True, slots=True)
class CourseChoice:
    """A course of whose entries an account may be told, and what it chose."""

    course: Course
    lectures: bool
    how_often: HowOften


def own_choice(user: User) -> HowOften:
    """How often the account is told of its own entries."""
    chosen = NoticeChoice.objects.filter(user=user, course=None).first()
    return HowOften(chosen.how_often) if chosen else HowOften.NEVER


def course_choices(user: User, *, at: datetime) -> list[CourseChoice]:
    """The courses of whose entries the account may be told, by their code."""
    chosen = dict(
        NoticeChoice.objects.filter(user=user, course__isnull=False).values_list(
            "course", "how_often"
        )
    )
    lectured = set(user.courses.values_list("pk", flat=True))
    tellable = Course.objects.filter(
        Q(pk__in=lectured, entry_notices_to__in=[Told.LECTURERS, Told.REGISTERED])
        | Q(
            pk__in=_listed_on(at).filter(student__user=user).values("course"),
            entry_notices_to=Told.REGISTERED,
        )
    )
    return [
        CourseChoice(course, course.pk in lectured, HowOften(chosen.get(course.pk, HowOften.NEVER)))
        for course in tellable.order_by("code")
    ]


@transaction.atomic
def choose_notices(
    *, user: User, own: HowOften | None, by_course: Mapping[int, HowOften], at: datetime
) -> None:
    """Keep what an account wants to be told from now on; ``own`` is None where it is no student.

    Courses of whose entries it may not be told are left out.
    """
    if own is not None:
        _choose(user, None, own, at)
    for one in course_choices(user, at=at):
        if one.course.pk in by_course:
            _choose(user, one.course, by_course[one.course.pk], at)
    logger.info("user %s chose notices of entry", user.pk)


def _choose(user: User, course: Course | None, how_often: HowOften, at: datetime) -> None:
    """What was told at once before is not told again by the day: it counts from the change."""
    kept, created = NoticeChoice.objects.select_for_update().get_or_create(
        user=user, course=course, defaults={"how_often": how_often, "chosen_at": at}
    )
    if not created and kept.how_often != how_often:
        kept.how_often, kept.chosen_at = how_often, at
        kept.save(update_fields=["how_often", "chosen_at"])


# Gathered


def send_due_notices(at: datetime) -> int:
    """Queue every gathered notice that is due; returns how many mails that were.

    Any number of processes may ask, as often as they like: each entry is told once.
    """
    told_until = {
        (zone, how_often): moment
        for zone, how_often, moment in DigestMarker.objects.values_list(
            "zone", "how_often", "told_until"
        )
    }
    sent = 0
    for zone in _zones():
        for how_often in GATHERED:
            due = last_due(how_often, zone, at - SETTLES_WITHIN)
            told = told_until.get((zone, how_often))
            if told is None or told < due:
                sent += _tell_until(due, zone, how_often)
    return sent


def last_due(how_often: HowOften, zone: str, at: datetime) -> datetime:
    """The last moment, at or before this one, up to which entries are told.

    The full quarter of an hour, or `NOTICE_DIGEST_HOUR` on the clocks of the zone.
    """
    if how_often == HowOften.SOON:
        return at - (at - datetime.min.replace(tzinfo=UTC)) % SOON
    local = at.astimezone(ZoneInfo(zone))
    due = local.replace(hour=settings.NOTICE_DIGEST_HOUR, minute=0, second=0, microsecond=0, fold=0)
    # Compared in UTC: where clocks were put back, an hour comes twice in one day.
    if due.astimezone(UTC) > at:
        due -= timedelta(days=1)
    return due.astimezone(UTC)


def _zones() -> QuerySet[Course, str]:
    telling = Course.objects.exclude(entry_notices_to=Told.NOBODY).order_by("timezone")
    return telling.values_list("timezone", flat=True).distinct()


@transaction.atomic
def _tell_until(due: datetime, zone: str, how_often: HowOften) -> int:
    """Tell what came since the marker and move it; both are kept, or neither."""
    marker, _created = DigestMarker.objects.select_for_update().get_or_create(
        zone=zone, how_often=how_often, defaults={"told_until": due - LONGEST_BACK}
    )
    if marker.told_until >= due:  # another process was faster
        return 0
    since = max(marker.told_until, due - LONGEST_BACK)
    entries = _entries(zone, since, due).filter(_somebody_wants_to_know(how_often))
    marker.told_until = due
    marker.save(update_fields=["told_until"])
    digests = _digests(entries, how_often, due)
    send_together([_mail(digest, zone, how_often) for digest in digests])
    return len(digests)


def _entries(zone: str, since: datetime, until: datetime) -> QuerySet[Attendance]:
    """Arrivals that still stand: what was undone has no row, or no arrival, any more."""
    entries = (
        Attendance.objects.filter(
            session__course__timezone=zone,
            method__in=TOLD_METHODS,
            arrived_at__gte=since,
            arrived_at__lt=until,
        )
        .exclude(session__course__entry_notices_to=Told.NOBODY)
        .select_related("session__course", "session__room", "student", "kiosk")
    )
    return entries.order_by("session__course__code", "arrived_at", "pk")


def _somebody_wants_to_know(how_often: HowOften) -> Q:
    """Entries of which somebody may have to be told; most are of no interest to anybody."""
    chosen = NoticeChoice.objects.filter(how_often=how_often)
    return Q(session__course__in=chosen.filter(course__isnull=False).values("course")) | Q(
        student__user__in=chosen.filter(course=None).values("user")
    )


@dataclass(slots=True)
class _Digest:
    """What one account is told in one mail."""

    user: User
    own: list[Attendance] = field(default_factory=list)
    by_course: list[tuple[Course, list[Attendance]]] = field(default_factory=list)


def _digests(entries: Iterable[Attendance], how_often: HowOften, at: datetime) -> list[_Digest]:
    by_course: dict[Course, list[Attendance]] = defaultdict(list)
    by_account: dict[int, list[Attendance]] = defaultdict(list)
    for entry in entries:
        by_course[entry.session.course].append(entry)
        if entry.student.user_id is not None:
            by_account[entry.student.user_id].append(entry)

    digests: dict[int, _Digest] = {}
    chosen = NoticeChoice.objects.filter(how_often=how_often, user__is_active=True).exclude(
        user__email=""
    )
    for choice in chosen.filter(course=None, user__in=list(by_account)).select_related(
        "user__student"
    ):
        if own := _since(choice.chosen_at, by_account[choice.user_id]):
            digests.setdefault(choice.user_id, _Digest(choice.user)).own = own
    for course, came in by_course.items():
        for choice in chosen.filter(_may_be_told_of(course, at), course=course).select_related(
            "user__student"
        ):
            others = [one for one in came if one.student.user_id != choice.user_id]
            if others := _since(choice.chosen_at, others):
                digest = digests.setdefault(choice.user_id, _Digest(choice.user))
                digest.by_course.append((course, others))
    return list(digests.values())


def _since(moment: datetime, entries: Iterable[Attendance]) -> list[Attendance]:
    return [one for one in entries if one.arrived_at is not None and one.arrived_at >= moment]


def _may_be_told_of(course: Course, at: datetime) -> Q:
    """Choices of those whom the course lets know of others, as it and its lists are now."""
    told = Q(pk__in=[])
    if course.entry_notices_to in (Told.LECTURERS, Told.REGISTERED):
        told |= Q(user__in=course.lecturers.values("pk"))
    if course.entry_notices_to == Told.REGISTERED:
        listed = _listed_on(at, course.zone).filter(course=course)
        told |= Q(user__in=listed.values("student__user"))
    return told


def _listed_on(at: datetime, zone: ZoneInfo | None = None) -> QuerySet[CourseEnrolment]:
    """Places on class lists of students with an account, on that day."""
    day = timezone.localtime(at, zone).date()
    return CourseEnrolment.objects.filter(
        Q(left_on=None) | Q(left_on__gt=day), joined_on__lte=day, student__user__isnull=False
    )


def _mail(digest: _Digest, zone: str, how_often: HowOften) -> EmailMessage:
    courses = [_in_words(course, entries) for course, entries in digest.by_course]
    with in_language_of(digest.user):
        return notice(
            to=digest.user.email,
            subject=_subject(digest),
            template="entries",
            context={
                "name": _name_of(digest.user),
                "own": [(entry, entry.session.clock(_arrival(entry))) for entry in digest.own],
                "courses": courses,
                "zone": zone,
                "daily": how_often == HowOften.DAILY,
                **_addresses(),
            },
        )


def _name_of(user: User) -> str:
    student = getattr(user, "student", None)
    return student.name if student else user.get_full_name() or user.get_username()


def _subject(digest: _Digest) -> str:
    if not digest.by_course:
        return _("Your entries")
    codes = [course.code for course, _entries in digest.by_course[:3]]
    codes += ["…"] * (len(digest.by_course) > 3)
    return _("Entries in %(courses)s") % {"courses": ", ".join(codes)}


def _in_words(course: Course, entries: list[Attendance]) -> dict[str, object]:
    """Others are named as at the door. How they came in is not told: it would say who has given
    no consent to face recognition."""
    short = course.shown_name == Course.ShownName.SHORT
    return {
        "course": course,
        "count": len(entries),
        "lines": [
            f"{entry.session.clock(_arrival(entry))}  {shown_name(entry.student.name, short=short)}"
            for entry in entries[:NAMED_PER_COURSE]
        ],
        "more": max(len(entries) - NAMED_PER_COURSE, 0),
    }


def _arrival(entry: Attendance) -> datetime:
    if entry.arrived_at is None:
        raise ValueError(f"attendance {entry.pk} has no arrival and cannot be told")
    return entry.arrived_at


def _addresses() -> dict[str, str]:
    return {"attendance_path": reverse("own_attendance"), "choice_path": reverse("own_notices")}
