"""What this app keeps of a person and for how long, for the tables that `checkin` has of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from checkin.people.kinds import Kind
from checkin.retention import Expired
from integrations.events.models import OutboxMessage
from integrations.events.services import expire, expired_events

KINDS = (
    Kind(
        "events",
        _("events for other systems"),
        OutboxMessage,
        {"at": "occurred_at", "event": "kind", "told": "payload"},
        by_student=("student",),
    ),
)


def expired(at: datetime) -> Iterator[Expired]:
    yield Expired(
        "events for other systems", settings.EVENT_RETENTION_DAYS, expired_events(at), expire
    )
