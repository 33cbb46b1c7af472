"""What people do with their channels. Each function is one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.background import WorkWaits
from accounts.models import User
from integrations.events.models import OutboxHead, OutboxMessage
from integrations.events.services import sequence_events
from integrations.notifications.channels import ChannelRefusedError, check, shown
from integrations.notifications.models import Notification, NotificationChannel
from integrations.notifications.selectors import TEST_KIND

#: For so long a notification is tried again: what is older is no news.
TRIED_FOR = timedelta(days=1)
MOST_PER_PERSON = 10

#: Told after the commit of whatever gives something to send.
notifications_wait = WorkWaits("integrations.tasks.send_notifications")


@transaction.atomic
def open_channel(channel: NotificationChannel, *, owner: User, url: str) -> None:
    """Store a new channel, which is told of what happens from now on.

    Raises:
        ChannelRefusedError: nothing may be sent there, or the account has too many.
    """
    set_address(channel, url)
    # The lock orders two forms of one account.
    User.objects.select_for_update().get(pk=owner.pk)
    if NotificationChannel.objects.filter(owner=owner).count() >= MOST_PER_PERSON:
        raise ChannelRefusedError(
            _("There are %(most)d channels already. Remove one first.") % {"most": MOST_PER_PERSON}
        )
    sequence_events()
    head = OutboxHead.objects.filter(pk=1).first()
    channel.owner = owner
    channel.taken_until = head.position if head else 0
    channel.save()


def set_address(channel: NotificationChannel, url: str) -> None:
    """Seal an address into a channel, which the caller saves.

    Raises:
        ChannelRefusedError: nothing may be sent there.
    """
    check(url)
    channel.seal_url(url)
    channel.shown = shown(url)


@transaction.atomic
def send_test(channel: NotificationChannel, *, at: datetime) -> Notification:
    """Queue a message that says nothing, to see whether it arrives."""
    message = OutboxMessage.objects.create(
        kind=TEST_KIND, version=1, occurred_at=at, payload={"channel": channel.pk}
    )
    notification = Notification.objects.create(
        channel=channel, message=message, due_at=at, give_up_at=at + TRIED_FOR
    )
    transaction.on_commit(notifications_wait.tell, robust=True)
    return notification
