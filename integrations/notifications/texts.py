"""Notifications in words: short, without names, each with the page that has more."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from checkin.alerts.models import Alert
from checkin.events import ALERT_CONFIRMED, ATTENDANCE_WARNED, SESSION_CLOSED
from checkin.models import Attendance
from integrations.events.models import OutboxMessage
from roster.models import ClassSession


def in_words(messages: Sequence[OutboxMessage]) -> tuple[str, str]:
    """Title and text of one message on all of these events."""
    texts = [text for message in messages if (text := _sentence(message))]
    if len(texts) == 1:
        return "Rollcall", texts[0]
    title = ngettext("Rollcall: %(count)d message", "Rollcall: %(count)d messages", len(texts))
    return title % {"count": len(texts)}, "\n\n".join(texts)


def _sentence(message: OutboxMessage) -> str:
    if message.kind == ALERT_CONFIRMED.name:
        return _alert(message)
    if message.kind == ATTENDANCE_WARNED.name:
        return _warning(message)
    if message.kind == SESSION_CLOSED.name:
        return _summary(message)
    return _("This is a test. Rollcall reaches you here.")


def _alert(message: OutboxMessage) -> str:
    sentences = {
        Alert.Kind.STRANGER: _("A live face at a kiosk was not recognised in %(session)s."),
        Alert.Kind.SPOOF: _("Repeated check-ins were not proven live in %(session)s."),
        Alert.Kind.DENIED: _("Entry was denied after wrong passes in %(session)s."),
    }
    page = reverse("admin:checkin_alert_change", args=[message.payload["alert"]])
    sentence = sentences[Alert.Kind(message.payload["alert_kind"])]
    return f"{sentence % {'session': _session(message)}}\n{settings.PUBLIC_URL}{page}"


def _warning(message: OutboxMessage) -> str:
    told = message.payload
    return _(
        "Low attendance in %(course)s: student %(number)s attended %(attended)d of %(counted)d "
        "sessions, %(required)d %% are required."
    ) % {
        "course": told["course_code"],
        "number": told["student_id"],
        "attended": told["attended"],
        "counted": told["counted"],
        "required": told["required_percentage"],
    }


def _summary(message: OutboxMessage) -> str:
    """As the records are when it is sent: marks by hand often follow the close."""
    rows = Attendance.objects.filter(session=message.payload["session"]).order_by()
    counts = dict(rows.values_list("status").annotate(Count("pk")))
    words = [f"{counts[s]} {label}" for s, label in Attendance.Status.choices if s in counts]
    return _("%(session)s was closed: %(counts)s.") % {
        "session": _session(message),
        "counts": ", ".join(words) or _("nobody was expected"),
    }


def _session(message: OutboxMessage) -> str:
    session = ClassSession.objects.select_related("course").filter(pk=message.payload["session"])
    found = session.first()
    return str(found) if found else str(message.payload["course_code"])
