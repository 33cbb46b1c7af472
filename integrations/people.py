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
from integrations.notifications.models import Notification, NotificationChannel
from integrations.webhooks.models import WebhookAttempt, WebhookDelivery

KINDS = (
    Kind(
        "events",
        _("events for other systems"),
        OutboxMessage,
        {"at": "occurred_at", "event": "kind", "told": "payload"},
        by_student=("student",),
    ),
    Kind(
        "event_deliveries",
        _("events that were sent to other systems"),
        WebhookDelivery,
        {
            "to": "endpoint.name",
            "event": "message.kind",
            "queued_at": "queued_at",
            "state": "state",
            "ended_at": "ended_at",
        },
        by_student=("message__student",),
        related=("endpoint", "message"),
    ),
    Kind(
        "event_delivery_tries",
        _("tries to send them"),
        WebhookAttempt,
        {"at": "at", "status": "status"},
        by_student=("delivery__message__student",),
        left_out=_("What the other system answered is left out: it may hold more than yours."),
    ),
    Kind(
        "notification_channels",
        _("notification channels"),
        NotificationChannel,
        {
            "name": "name",
            "address": "shown",
            "course": "course.code",
            "told_of": "told",
            "how_often": "rhythm",
            "created_at": "created_at",
            "last_sent_at": "last_sent_at",
        },
        by_account=("owner",),
        to_account=True,
        related=("course",),
        left_out=_("Passwords in the addresses of channels are masked."),
    ),
    Kind(
        "notifications",
        _("notifications of you that were sent"),
        Notification,
        {"at": "message.occurred_at", "event": "message.kind", "state": "state"},
        by_student=("message__student",),
        by_account=("channel__owner",),
        related=("message",),
        left_out=_("To whom of the staff they went is left out: it is that person's data."),
    ),
)


def expired(at: datetime) -> Iterator[Expired]:
    yield Expired(
        "events for other systems", settings.EVENT_RETENTION_DAYS, expired_events(at), expire
    )
