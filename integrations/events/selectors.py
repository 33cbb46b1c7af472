"""What others read of the outbox: each sees only what their account may see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.events import EventKind, event_kinds, utc
from accounts.models import User
from integrations.events.models import OutboxHead, OutboxMessage
from integrations.events.services import sequence_events
from roster.selectors import SEE_EVERY_COURSE, courses_of, students_of

MOST_EVENTS = 1000


class CursorError(ValueError):
    """The cursor cannot be read on from; the text is for whoever sent it."""


class ExpiredCursorError(CursorError):
    """Events after the cursor were kept no longer and have not all been read."""


class UnknownKindError(ValueError):
    """There is no kind of event of this name; the text is for whoever sent it."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in their order, and the cursor behind them. ``more`` says that others wait."""

    events: list[OutboxMessage]
    cursor: int
    more: bool


def kinds_for(user: User) -> list[EventKind]:
    """The kinds of events that this account may be told of."""
    return [kind for kind in event_kinds() if user.has_perm(kind.permission)]


def events_since(
    cursor: int, *, user: User, kinds: Collection[str] = (), limit: int = 100
) -> EventPage:
    """What happened after the cursor, of what the user may see now; from the beginning with 0.

    What is committed is given its position first, so that nothing has to run for it. Without
    ``kinds`` it is all of them.

    Raises:
        ExpiredCursorError: events after it are kept no longer, so that some would be missed.
        CursorError: it is negative, or was never given out.
        UnknownKindError: there is no such kind.
        ValueError: the limit is not from 1 to `MOST_EVENTS`.
    """
    if not 1 <= limit <= MOST_EVENTS:
        raise ValueError(f"got the limit {limit}, expected 1 to {MOST_EVENTS}")
    sequence_events()
    # Read before the events, so that none that comes meanwhile is passed over.
    head = OutboxHead.objects.filter(pk=1).first() or OutboxHead()
    _check_cursor(cursor, head)
    waiting = visible_events(user, kinds=kinds).filter(
        position__gt=cursor, position__lte=head.position
    )
    events = list(waiting.order_by("position")[: limit + 1])
    if len(events) > limit:
        return EventPage(events[:limit], events[limit - 1].position or 0, more=True)
    return EventPage(events, head.position, more=False)


def visible_events(user: User, *, kinds: Collection[str] = ()) -> QuerySet[OutboxMessage]:
    """Events with a position that the user may see, by permission and by course or student.

    Raises:
        UnknownKindError: there is no such kind.
    """
    _check_kinds(kinds)
    allowed = [kind.name for kind in kinds_for(user) if not kinds or kind.name in kinds]
    events = OutboxMessage.objects.filter(kind__in=allowed, position__isnull=False)
    if user.has_perm(SEE_EVERY_COURSE):
        return events
    of_own_courses = Q(course_pk__in=courses_of(user).values("pk"))
    # What belongs to a student and no course; without either it is for those who see everything.
    of_own_students = Q(course_pk=None, student__in=students_of(user).values("pk"))
    return events.filter(of_own_courses | of_own_students)


def content_of(message: OutboxMessage) -> dict[str, Any]:
    """The event as everybody outside gets it."""
    return {
        "id": str(message.event_id),
        "type": message.kind,
        "version": message.version,
        "timestamp": utc(message.occurred_at),
        "data": message.payload,
    }


def _check_cursor(cursor: int, head: OutboxHead) -> None:
    if cursor < 0 or cursor > head.position:
        raise CursorError(
            _(
                "Got the cursor %(cursor)d, which was never given out. Begin with 0, or with the "
                "cursor of the last answer."
            )
            % {"cursor": cursor}
        )
    if 0 < cursor < head.expired_until:
        raise ExpiredCursorError(
            _(
                "Events after the cursor %(cursor)d are kept no longer. Read students and "
                "attendance anew, then begin with 0."
            )
            % {"cursor": cursor}
        )


def _check_kinds(kinds: Collection[str]) -> None:
    known = {kind.name for kind in event_kinds()}
    if unknown := sorted(set(kinds) - known):
        raise UnknownKindError(
            f"there is no event “{unknown[0]}”, expected some of {', '.join(sorted(known))}"
        )
