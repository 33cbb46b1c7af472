"""Who is told of an alert, and when. Any number of processes may: each alert is mailed once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import Attachment, notice, send_together
from accounts.models import User
from checkin.alerts.models import Alert
from checkin.alerts.services import QUIET, let_in_after_all, was_recorded
from checkin.events import alert_confirmed
from checkin.models import Attendance, CheckinAttempt, Outcome
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession, Course
from roster.selectors import SEE_EVERY_COURSE, address_of, students_in

logger = logging.getLogger(__name__)

#: Alerts of one session that are mailed within an hour. The others are at the desk, and the next
#: mail says how many there are.
MOST_MAILED_PER_HOUR = 5
HOUR = timedelta(hours=1)

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def send_due_alerts(at: datetime) -> int:
    """Mail what is due; returns how many alerts that were.

    What goes wrong with one alert is logged, and tried again at the next call.
    """
    sent = 0
    for pk, session_pk in _due(at).order_by("due_at", "pk").values_list("pk", "session"):
        try:
            sent += _send_if_due(pk, session_pk, at)
        except Exception as error:
            # Its text may hold addresses.
            logger.error("alert %s is not mailed: %s", pk, type(error).__name__)
    return sent


def _send_if_due(pk: int, session_pk: int, at: datetime) -> bool:
    alert = _due(at).filter(pk=pk).first()
    if alert is None:
        return False
    let_in = _face_was_recorded(alert)
    # Those of a large class take a second to write, and kiosks do not wait for it.
    shown = _pass_was_shown(alert)
    mails = [] if let_in or shown else list(_mails(alert))
    with transaction.atomic():
        # The lock that kiosks take: the hour's count and the alert's state hold until the commit.
        ClassSession.objects.select_for_update().get(pk=session_pk)
        alert = _due(at).select_for_update(of=("self",)).filter(pk=pk).first()
        if alert is None:
            return False
        if let_in:
            let_in_after_all(alert, at)
            return False
        sent = _send(alert, mails, at)
        if not shown and not alert.held_back:
            alert_confirmed(alert, at=at)
        return sent


def _due(at: datetime) -> QuerySet[Alert]:
    waiting = Alert.objects.filter(due_at__lte=at, decision=Alert.Decision.OPEN)
    return waiting.select_related("session__course", "session__room", "kiosk", "student")


def _send(alert: Alert, mails: list[EmailMessage], at: datetime) -> bool:
    alert.due_at = None
    if mails:
        alert.held_back = _mailed_lately(alert.session, at) >= MOST_MAILED_PER_HOUR
    if mails and not alert.held_back:
        send_together(mails)
        alert.mailed_at = at
    alert.save(update_fields=["due_at", "mailed_at", "held_back"])
    return alert.mailed_at is not None


def _face_was_recorded(alert: Alert) -> bool:
    if not alert.sealed_embedding:
        return False
    try:
        face = alert.embedding()
    except TemplateUnreadableError as error:
        logger.error("alert %s cannot be compared: %s", alert.pk, error)
        return False
    return was_recorded(alert.session, alert.kiosk, face, model_id=alert.model_id)


def _pass_was_shown(alert: Alert) -> bool:
    """Whether the next who came to the kiosk was let in by a pass: probably the same person.

    No face is kept of that, so the alert stays at the desk.
    """
    if alert.kind != Alert.Kind.STRANGER or alert.kiosk is None:
        return False
    entry = Attendance.objects.filter(
        kiosk=alert.kiosk,
        method=Attendance.Method.PASS,
        arrived_at__gt=alert.last_at,
        arrived_at__lte=alert.last_at + QUIET,
    ).order_by("arrived_at")
    shown = entry.first()
    if shown is None:
        return False
    between = CheckinAttempt.objects.filter(
        kiosk=alert.kiosk, at__gt=alert.last_at, at__lt=shown.arrived_at
    )
    return not between.exclude(outcome=Outcome.SECOND_FACTOR).exists()


def _mailed_lately(session: ClassSession, at: datetime) -> int:
    return Alert.objects.filter(session=session, mailed_at__gt=at - HOUR).count()


# The mails


def _mails(alert: Alert) -> Iterator[EmailMessage]:
    """One for each person; none where the course names nobody."""
    attachments, context = _attachments(alert), _context(alert)
    staff = _distinct((user.email, user) for user in _staff(alert.session.course))
    for address, user in staff.items():
        with in_language_of(user):
            yield notice(address, _subject(alert), "alert_staff", context, attachments)
    for address, account in _distinct(_classmates(alert)).items():
        if address not in staff:
            with in_language_of(account):
                yield notice(address, _subject(alert), "alert_class", context, attachments)


def _staff(course: Course) -> Iterable[User]:
    """Whom the course names among those who work at the desk."""
    if course.alerts_to == Course.AlertsTo.NOBODY:
        return User.objects.none()
    if course.alerts_to != Course.AlertsTo.STAFF:
        return course.lecturers.filter(is_active=True).order_by("pk")
    may_see = User.objects.with_perm("checkin.view_alert", backend=MODEL_BACKEND)
    see_all = User.objects.with_perm(SEE_EVERY_COURSE, backend=MODEL_BACKEND)
    return may_see.filter(
        Q(courses=course) | Q(pk__in=see_all.values("pk")), is_staff=True
    ).distinct()


def _classmates(alert: Alert) -> Iterator[tuple[str, User | None]]:
    """Addresses and accounts of the class list, where the course wants it.

    Only strangers are shown to students: a spoof may show the picture of a classmate, and wrong
    passes may be a classmate's.
    """
    if (
        alert.session.course.alerts_to != Course.AlertsTo.REGISTERED
        or alert.kind != Alert.Kind.STRANGER
    ):
        return
    for student in students_in(alert.session).select_related("user"):
        if student.user is None or student.user.is_active:
            yield address_of(student), student.user


def _distinct(people: Iterable[tuple[str, User | None]]) -> dict[str, User | None]:
    """Each address once, however it is written, and none that is empty."""
    once = {address.casefold(): (address, user) for address, user in people if address}
    return dict(once.values())


def _attachments(alert: Alert) -> list[Attachment]:
    if not alert.sealed_picture:
        return []
    try:
        return [Attachment("face.jpg", alert.picture(), "image/jpeg")]
    except TemplateUnreadableError as error:
        logger.error("alert %s is mailed without its picture: %s", alert.pk, error)
        return []


def _subject(alert: Alert) -> str:
    subjects = {
        Alert.Kind.STRANGER: _("Unknown face in %(course)s"),
        Alert.Kind.SPOOF: _("Repeated spoof attempts in %(course)s"),
        Alert.Kind.DENIED: _("Denied after wrong passes in %(course)s"),
    }
    return subjects[Alert.Kind(alert.kind)] % {"course": alert.session.course.code}


def _context(alert: Alert) -> dict[str, Any]:
    session = alert.session
    held_back = session.alerts.filter(held_back=True).count()
    return {
        "alert": alert,
        "session": session,
        "course": session.course,
        "at": f"{timezone.localtime(alert.first_at, session.course.zone):%Y-%m-%d %H:%M}",
        "held_back": held_back,
        "has_picture": bool(alert.sealed_picture),
        "page": settings.PUBLIC_URL + reverse("admin:checkin_alert_change", args=[alert.pk]),
        "days": settings.ALERT_RETENTION_DAYS,
    }
