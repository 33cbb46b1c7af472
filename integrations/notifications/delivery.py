"""Sends notifications. Any number of processes may do it; each is sent by one of them.

What is due to a channel goes as one message, so that a class that is warned of low attendance is
no flood.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from integrations.events.models import OutboxHead
from integrations.notifications.channels import ChannelRefusedError, send
from integrations.notifications.models import Notification, NotificationChannel
from integrations.notifications.selectors import TEST_KIND, events_for
from integrations.notifications.services import TRIED_FOR
from integrations.notifications.texts import in_words
from integrations.sealing import SecretUnreadableError
from integrations.targets import NotReachedError
from integrations.webhooks.delivery import wait_after

logger = logging.getLogger(__name__)

State = Notification.State
Rhythm = NotificationChannel.Rhythm

#: Longer than one message takes, see `integrations.notifications.channels`.
CLAIM = timedelta(seconds=90)
MOST_TOGETHER = 50
TAKEN_AT_ONCE = 2000


def take_up_notifications() -> int:
    """Queue for each channel what has happened; returns how many notifications that were."""
    head = OutboxHead.objects.filter(pk=1).values_list("position", flat=True).first() or 0
    behind = NotificationChannel.objects.filter(taken_until__lt=head).order_by("pk")
    return sum(_take_up(pk, head) for pk in behind.values_list("pk", flat=True))


@transaction.atomic
def _take_up(channel_pk: int, head: int) -> int:
    channel = _locked(channel_pk)
    if channel is None or channel.taken_until >= head:
        return 0  # another process was faster
    now = timezone.now()
    new = events_for(channel).filter(position__gt=channel.taken_until, position__lte=head)
    messages = list(new.order_by("position")[:TAKEN_AT_ONCE])
    due_at = next_due(channel, now)
    Notification.objects.bulk_create(
        Notification(channel=channel, message=message, due_at=due_at, give_up_at=due_at + TRIED_FOR)
        for message in messages
    )
    full = len(messages) == TAKEN_AT_ONCE
    channel.taken_until = messages[-1].position or head if full else head
    channel.save(update_fields=["taken_until"])
    return len(messages)


def next_due(channel: NotificationChannel, at: datetime) -> datetime:
    """Now, or the next `NOTICE_DIGEST_HOUR` on the clocks of the course or of the institution."""
    if channel.rhythm == Rhythm.AT_ONCE:
        return at
    zone = channel.course.zone if channel.course else timezone.get_default_timezone()
    local = at.astimezone(zone)
    due = local.replace(hour=settings.NOTICE_DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return due if due > local else due + timedelta(days=1)


def notify_due() -> int:
    """Send what is due to every channel; returns how many messages that were."""
    due = Notification.objects.filter(state=State.WAITING, due_at__lte=timezone.now())
    channels = due.order_by("channel").values_list("channel", flat=True).distinct()
    return sum(_notify(pk) for pk in list(channels))


def _notify(channel_pk: int) -> bool:
    claimed = _claim(channel_pk)
    if not claimed:
        return False
    channel = claimed[0].channel
    told = _still_told(channel, claimed)
    _end([one for one in claimed if one not in told], State.GIVEN_UP)
    if not told:
        return False
    title, body = in_words([one.message for one in told])
    try:
        send(channel.url(), title=title, body=body)
    except (NotReachedError, ChannelRefusedError, SecretUnreadableError) as error:
        _failed(channel, told, str(error))
        return True
    _end(told, State.SENT)
    NotificationChannel.objects.filter(pk=channel.pk).update(
        last_sent_at=timezone.now(), last_said=""
    )
    return True


@transaction.atomic
def _claim(channel_pk: int) -> list[Notification]:
    # The lock orders processes; the second one finds nothing due, or the rest.
    if _locked(channel_pk) is None:
        return []
    now = timezone.now()
    due = Notification.objects.filter(
        channel=channel_pk, state=State.WAITING, due_at__lte=now
    ).select_related("channel__owner", "channel__course", "message")
    claimed = list(due.order_by("pk")[:MOST_TOGETHER])
    for one in claimed:
        one.due_at = now + CLAIM
    _rows(claimed).update(due_at=now + CLAIM)
    return claimed


def _locked(channel_pk: int) -> NotificationChannel | None:
    channels = NotificationChannel.objects.select_for_update(of=("self",))
    return channels.select_related("owner", "course").filter(pk=channel_pk).first()


def _still_told(
    channel: NotificationChannel, notifications: Sequence[Notification]
) -> list[Notification]:
    """Without those that the owner may not see any more."""
    pks = [one.message_id for one in notifications]
    visible = set(events_for(channel).filter(pk__in=pks).values_list("pk", flat=True))
    return [
        one for one in notifications if one.message_id in visible or one.message.kind == TEST_KIND
    ]


def _rows(notifications: Sequence[Notification]) -> QuerySet[Notification]:
    return Notification.objects.filter(
        pk__in=[one.pk for one in notifications], state=State.WAITING
    )


def _end(notifications: Sequence[Notification], state: Notification.State) -> None:
    if notifications:
        _rows(notifications).update(state=state, due_at=None)


@transaction.atomic
def _failed(channel: NotificationChannel, notifications: Sequence[Notification], said: str) -> None:
    logger.warning("channel %s was not reached", channel.pk)
    NotificationChannel.objects.filter(pk=channel.pk).update(last_said=said[:200])
    now = timezone.now()
    for one in notifications:
        again_at = now + wait_after(one.tries + 1)
        if again_at > one.give_up_at:
            _end([one], State.GIVEN_UP)
        else:
            _rows([one]).update(due_at=again_at, tries=one.tries + 1)
