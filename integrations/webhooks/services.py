"""What people do with webhooks. Each function is one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from accounts.background import WorkWaits
from accounts.models import User
from integrations.events.models import OutboxHead, OutboxMessage
from integrations.events.services import sequence_events
from integrations.webhooks.models import WebhookDelivery, WebhookEndpoint
from integrations.webhooks.selectors import TEST_KIND

State = WebhookDelivery.State
Reason = WebhookEndpoint.Reason

#: For so long a delivery is tried again.
TRIED_FOR = timedelta(days=3)

#: Told after the commit of whatever gives something to send.
deliveries_wait = WorkWaits("integrations.tasks.deliver_webhooks")


@transaction.atomic
def open_endpoint(endpoint: WebhookEndpoint, *, owner: User, at: datetime) -> str:
    """Store a new endpoint, which is told of what happens from now on; returns its secret.

    The secret is shown now and never again.
    """
    sequence_events()
    head = OutboxHead.objects.filter(pk=1).first()
    endpoint.owner = owner
    endpoint.taken_until = head.position if head else 0
    secret = endpoint.renew_secret(at)
    endpoint.save()
    return secret


@transaction.atomic
def rotate_secret(endpoint: WebhookEndpoint, *, at: datetime) -> str:
    """A new secret; for a day both sign, so that the receiver can be changed meanwhile."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
    secret = endpoint.renew_secret(at)
    endpoint.save(update_fields=["sealed_secret", "sealed_previous_secret", "previous_until"])
    return secret


def switch_off(
    endpoint: WebhookEndpoint, *, at: datetime, reason: WebhookEndpoint.Reason = Reason.BY_HAND
) -> None:
    """Send nothing more. What waits is kept; what happens meanwhile is told afterwards."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk, disabled_at=None).update(
        disabled_at=at, disabled_reason=reason
    )


@transaction.atomic
def switch_on(endpoint: WebhookEndpoint, *, at: datetime) -> None:
    """Send again, first what has waited, with as much time as at the beginning."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        disabled_at=None, disabled_reason="", quiet_until=None
    )
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, state=State.WAITING)
    waiting.update(due_at=at, give_up_at=at + TRIED_FOR)
    transaction.on_commit(deliveries_wait.tell, robust=True)


@transaction.atomic
def send_test(endpoint: WebhookEndpoint, *, at: datetime) -> WebhookDelivery:
    """Queue an event that says nothing, to see whether it arrives."""
    message = OutboxMessage.objects.create(
        kind=TEST_KIND, version=1, occurred_at=at, payload={"webhook": endpoint.name}
    )
    delivery = WebhookDelivery.objects.create(
        endpoint=endpoint,
        message=message,
        position=0,
        queued_at=at,
        due_at=at,
        give_up_at=at + TRIED_FOR,
    )
    _end_quiet(endpoint.pk)
    transaction.on_commit(deliveries_wait.tell, robust=True)
    return delivery


@transaction.atomic
def send_again(delivery: WebhookDelivery, *, at: datetime) -> None:
    """Queue a delivery once more, under the same id: whoever had it already knows it again."""
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=State.WAITING, due_at=at, give_up_at=at + TRIED_FOR, ended_at=None, tries=0
    )
    _end_quiet(delivery.endpoint_id)
    transaction.on_commit(deliveries_wait.tell, robust=True)


def _end_quiet(endpoint_pk: int) -> None:
    """What somebody sends by hand goes at once; a receiver that is still busy says so again."""
    WebhookEndpoint.objects.filter(pk=endpoint_pk).update(quiet_until=None)
