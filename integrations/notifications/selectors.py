"""What a channel is told of."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from accounts.models import User
from checkin.events import ALERT_CONFIRMED, ATTENDANCE_WARNED, SESSION_CLOSED
from integrations.events.models import OutboxMessage
from integrations.events.selectors import kinds_for, visible_events
from integrations.notifications.models import NotificationChannel, Told
from roster.selectors import SEE_EVERY_COURSE

#: The event of the button "send a test".
TEST_KIND = "notification.test"
EVENT_OF = {
    Told.ALERT: ALERT_CONFIRMED.name,
    Told.WARNING: ATTENDANCE_WARNED.name,
    Told.SUMMARY: SESSION_CLOSED.name,
}


def tellable(user: User) -> list[Told]:
    """What this account can be told of. Students are told of their own warnings."""
    may_see = {kind.name for kind in kinds_for(user)} if user.is_staff else set()
    found = [told for told, event in EVENT_OF.items() if event in may_see]
    if Told.WARNING not in found and hasattr(user, "student"):
        found.append(Told.WARNING)
    return found


def events_for(channel: NotificationChannel) -> QuerySet[OutboxMessage]:
    """The events that the channel chose, of what its owner may see at this moment."""
    owner = channel.owner
    if not owner.is_active:
        return OutboxMessage.objects.none()
    may = tellable(owner)
    kinds = [EVENT_OF[Told(told)] for told in channel.told if told in may]
    told = Q(pk__in=[])
    if kinds and owner.is_staff:
        told |= Q(pk__in=visible_events(owner, kinds=kinds).values("pk"))
    if ATTENDANCE_WARNED.name in kinds:
        told |= Q(kind=ATTENDANCE_WARNED.name, student__user=owner, position__isnull=False)
    events = OutboxMessage.objects.filter(told)
    return events.filter(course_pk=channel.course_id) if channel.course_id else events


def channels_of(user: User) -> QuerySet[NotificationChannel]:
    """The channels that this user sees at the desk: all of them, or the own ones."""
    if user.has_perm(SEE_EVERY_COURSE):
        return NotificationChannel.objects.all()
    return NotificationChannel.objects.filter(owner=user)
