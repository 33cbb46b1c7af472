"""What writes the outbox.

Numbers that a database hands out are committed out of order: whoever has read up to 7 would miss
a 6 that is committed later. So an event gets its position after the commit, by one process at a
time; what is read in the order of positions is complete.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from accounts.background import WorkWaits
from accounts.events import Event, publish
from checkin.events import session_opened
from integrations.events.models import OutboxHead, OutboxMessage
from roster.selectors import open_sessions

#: Told after the commit of a transaction that published events.
outbox_waits = WorkWaits("integrations.tasks.bring_events_into_order")

BATCH = 2000

# Two servers may publish the same event: the second one's is dropped.
_KEPT = """
    INSERT INTO integrations_outboxmessage
        (event_id, kind, version, occurred_at, kept_since, student_id, course_pk, payload, once)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (once) DO NOTHING
"""
_NUMBERED = """
    UPDATE integrations_outboxmessage SET position = numbered.position
    FROM (
        SELECT id, %s + ROW_NUMBER() OVER (ORDER BY id) AS position
        FROM integrations_outboxmessage WHERE position IS NULL ORDER BY id LIMIT %s
    ) AS numbered
    WHERE integrations_outboxmessage.id = numbered.id
"""


def keep_events(events: Sequence[Event]) -> None:
    """Write events to the outbox, in the transaction that published them.

    Not as objects: an import of 20,000 rows tells 40,000 events, which would add 3.3 s to its
    2.4 s; so they add 1.0 s.
    """
    kept_since = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.executemany(_KEPT, [_row(event, kept_since) for event in events])
    transaction.on_commit(outbox_waits.tell, robust=True)


def _row(event: Event, kept_since: Any) -> tuple[Any, ...]:
    return (
        uuid.uuid4().hex,
        event.kind.name,
        event.kind.version,
        connection.ops.adapt_datetimefield_value(event.at),
        kept_since,
        event.student,
        event.course,
        json.dumps(event.payload),
        event.once,
    )


def sequence_events() -> int:
    """Give committed events their positions; returns how many that were.

    Any number of processes may ask: they wait for each other.
    """
    numbered = 0
    while OutboxMessage.objects.filter(position=None).exists():
        batch = _sequence_batch()
        numbered += batch
        if batch < BATCH:
            break
    return numbered


@transaction.atomic
def _sequence_batch() -> int:
    head, _created = OutboxHead.objects.select_for_update().get_or_create(pk=1)
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERED, [head.position, BATCH])
        numbered: int = cursor.rowcount
    head.position += numbered
    head.save(update_fields=["position"])
    return numbered


def publish_openings(at: datetime) -> int:
    """Tell of sessions that the clock has opened; returns how many that were.

    Nothing is written when a session opens. Any number of processes may look: it is told once.
    """
    openings = [
        session_opened(session) for session in open_sessions(at) if session.reopened_until is None
    ]
    told = set(
        OutboxMessage.objects.filter(once__in=[one.once for one in openings]).values_list(
            "once", flat=True
        )
    )
    untold = [one for one in openings if one.once not in told]
    if untold:
        with transaction.atomic():
            publish(untold)
    return len(untold)


# Expiry


def expired_events(at: datetime) -> QuerySet[OutboxMessage]:
    """Events that are kept no longer."""
    since = at - timedelta(days=settings.EVENT_RETENTION_DAYS)
    return OutboxMessage.objects.filter(kept_since__lt=since)


def expire(events: QuerySet[OutboxMessage]) -> None:
    """Delete them, and keep how far: who has read less is told that something is missing."""
    head, _created = OutboxHead.objects.select_for_update().get_or_create(pk=1)
    last = events.aggregate(last=Max("position"))["last"] or 0
    head.expired_until = max(head.expired_until, last)
    head.save(update_fields=["expired_until"])
    events.delete()
